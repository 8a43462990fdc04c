package policy

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/writhq/writ"
)

// TestRefusedPoliciesShowWhere reads testdata/refused: policies, and below the
// line of dashes what is said about them.
func TestRefusedPoliciesShowWhere(t *testing.T) {
	const line = "\n----------\n"
	files, err := filepath.Glob("testdata/refused/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			source, _, _ := strings.Cut(string(data), line)
			_, err = Compile(File{"p.yaml", source})
			if err == nil {
				t.Fatalf("it compiles")
			}
			golden(t, file, source+line+err.Error()+"\n")
		})
	}
}

func TestErrorsAreInvalidAndHavePlaces(t *testing.T) {
	_, err := Compile(File{"a.yaml", "kind: policy\nname: a\nroutes:\n  - name: r\n    when: subject.nam == 'x'\n    automatic: true\n    maxFor: 5\n"})
	var places [][2]int
	list, ok := err.(interface{ Unwrap() []error })
	if !ok || !errors.Is(err, writ.Invalid) {
		t.Fatalf("got %v", err)
	}
	for _, one := range list.Unwrap() {
		var e *Error
		if !errors.As(one, &e) || e.File != "a.yaml" {
			t.Fatalf("got %v", one)
		}
		places = append(places, [2]int{e.Line, e.Col})
	}
	if len(places) != 2 || places[0] != [2]int{5, 18} || places[1] != [2]int{7, 13} {
		t.Errorf("got %v, in\n%v", places, err)
	}
}

// TestPlacesInEveryStyle writes a condition in a random style of YAML, with
// one variable that does not exist, and looks whether the error stands on it.
func TestPlacesInEveryStyle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.SampledFrom([]string{
			`subject.name != "ü"`, `target.name == 'a b'`, `!("x" in subject.groups)`, "request.for > duration('5m')",
			`subject.name.matches("\\d+")`, `live.exists(l, l.target == "世界")`, `(true || false)`,
		}), 0, 4).Draw(t, "parts")
		parts = append([]string{"true"}, parts...)
		at := rapid.IntRange(0, len(parts)).Draw(t, "at")
		parts = append(parts[:at:at], append([]string{"bad"}, parts[at:]...)...)
		style := rapid.SampledFrom([]string{"plain", "single", "double", "literal", "folded", "flow"}).Draw(t, "style")
		expr := parts[0]
		for _, p := range parts[1:] {
			gap := " "
			if style != "flow" && rapid.Bool().Draw(t, "break") {
				gap = "\n" + strings.Repeat(" ", rapid.IntRange(8, 10).Draw(t, "indent"))
			}
			expr += " &&" + gap + p
		}
		source := "kind: policy\nname: é\nguardrails:\n  - " + inStyle(style, expr)
		_, err := Compile(File{"p.yaml", source})
		var found *Error
		for _, one := range unwrapped(err) {
			var e *Error
			if errors.As(one, &e) && strings.Contains(e.Text, "there is no variable 'bad'") {
				found = e
			}
		}
		if found == nil {
			t.Fatalf("%s\n%v", source, err)
		}
		line := []rune(strings.Split(source, "\n")[found.Line-1])
		if !strings.HasPrefix(string(line[found.Col-1:]), "bad") {
			t.Fatalf("%s\n%v", source, err)
		}
	})
}

func inStyle(style, expr string) string {
	switch style {
	case "single":
		return "when: '" + strings.ReplaceAll(expr, "'", "''") + "'"
	case "double":
		return `when: "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "ü", `\u00fc`).Replace(expr) + `"`
	case "literal":
		return "when: |  # as it is\n        " + expr + "\n"
	case "folded":
		return "when: >-\n        " + expr + "\n    name: x"
	case "flow":
		return "{name: x, when: '" + strings.ReplaceAll(expr, "'", "''") + "', deny: no}"
	}
	return "when: " + expr
}

func unwrapped(err error) []error {
	if list, ok := err.(interface{ Unwrap() []error }); ok {
		return list.Unwrap()
	}
	return nil
}

func TestSeveralDocumentsAreOnePolicy(t *testing.T) {
	first := "kind: policy\nname: a\nauthority: {administer: [human/max]}\nroutes: [{name: one, when: 'true', automatic: true}]\n"
	second := "kind: policy\nname: b\nauthority: {administer: [human/sue], audit: [group/security]}\nroutes: [{name: two, when: 'true', automatic: true}]\nguardrails: [{name: stop, when: 'request.ticket == \"no\"', deny: stopped}]\n"
	p := mustCompile(t, second, first)
	d := organisation()
	if v := p.Verdict(asking().query(t, d)); v.Route != "one" || !v.Allowed {
		t.Errorf("got route %q: %s", v.Route, v.Why())
	}
	if v := p.Verdict(asking(func(a *ask) { a.Ticket = "no" }).query(t, d)); v.Allowed || v.Why() != "stopped" {
		t.Errorf("the guardrail of b does not hold: %+v", v)
	}
	if a := p.Authority(d, "human/max"); a != (writ.Authority{Administer: true}) {
		t.Errorf("max: %+v", a)
	}
	if a := p.Authority(d, "human/sue"); a != (writ.Authority{Administer: true, Audit: true}) {
		t.Errorf("sue: %+v", a)
	}
	if q := mustCompile(t, first, second); q.Digest() != p.Digest() || mustCompile(t, first).Digest() == p.Digest() {
		t.Errorf("the digest is not of the texts in the order of their names")
	}
}

func TestDigestIsOfTheTexts(t *testing.T) {
	text := "kind: policy\nname: a\n"
	got := mustCompile(t, text).Digest()
	// printf 'writ/policy/v1\n["kind: policy\\nname: a\\n"]' | sha256sum
	if want := writ.Digest("sha256:55c5637633d00631114488d6709825abdfd0e72a9a7023c4ac21cace43c807bd"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAuthorityIsOfActiveIdentities(t *testing.T) {
	p := mustCompile(t, "authority: {administer: [group/security, human/gone], revoke: [service/robot], audit: [human/gus]}\n")
	d := organisation()
	for who, want := range map[writ.Ref]writ.Authority{
		"human/sue":     {Administer: true},
		"human/gus":     {},
		"service/robot": {Administer: true, Revoke: true},
		"human/ann":     {},
		"human/gone":    {},
		"":              {},
	} {
		if got := p.Authority(d, who); got != want {
			t.Errorf("%s: got %+v, want %+v", who, got, want)
		}
	}
	if got := p.Authority(nil, "human/sue"); got != (writ.Authority{}) {
		t.Errorf("without documents: %+v", got)
	}
}

func FuzzCompile(f *testing.F) {
	files, _ := filepath.Glob("testdata/refused/*.txt")
	for _, file := range files {
		if data, err := os.ReadFile(file); err == nil {
			f.Add(string(data))
		}
	}
	f.Add("kind: policy\nname: a\nroutes: [{name: one, when: 'true', automatic: true}]\n")
	d := organisation()
	q := asking().query(f, d)
	f.Fuzz(func(t *testing.T, source string) {
		p, err := Compile(File{"p.yaml", source})
		if err != nil {
			for _, one := range unwrapped(err) {
				var e *Error
				if !errors.As(one, &e) || e.Line < 1 || e.Col < 1 || e.Text == "" {
					t.Fatalf("an error without a place: %#v", one)
				}
			}
			return
		}
		v := p.Verdict(q)
		if v.Allowed && v.Route == "" || len(v.Reasons) == 0 {
			t.Fatalf("%+v", v)
		}
		p.Test(d, noon)
	})
}
