package policy

import (
	"maps"
	"slices"
	"strings"

	"github.com/writhq/writ"
	"github.com/writhq/writ/policy/internal/condition"
	"github.com/writhq/writ/policy/internal/people"
	"github.com/writhq/writ/policy/internal/source"
)

// A rule is a guardrail or a route.
type rule struct {
	name, file string
	line       int
	route      bool
	when       *condition.Condition // nil: always
	conflicts  []string             // of a guardrail, which is then about these entitlements only
	deny       string               // of a guardrail
	maxFor     writ.Duration
	demands    []demand
	ticket     bool   // one is required
	good       string // the reason where all of them are met

	// Of a route.
	decideIn, startWithin writ.Duration
	witnessed             bool
	ends                  []string
	stages                []people.Stage
}

func (s reader) guardrail(n source.Node) *rule {
	var form guardrailForm
	if !s.Decode(n, &form) {
		return nil
	}
	r := s.rule(n, form.Name, form.When, "guardrail")
	r.deny = form.Deny.Value
	s.require(r, form.MaxFor, form.Require)
	asks, denies, parts := len(r.demands) > 0, strings.TrimSpace(r.deny) != "", len(form.Conflicts) > 0
	if parts {
		s.conflicts(r, form.Conflicts)
	}
	if len(r.deny) > 500 {
		s.Fail(form.Deny.At, "deny has %d bytes; say it in 500: it stands in every verdict", len(r.deny))
	}
	if asks == denies && !parts || parts && (asks || denies) {
		s.Fail(n, "guardrail %s: say exactly one of deny, conflicts, or what is required (require, maxFor)", r.name)
	}
	r.good = r.String() + " is met: " + r.words()
	return r
}

func (s reader) route(n source.Node) *rule {
	var form routeForm
	if !s.Decode(n, &form) {
		return nil
	}
	r := s.rule(n, form.Name, form.When, "route")
	r.route = true
	if !form.When.Set() {
		s.Fail(n, "route %s: when is missing; a route for everything says when: 'true'", r.name)
	}
	r.decideIn, r.startWithin, r.witnessed = s.Duration(form.DecideIn), s.Duration(form.StartWithin), s.Flag(form.Witnessed)
	s.require(r, form.MaxFor, form.Require)
	if r.startWithin > 0 {
		r.demands = append(r.demands, startWithin(r.startWithin))
	}
	for _, t := range form.Ends {
		s.end(r, t)
	}
	for _, st := range form.Stages {
		r.stages = append(r.stages, s.stage(r, st))
	}
	if automatic := s.Flag(form.Automatic); automatic == (len(r.stages) > 0) {
		s.Fail(n, "route %s: either stages say who approves, or automatic: true says that nobody is asked", r.name)
	}
	r.good = r.String() + " decides, and asks "
	for i, st := range r.stages {
		r.good += [...]string{"", ", then "}[min(i, 1)] + st.Name
	}
	if len(r.stages) == 0 {
		r.good += "nobody"
	}
	if len(r.demands) > 0 {
		r.good += "; met: " + r.words()
	}
	return r
}

// holds reports whether the rule applies.
func (r *rule) holds(f *facts) (bool, error) {
	switch {
	case len(r.conflicts) > 0 && !slices.Contains(r.conflicts, f.Terms.Entitlement.Name):
		return false, nil
	case r.when == nil:
		return true, nil
	}
	return r.when.Holds(&f.Facts)
}

// words are what the rule requires.
func (r *rule) words() string {
	var out []string
	for _, d := range r.demands {
		out = append(out, d.words)
	}
	return strings.Join(out, ", ")
}

func (s reader) rule(n source.Node, name, when source.Text, kind string) *rule {
	r := &rule{name: s.Word(name, n, kind), file: s.Name, line: source.Start(n).Line}
	if when.Set() {
		r.when = s.condition(when)
	}
	return r
}

func (s reader) condition(t source.Text) *condition.Condition {
	c, problems := condition.Compile(t.Value)
	for _, p := range problems {
		s.FailIn(t, p.Offset, p.Text)
	}
	return c
}

// require reads what a rule asks for.
func (s reader) require(r *rule, maxFor source.Text, n source.Node) {
	var form requireForm
	if n != nil && !s.Decode(n, &form) {
		return
	}
	r.ticket = form.Ticket.Set()
	r.maxFor = shorter(s.Duration(maxFor), s.Duration(form.MaxFor))
	if r.maxFor > 0 {
		r.demands = append(r.demands, atMost(r.maxFor))
	}
	if form.Justification.Set() {
		r.demands = append(r.demands, justification(s.Number(form.Justification, 0)))
	}
	if form.Ticket.Set() {
		r.demands = append(r.demands, ticket(form.Ticket.Value, s.Pattern(form.Ticket)))
	}
	for _, kind := range form.Ends {
		r.demands = append(r.demands, endOf(s.Word(kind, kind.At, "kind of end condition")))
	}
	for _, name := range slices.Sorted(maps.Keys(form.Scope)) {
		r.demands = append(r.demands, scope(name, form.Scope[name].Value, s.Pattern(form.Scope[name])))
	}
	if s.Flag(form.Sealed) {
		r.demands = append(r.demands, sealed())
	}
}

func shorter(a, b writ.Duration) writ.Duration {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

const ticketMark = "${ticket}"

// end reads an end condition that a route adds. ticketMark stands for the
// ticket in it, so there has to be one.
func (s reader) end(r *rule, t source.Text) {
	plain := strings.ReplaceAll(t.Value, ticketMark, "x")
	kind, name, ok := strings.Cut(plain, "/")
	switch {
	case !ok || kind == "" || name == "" || strings.Contains(plain, "${"):
		s.Fail(t.At, "%q: write an end condition as kind/name; only %s is filled in", t.Value, ticketMark)
	case plain != t.Value && !r.ticket:
		s.Fail(t.At, "%s is filled in from the ticket; require one with require: {ticket: PATTERN}", ticketMark)
	}
	r.ends = append(r.ends, t.Value)
}

func (s reader) conflicts(r *rule, list []source.Text) {
	names := source.Values(list)
	if slices.Sort(names); len(slices.Compact(names)) < 2 {
		s.Fail(list[0].At, "guardrail %s: conflicts names at least two entitlements that nobody may hold together", r.name)
	}
	r.conflicts = source.Values(list)
	r.demands = append(r.demands, parted(r.conflicts))
}
