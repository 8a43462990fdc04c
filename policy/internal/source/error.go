package source

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml"

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
func (e *Error) Error() string { return e.Brief() + e.excerpt }

// Brief returns "file:line:col: text".
func (e *Error) Brief() string { return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Text) }

// Unwrap returns writ.Invalid.
func (e *Error) Unwrap() error { return writ.Invalid }

// Fail says what is wrong with a node; with the whole file if it is nil.
func (s *Source) Fail(n Node, format string, args ...any) { s.fail(Start(n), format, args...) }

// FailIn says what is wrong with the character of a value that so many others
// stand before.
func (s *Source) FailIn(t Text, offset int, text string) { s.fail(s.within(t, offset), "%s", text) }

func (s *Source) fail(at Place, format string, args ...any) {
	s.Errors = append(s.Errors, &Error{s.Name, at.Line, at.Col, fmt.Sprintf(format, args...), s.excerpt(at)})
}

func (s *Source) failYAML(err error) {
	var e yaml.Error
	if !errors.As(err, &e) || e.GetToken() == nil || e.GetToken().Position == nil {
		s.Fail(nil, "%v", err)
		return
	}
	at := e.GetToken().Position
	s.fail(Place{at.Line, at.Column}, "%s", e.GetMessage())
}

// excerpt shows the line with a caret below the place. A long line is cut.
func (s *Source) excerpt(at Place) string {
	if at.Line < 1 || at.Line > len(s.lines) {
		return ""
	}
	line := []rune(strings.Map(printable, s.lines[at.Line-1]))
	col := min(max(at.Col-1, 0), len(line))
	from := max(0, col-80)
	shown := string(line[from:min(len(line), col+80)])
	below := strings.Map(blank, string(line[from:col]))
	return fmt.Sprintf("\n%5d | %s\n      | %s^", at.Line, strings.TrimRight(shown, " \t"), below)
}

func printable(r rune) rune {
	if r == '\t' || unicode.IsPrint(r) {
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

// Join returns the errors of all files as one, in the order of the text.
func Join(errs []*Error) error {
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
