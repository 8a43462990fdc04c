package source

import (
	"strconv"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// A Place is a character of a file. Both numbers count from 1.
type Place struct{ Line, Col int }

// Start returns where a node stands: its header, if it is a block.
func Start(n Node) Place {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		n = m.Values[0].Key // its own token is the first colon
	}
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return Place{1, 1}
	}
	p := n.GetToken().Position
	return Place{p.Line, p.Column}
}

// within returns where a character of a scalar's value stands in the file.
//
// YAML folds lines, strips indentation and escapes quotes, but in each of its
// styles the characters of the value that are not space are exactly those of
// the text, in their order. So it is enough to count them.
func (s *Source) within(t Text, offset int) Place {
	value := []rune(t.Value)
	before := 0
	for _, r := range value[:offset] {
		if !unicode.IsSpace(r) {
			before++
		}
	}
	if offset < len(value) && !unicode.IsSpace(value[offset]) {
		return s.nth(t, before+1)
	}
	at := s.nth(t, before)
	return Place{at.Line, at.Col + 1}
}

// nth returns the place of the nth character of a scalar that is not space.
func (s *Source) nth(t Text, n int) Place {
	at, style := Start(t.At), t.At.GetToken().Type
	last := Place{at.Line, at.Col - 1}
	switch style {
	case token.LiteralType, token.FoldedType:
		at = Place{at.Line + 1, 1}
	case token.SingleQuoteType, token.DoubleQuoteType:
		last, at.Col = at, at.Col+1
	}
	for ; at.Line <= len(s.lines); at = (Place{at.Line + 1, 1}) {
		line := []rune(s.lines[at.Line-1])
		for i := at.Col - 1; i < len(line) && n > 0; {
			size, visible := character(line[i:], style)
			if visible {
				last = Place{at.Line, i + 1}
				n--
			}
			i += size
		}
		if n == 0 {
			break
		}
	}
	return last
}

// character returns how much of the text makes one character of the value, and
// whether that one is not space.
func character(text []rune, style token.Type) (size int, visible bool) {
	switch {
	case len(text) > 1 && style == token.SingleQuoteType && text[0] == '\'' && text[1] == '\'':
		return 2, true
	case len(text) < 2 || style != token.DoubleQuoteType || text[0] != '\\':
		return 1, !unicode.IsSpace(text[0])
	}
	digits := map[rune]int{'x': 2, 'u': 4, 'U': 8}[text[1]]
	if digits == 0 {
		return 2, strings.ContainsRune(`"\/0abe`, text[1])
	}
	size = min(2+digits, len(text))
	code, err := strconv.ParseInt(string(text[2:size]), 16, 32)
	return size, err == nil && !unicode.IsSpace(rune(code))
}
