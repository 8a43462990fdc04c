// Package term prints for people. It is the one place that does, and these are
// its rules:
//
//   - The result goes to standard output; what happens meanwhile, questions,
//     warnings and errors go to standard error.
//   - An error is one line, "writ: what, which one", and then a line with what
//     to do now. It starts in lower case and does not shout.
//   - Nothing that was written elsewhere reaches the terminal as it is: Safe
//     shows control characters and direction overrides instead of obeying them.
//   - What can be approved is shown whole: no leaf is left out, no id is cut.
//   - A moment is relative, with the exact one in UTC beside it.
//   - Lines fit the terminal. Colour helps but never carries
//     meaning; there is none outside a terminal or with NO_COLOR.
//   - No progress bars, no pictures, no praise.
package term

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/term"
)

// A Screen is where people read. Now is the moment that relative times start
// from.
type Screen struct {
	W     io.Writer
	Width int // of a line
	Color bool
	TTY   bool // a person sits there
	Now   func() time.Time
}

// What is no terminal has lines as long as they are: they are searched, not read.
const defaultWidth, leastWidth, mostWidth, endless = 80, 40, 120, 1 << 20

// New returns the screen behind a file, and what it can show.
func New(f *os.File) *Screen {
	s := &Screen{W: f, Width: endless, Now: time.Now}
	if !IsTerminal(f) {
		return s
	}
	if w, _, err := term.GetSize(f.Fd()); err == nil && w > 0 {
		s.Width = min(max(w, leastWidth), mostWidth)
	}
	s.TTY, s.Width = true, defaultWidth
	kind := os.Getenv("TERM")
	s.Color = os.Getenv("NO_COLOR") == "" && kind != "" && kind != "dumb"
	return s
}

// IsTerminal reports whether a person sits at the file.
func IsTerminal(f *os.File) bool { return term.IsTerminal(f.Fd()) }

// Markup is text that may reach the terminal as it is: made here, or Safe.
type Markup string

// The styles, by what they say.
const (
	bold   = "1"
	faint  = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
)

func (s *Screen) style(code, text string) Markup {
	if text = Safe(text); !s.Color || text == "" {
		return Markup(text)
	}
	return Markup("\x1b[" + code + "m" + text + "\x1b[0m")
}

// Bold marks what a line is about.
func (s *Screen) Bold(text string) Markup { return s.style(bold, text) }

// Faint marks what can be skipped.
func (s *Screen) Faint(text string) Markup { return s.style(faint, text) }

// Good marks what stands.
func (s *Screen) Good(text string) Markup { return s.style(green, text) }

// Pending marks what is under way.
func (s *Screen) Pending(text string) Markup { return s.style(yellow, text) }

// Bad marks what is refused.
func (s *Screen) Bad(text string) Markup { return s.style(red, text) }

// Say prints one line. Every argument is made Safe unless it is Markup. A line
// that is too long goes on below, indented two columns further than it starts.
func (s *Screen) Say(format string, args ...any) {
	line := s.line(format, args...)
	rest := strings.TrimLeft(line, " ")
	indent := len(line) - len(rest)
	s.wrap(strings.Repeat(" ", indent), indent+2, rest)
}

func (s *Screen) line(format string, args ...any) string {
	for i, a := range args {
		switch a := a.(type) {
		case Markup, int, int64:
		default:
			args[i] = Safe(fmt.Sprint(a))
		}
	}
	return fmt.Sprintf(format, args...)
}

// wrap prints text after a lead, and what does not fit below it at an indent.
// Words are never broken: an id or digest can be copied whole.
func (s *Screen) wrap(lead string, indent int, text string) {
	line, width := lead, ansi.StringWidth(lead)
	fresh := true
	for word := range strings.SplitSeq(text, " ") {
		w := ansi.StringWidth(word)
		if !fresh && width+1+w > s.Width {
			fmt.Fprintln(s.W, strings.TrimRight(line, " "))
			line, width, fresh = strings.Repeat(" ", indent), indent, true
		}
		if !fresh {
			line, width = line+" ", width+1
		}
		line, width, fresh = line+word, width+w, false
	}
	fmt.Fprintln(s.W, strings.TrimRight(line, " "))
}

// A Row is a label and its value.
type Row struct {
	Label string
	Value any // Markup, or anything that Safe is applied to
}

const widestLabel = 34

// Rows prints labels and values in two columns, all of it indented. Rows whose
// value is empty are left out.
func (s *Screen) Rows(indent int, rows ...Row) {
	column := 0
	for _, r := range rows {
		if w := ansi.StringWidth(Safe(r.Label)); w <= widestLabel {
			column = max(column, w)
		}
	}
	pad := strings.Repeat(" ", indent)
	for _, r := range rows {
		value := s.line("%v", r.Value)
		if value == "" {
			continue
		}
		label := Safe(r.Label)
		lead := pad + string(s.Faint(r.Label)) + strings.Repeat(" ", max(column-ansi.StringWidth(label), 0)+2)
		if indent+column+2+widest(value) > s.Width || ansi.StringWidth(label) > column {
			s.wrap(pad+string(s.Faint(r.Label)), indent, "")
			lead = pad + "  "
			s.wrap(lead, indent+2, value)
			continue
		}
		s.wrap(lead, indent+column+2, value)
	}
}

func widest(text string) (w int) {
	for word := range strings.SplitSeq(text, " ") {
		w = max(w, ansi.StringWidth(word))
	}
	return w
}

// Quote prints text that somebody wrote, line by line behind a bar, so that it
// cannot pass for anything that Writ says.
func (s *Screen) Quote(indent int, text string) {
	lead := strings.Repeat(" ", indent) + string(s.Faint("|")) + " "
	for line := range strings.SplitSeq(strings.ReplaceAll(strings.TrimSpace(text), "\r\n", "\n"), "\n") {
		for part := range strings.SplitSeq(ansi.Hardwrap(Safe(line), s.Width-indent-2, true), "\n") {
			fmt.Fprintln(s.W, strings.TrimRight(lead+part, " "))
		}
	}
}
