package policy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/writhq/writ"
)

// An Error is one thing that is wrong with a policy file, and where. Line and
// Col count from 1, Col in characters. It is a writ.Invalid.
type Error struct {
	File      string
	Line, Col int
	Text      string
	excerpt   string
}

// Error returns "file:line:col: text", and below it the line with a caret.
func (e *Error) Error() string { return e.brief() + e.excerpt }

// Unwrap returns writ.Invalid.
func (e *Error) Unwrap() error { return writ.Invalid }

func (e *Error) brief() string { return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Text) }

// A place is a character of a file, counted from 1.
type place struct{ line, col int }

// A source is one file while it is compiled. It gathers what is wrong.
type source struct {
	File
	lines []string
	errs  []*Error
}

func newSource(f File) *source { return &source{File: f, lines: strings.Split(f.Source, "\n")} }

func (s *source) fail(at place, format string, args ...any) {
	s.errs = append(s.errs, &Error{s.Name, at.line, at.col, fmt.Sprintf(format, args...), s.excerpt(at)})
}

// excerpt shows the line with a caret below the place. A long line is cut.
func (s *source) excerpt(at place) string {
	if at.line < 1 || at.line > len(s.lines) {
		return ""
	}
	line := []rune(strings.Map(printable, s.lines[at.line-1]))
	col := min(max(at.col-1, 0), len(line))
	from := max(0, col-80)
	shown := string(line[from:min(len(line), col+80)])
	below := strings.Map(blank, string(line[from:col]))
	return fmt.Sprintf("\n%5d | %s\n      | %s^", at.line, strings.TrimRight(shown, " \t"), below)
}

func printable(r rune) rune {
	switch {
	case r == '\r':
		return -1
	case r == '\t' || unicode.IsPrint(r):
		return r
	}
	return unicode.ReplacementChar
}

func blank(r rune) rune {
	if r == '\t' {
		return r
	}
	return ' '
}

// maxErrors is how many errors are shown. Who has more starts over anyway.
const maxErrors = 50

// join returns the errors of all files as one, in the order of the text.
func join(errs []*Error) error {
	slices.SortStableFunc(errs, func(a, b *Error) int {
		return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line, a.Col-b.Col)
	})
	var out []error
	for _, e := range errs[:min(len(errs), maxErrors)] {
		out = append(out, e)
	}
	if more := len(errs) - len(out); more > 0 {
		out = append(out, fmt.Errorf("and %d more", more))
	}
	return errors.Join(out...)
}

// start returns where a node stands: its header, if it is a block.
func start(n ast.Node) place {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		n = m.Values[0].Key // its own token is the first colon
	}
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return place{1, 1}
	}
	p := n.GetToken().Position
	return place{p.Line, p.Column}
}

// within returns where a character of a scalar's value stands in the file.
//
// YAML folds lines, strips indentation and escapes quotes, but in each of its
// styles the characters of the value that are not space are exactly those of
// the text, in their order. So it is enough to count them.
func (s *source) within(t text, offset int) place {
	value := []rune(t.value)
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
	return place{at.line, at.col + 1}
}

// nth returns the place of the nth character of a scalar that is not space.
func (s *source) nth(t text, n int) place {
	at, style := start(t.at), t.at.GetToken().Type
	last := place{at.line, at.col - 1}
	switch style {
	case token.LiteralType, token.FoldedType:
		at = place{at.line + 1, 1}
	case token.SingleQuoteType, token.DoubleQuoteType:
		last, at.col = at, at.col+1
	}
	for ; at.line <= len(s.lines); at = (place{at.line + 1, 1}) {
		line := []rune(s.lines[at.line-1])
		for i := at.col - 1; i < len(line) && n > 0; {
			size, visible := character(line[i:], style)
			if visible {
				last = place{at.line, i + 1}
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
