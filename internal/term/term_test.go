package term

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func screen(width int, color bool) (*Screen, *bytes.Buffer) {
	out := &bytes.Buffer{}
	return &Screen{W: out, Width: width, Color: color, Now: func() time.Time { return noon }}, out
}

// hostile is what somebody could write into a justification, a name or a value.
var hostile = map[string]string{
	"plain":                   "plain",
	"Grüße, 日本語":              "Grüße, 日本語",
	"red \x1b[31mtext":        `red \x1b[31mtext`,
	"title \x1b]0;x\x07":      `title \x1b]0;x\a`,
	"over\u202ewritten":       `over\u202ewritten`,
	"isolate \u2066x\u2069":   `isolate \u2066x\u2069`,
	"mark \u200e\u200f\u061c": `mark \u200e\u200f\u061c`,
	"zero\u200bwidth\ufeff":   `zero\u200bwidth\ufeff`,
	"two\nlines\r\n":          `two\nlines\r\n`,
	"back\b\b\b":              `back\b\b\b`,
	"c1 \u009b31m":            `c1 \u009b31m`,
	"separators \u2028\u2029": `separators \u2028\u2029`,
	"tag \U000e0041":          `tag \U000e0041`,
	"bad \xff utf-8":          `bad \xff utf-8`,
	"nul \x00 del \x7f":       `nul \x00 del \x7f`,
}

// TestHostileTextIsShownEscaped also when it is printed in a line, as a row or
// as a quotation.
func TestHostileTextIsShownEscaped(t *testing.T) {
	for text, want := range hostile {
		if got := Safe(text); got != want {
			t.Errorf("Safe(%q) = %q, want %q", text, got, want)
		}
		s, out := screen(200, true)
		s.Say("a %s b %v", text, s.Bold(text))
		s.Rows(0, Row{text, text})
		s.Quote(0, text)
		shown := strings.NewReplacer("\x1b[1m", "", "\x1b[2m", "", "\x1b[0m", "").Replace(out.String())
		for line := range strings.Lines(shown) {
			if l := strings.TrimSuffix(line, "\n"); l != Safe(l) {
				t.Errorf("%q reached the terminal in %q", text, l)
			}
		}
	}
}

// TestLinesFit wraps at words, keeps ids whole and indents what goes on.
func TestLinesFit(t *testing.T) {
	s, out := screen(30, false)
	s.Say("  %s waits for %s and then for %s", "req-01", "human/max", "human/sue")
	s.Rows(2, Row{"status", "active"}, Row{"none", ""}, Row{"reasons", "one two three four five six"},
		Row{"digest", strings.Repeat("0123456789", 4)})
	want := `  req-01 waits for human/max
    and then for human/sue
  status   active
  reasons  one two three four
           five six
  digest
    0123456789012345678901234567890123456789
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Error(d)
	}
}

// TestColourOnlyDecorates prints the same text with and without it.
func TestColourOnlyDecorates(t *testing.T) {
	print := func(color bool) string {
		s, out := screen(40, color)
		s.Say("%v: %v, %v or %v", s.Bold("req-1"), s.Good("active"), s.Bad("denied"), s.Pending("pending, waits for somebody"))
		s.Rows(2, Row{"label", s.Good("value")})
		return out.String()
	}
	if d := cmp.Diff(print(false), ansi.Strip(print(true))); d != "" {
		t.Error(d)
	}
	if print(false) == print(true) {
		t.Error("there is no colour at all")
	}
}

// TestEveryLeafIsShown with an unambiguous path and value.
func TestEveryLeafIsShown(t *testing.T) {
	rows, err := Leaves([]byte(`{"v":1,"scope":{},"ends":[],"why":"","grant":{"a.b":["x","1",true,null,1.50,{"deep":"  "}],
		"n":12345678901234567890,"\u202e":"over\u202e"},"of":"true","later":"\"q\"","path":"a\\d"}`))
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, r := range rows {
		got.WriteString(r.Label + " = " + string(r.Value.(Markup)) + "\n")
	}
	want := `v = 1
scope = {}
ends = []
why = ""
grant["a.b"][0] = x
grant["a.b"][1] = "1"
grant["a.b"][2] = true
grant["a.b"][3] = null
grant["a.b"][4] = 1.50
grant["a.b"][5].deep = "  "
grant.n = 12345678901234567890
grant["\u202e"] = "over\u202e"
of = "true"
later = "\"q\""
path = "a\\d"
`
	if d := cmp.Diff(want, got.String()); d != "" {
		t.Error(d)
	}
	for _, bad := range []string{``, `{`, `{"a":1}}`, `[1`, `{"a"}`} {
		if rows, err := Leaves([]byte(bad)); err == nil {
			t.Errorf("%s: got %v, want an error", bad, rows)
		}
	}
}

// FuzzLeaves: whatever is valid JSON is shown safely and is not cut short.
func FuzzLeaves(f *testing.F) {
	f.Add([]byte(`{"a":{"b":[1,2,{"c":"\u202e"}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, err := Leaves(data)
		if json.Valid(data) != (err == nil) {
			t.Fatalf("valid: %v, error: %v", json.Valid(data), err)
		}
		for _, r := range rows {
			if v := string(r.Value.(Markup)); v != Safe(v) {
				t.Fatalf("%q is not safe", v)
			}
		}
	})
}

// TestWhen says moments in words, and exactly.
func TestWhen(t *testing.T) {
	s, _ := screen(80, false)
	for d, want := range map[time.Duration]string{
		0:                               "now (2026-11-23T12:00:00Z)",
		5 * time.Second:                 "in 5s (2026-11-23T12:00:05Z)",
		-90 * time.Second:               "1m 30s ago (2026-11-23T11:58:30Z)",
		25 * time.Minute:                "in 25m (2026-11-23T12:25:00Z)",
		3*time.Hour + 12*time.Minute:    "in 3h 12m (2026-11-23T15:12:00Z)",
		24 * time.Hour:                  "in 1d (2026-11-24T12:00:00Z)",
		-50 * time.Hour:                 "2d 2h ago (2026-11-21T10:00:00Z)",
		90*24*time.Hour + 5*time.Minute: "in 90d (2027-02-21T12:05:00Z)",
	} {
		if got := s.When(noon.Add(d)); got != want {
			t.Errorf("%s: got %q, want %q", d, got, want)
		}
	}
	if got := s.When(time.Time{}); got != "" {
		t.Errorf("no moment: %q", got)
	}
}

// TestOnlyAClearYesIsYes.
func TestOnlyAClearYesIsYes(t *testing.T) {
	for answer, want := range map[string]bool{
		"y\n": true, "Yes\n": true, " y \n": true, "": false, "\n": false, "n\n": false, "yy\n": false, "yes please\n": false, "y": true,
	} {
		s, _ := screen(80, false)
		if got, err := s.Confirm(t.Context(), strings.NewReader(answer), "approve?"); err != nil || got != want {
			t.Errorf("%q: got %v, %v", answer, got, err)
		}
	}
}
