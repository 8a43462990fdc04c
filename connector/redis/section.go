package redis

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/writhq/writ/connector"
)

// A section is the grant section of an entitlement. In patterns ${scope.NAME}
// stands for an approved scope parameter.
type section struct {
	Commands  []string `json:"commands"`  // rules in order: "+@read", "-keys", "+config|get"
	Keys      []string `json:"keys"`      // patterns of keys to read and write: "app:${scope.team}:*"
	ReadKeys  []string `json:"readKeys"`  // to read only
	WriteKeys []string `json:"writeKeys"` // to write only
	Channels  []string `json:"channels"`  // patterns of channels
}

// Check says what is wrong with a grant section.
func (Driver) Check(grant json.RawMessage, kind connector.Kind) error {
	_, err := parse(grant, kind)
	return err
}

func parse(grant json.RawMessage, kind connector.Kind) (section, error) {
	var g section
	if err := decode(grant, &g); err != nil {
		return g, refuse("grant section: %v", err)
	}
	if kind != connector.Password {
		return g, refuse("grant section: kind %q is not password", kind)
	}
	if err := g.check(); err != nil {
		return g, refuse("grant section: %v", err)
	}
	return g, nil
}

var (
	rule      = regexp.MustCompile(`^[+-](@[a-z]+|[a-z][a-z0-9_.-]*(\|[a-z0-9_.-]+)?)$`)
	parameter = regexp.MustCompile(`\$\{scope\.([A-Za-z0-9_-]+)\}`)
	printable = regexp.MustCompile(`^[!-~]+$`) // without spaces: an aclfile has one user a line, and spaces between rules
	segment   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
	requestID = regexp.MustCompile(`^req-[0-9a-z]{1,58}$`)
)

func (g section) check() error {
	if len(g.Commands) == 0 {
		return fmt.Errorf("commands is missing: which commands the user may run, such as +@read")
	}
	for _, r := range g.Commands {
		switch {
		case !rule.MatchString(r):
			return fmt.Errorf("commands: %q is no rule such as +@read, +get, -keys or +client|id, in lower case", r)
		case r == "+@admin":
			return fmt.Errorf("commands: @admin is never granted: who has it can make users of their own")
		}
	}
	for _, p := range g.patterns() {
		if err := wellFormed(p.text); err != nil {
			return fmt.Errorf("%s: %q %v", p.field, p.text, err)
		}
	}
	for _, kind := range [][]string{slices.Concat(g.Keys, g.ReadKeys, g.WriteKeys), g.Channels} {
		if err := distinct(kind); err != nil {
			return err
		}
	}
	return nil
}

// distinct refuses patterns that the server would merge or drop.
func distinct(patterns []string) error {
	for i, p := range patterns {
		if slices.Contains(patterns[:i], p) {
			return fmt.Errorf("pattern %q is there twice", p)
		}
		if p == "*" && len(patterns) > 1 {
			return fmt.Errorf("pattern \"*\" stands for all; leave the others out")
		}
	}
	return nil
}

// wellFormed refuses a pattern that would not mean what it says, or that a
// parameter could make mean more.
func wellFormed(pattern string) error {
	rest := parameter.ReplaceAllString(pattern, "")
	switch {
	case !printable.MatchString(pattern):
		return fmt.Errorf("is empty or has a character other than printable ASCII")
	case strings.Contains(rest, "${"):
		return fmt.Errorf("has something other than ${scope.NAME} to fill in")
	case rest != pattern && strings.ContainsAny(rest, `[]\`):
		return fmt.Errorf("has a parameter beside [, ] or \\, which would make a pattern of its value")
	}
	return nil
}

// A pattern is one pattern of a section, where it stands and how a rule about it
// begins.
type pattern struct{ field, sigil, text string }

func (g section) patterns() (all []pattern) {
	for _, f := range []struct {
		name, sigil string
		patterns    []string
	}{{"keys", "~", g.Keys}, {"readKeys", "%R~", g.ReadKeys}, {"writeKeys", "%W~", g.WriteKeys}, {"channels", "&", g.Channels}} {
		for _, text := range f.patterns {
			all = append(all, pattern{f.name, f.sigil, text})
		}
	}
	return all
}

// An order is a connector.Order understood.
type order struct {
	connector.Order
	section
	name string // of the user made for the request; empty: none could be
}

// read understands o, or refuses what cannot be granted.
func read(co connector.Order) (order, error) {
	g, err := parse(co.Grant, co.Kind)
	if err != nil {
		return order{}, err
	}
	o := locate(co)
	if o.name == "" {
		return o, refuse("request id %q is no name for a user: req- and up to 58 letters and digits", o.Request)
	}
	for _, name := range slices.Sorted(maps.Keys(g.parameters())) {
		if value := co.Scope[name]; !segment.MatchString(value) {
			return o, refuse("scope parameter %s is %q; in a pattern it is 1 to 128 letters, digits, _ and -, so that it neither matches nor reaches more than its own name", name, value)
		}
	}
	if err := o.check(); err != nil {
		return o, refuse("grant section, filled in: %v", err)
	}
	return o, nil
}

// parameters returns the names of the scope parameters that patterns use.
func (g section) parameters() map[string]bool {
	names := map[string]bool{}
	for _, p := range g.patterns() {
		for _, found := range parameter.FindAllStringSubmatch(p.text, -1) {
			names[found[1]] = true
		}
	}
	return names
}

// fill puts scope parameters into patterns.
func (g *section) fill(scope map[string]string) {
	for _, patterns := range [][]string{g.Keys, g.ReadKeys, g.WriteKeys, g.Channels} {
		for i, p := range patterns {
			patterns[i] = parameter.ReplaceAllStringFunc(p, func(found string) string {
				return scope[parameter.FindStringSubmatch(found)[1]]
			})
		}
	}
}

// locate understands as much of o as it takes to find what may have been granted
// for it, also where it would not be granted any more.
func locate(co connector.Order) order {
	o := order{Order: co}
	_ = json.Unmarshal(co.Grant, &o.section) // as much as can be read
	o.fill(co.Scope)
	if requestID.MatchString(co.Request) {
		o.name = prefix + strings.TrimPrefix(co.Request, "req-")
	}
	return o
}

// prefix is how the names of users made by Writ begin; the rest is the request's.
const prefix = "writ_"

// requested returns the request that the user of this name was made for, or "".
func requested(name string) string {
	rest, ok := strings.CutPrefix(name, prefix)
	if request := "req-" + rest; ok && requestID.MatchString(request) {
		return request
	}
	return ""
}

// rules returns the rules about patterns whose sigil ends so.
func (o order) rules(end string) (all []string) {
	for _, p := range o.patterns() {
		if strings.HasSuffix(p.sigil, end) {
			all = append(all, p.sigil+p.text)
		}
	}
	slices.Sort(all)
	return all
}

// commands returns the rules about commands. What lets a user make others, or
// change the server, is taken out last.
func (o order) commands() []string { return append(slices.Clone(o.Commands), "-@admin") }
