package policy

import (
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/writhq/writ"
)

// A rule is a guardrail or a route.
type rule struct {
	name, file string
	line       int
	route      bool
	when       *condition // nil: always
	conflicts  []string   // of a guardrail, which is then about these entitlements only
	deny       string     // of a guardrail
	maxFor     writ.Duration
	demands    []demand
	ticket     bool   // one is required
	good       string // the reason where all of them are met

	// Of a route.
	decideIn, startWithin writ.Duration
	ends                  []string
	stages                []stage
}

func (s *source) guardrail(n ast.Node) *rule {
	var form guardrailForm
	if !s.decode(n, &form) {
		return nil
	}
	r := s.rule(n, form.Name, form.When, "guardrail")
	r.deny = form.Deny.value
	s.require(r, form.MaxFor, form.Require)
	asks, denies, parts := len(r.demands) > 0, strings.TrimSpace(r.deny) != "", len(form.Conflicts) > 0
	if parts {
		s.conflicts(r, form.Conflicts)
	}
	if len(r.deny) > 500 {
		s.fail(start(form.Deny.at), "deny has %d bytes; say it in 500: it stands in every verdict", len(r.deny))
	}
	if asks == denies && !parts || parts && (asks || denies) {
		s.fail(start(n), "guardrail %s: say exactly one of deny, conflicts, or what is required (require, maxFor)", r.name)
	}
	r.good = r.String() + " is met: " + r.words()
	return r
}

func (s *source) route(n ast.Node) *rule {
	var form routeForm
	if !s.decode(n, &form) {
		return nil
	}
	r := s.rule(n, form.Name, form.When, "route")
	r.route = true
	if !form.When.set() {
		s.fail(start(n), "route %s: when is missing; a route for everything says when: 'true'", r.name)
	}
	r.decideIn, r.startWithin = s.duration(form.DecideIn), s.duration(form.StartWithin)
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
	if automatic := s.flag(form.Automatic); automatic == (len(r.stages) > 0) {
		s.fail(start(n), "route %s: either stages say who approves, or automatic: true says that nobody is asked", r.name)
	}
	r.good = r.String() + " decides, and asks "
	for i, st := range r.stages {
		r.good += [...]string{"", ", then "}[min(i, 1)] + st.name
	}
	if len(r.stages) == 0 {
		r.good += "nobody"
	}
	if len(r.demands) > 0 {
		r.good += "; met: " + r.words()
	}
	return r
}

// words are what the rule requires.
func (r *rule) words() string {
	var out []string
	for _, d := range r.demands {
		out = append(out, d.words)
	}
	return strings.Join(out, ", ")
}

func (s *source) rule(n ast.Node, name, when text, kind string) *rule {
	r := &rule{name: s.word(name, n, kind), file: s.Name, line: start(n).line}
	if when.set() {
		r.when = s.condition(when)
	}
	return r
}

// require reads what a rule asks for.
func (s *source) require(r *rule, maxFor text, n ast.Node) {
	var form requireForm
	if n != nil && !s.decode(n, &form) {
		return
	}
	r.ticket = form.Ticket.set()
	r.maxFor = shorter(s.duration(maxFor), s.duration(form.MaxFor))
	if r.maxFor > 0 {
		r.demands = append(r.demands, atMost(r.maxFor))
	}
	if form.Justification.set() {
		r.demands = append(r.demands, justification(s.number(form.Justification, 0)))
	}
	if form.Ticket.set() {
		r.demands = append(r.demands, ticket(form.Ticket.value, s.pattern(form.Ticket)))
	}
	for _, kind := range form.Ends {
		r.demands = append(r.demands, endOf(s.word(kind, kind.at, "kind of end condition")))
	}
	for _, name := range slices.Sorted(maps.Keys(form.Scope)) {
		r.demands = append(r.demands, scope(name, form.Scope[name].value, s.pattern(form.Scope[name])))
	}
	if s.flag(form.Sealed) {
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
func (s *source) end(r *rule, t text) {
	plain := strings.ReplaceAll(t.value, ticketMark, "x")
	kind, name, ok := strings.Cut(plain, "/")
	switch {
	case !ok || kind == "" || name == "" || strings.Contains(plain, "${"):
		s.fail(start(t.at), "%q: write an end condition as kind/name; only %s is filled in", t.value, ticketMark)
	case plain != t.value && !r.ticket:
		s.fail(start(t.at), "%s is filled in from the ticket; require one with require: {ticket: PATTERN}", ticketMark)
	}
	r.ends = append(r.ends, t.value)
}

func (s *source) conflicts(r *rule, list []text) {
	names := values(list)
	if slices.Sort(names); len(slices.Compact(names)) < 2 {
		s.fail(start(list[0].at), "guardrail %s: conflicts names at least two entitlements that nobody may hold together", r.name)
	}
	r.conflicts = values(list)
	r.demands = append(r.demands, parted(r.conflicts))
}
