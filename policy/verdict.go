package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/writhq/writ"
	"github.com/writhq/writ/policy/internal/people"
)

// A Query is a request and what is known about it.
type Query struct {
	Terms writ.Terms
	Why   *string    // text of the justification, where it is at hand: at submit
	Facts writ.Facts // Directory, Now and Live are used
}

// Verdict says whether the policy allows the request, who has to approve it,
// and why. It does no I/O and reads no clock, and it never panics: whatever
// cannot be decided is denied, with a reason that names the rule.
//
// Terms without a policy digest are being asked for now. For them alone it is
// a reason to deny that a stage lacks people, or that the start is too late:
// an approver who leaves afterwards takes no approval back.
func (p *Policy) Verdict(q Query) writ.Verdict { return p.judge(q, nil) }

// denied is the verdict where no rule has a say.
func (p *Policy) denied(text string) writ.Verdict {
	if runes := []rune(text); len(runes) > 500 { // it is kept for ever
		text = string(runes[:499]) + "…"
	}
	return writ.Verdict{Policy: p.digest, Reasons: []writ.Reason{{Rule: "policy", Deny: true, Text: text}}}
}

// broken says in short why the policy does not compile.
func (p *Policy) broken() string {
	var first *Error
	if errors.As(p.err, &first) {
		return "the policy does not compile, so nothing is allowed: " + first.Brief()
	}
	return p.err.Error()
}

// A trial is one verdict in the making.
type trial struct {
	*facts
	rule    *rule // the one that is looked at
	verdict writ.Verdict
	trace   *Explanation // nil unless one is wanted
}

// judge gives the verdict, and writes down what it finds if trace is not nil.
func (p *Policy) judge(q Query, trace *Explanation) (v writ.Verdict) {
	if p.err != nil {
		return p.denied(p.broken())
	}
	t := &trial{verdict: writ.Verdict{Policy: p.digest}, trace: trace}
	defer func() {
		if problem := recover(); problem != nil {
			v = p.denied(fmt.Sprintf("%s could not be evaluated, so it denies: %v", t.rule, problem))
		}
	}()
	var err error
	if t.facts, err = gather(q); err != nil {
		return p.denied(err.Error())
	}
	var hits []*rule
	for _, r := range p.guardrails {
		if t.applies(r) == Applies {
			hits = append(hits, r)
		}
	}
	if route := t.choose(p.routes); route != nil {
		hits = append(hits, route)
	}
	for _, r := range hits {
		t.weigh(r)
	}
	t.verdict.Allowed = t.verdict.Route != "" && !slices.ContainsFunc(t.verdict.Reasons, func(r writ.Reason) bool { return r.Deny })
	return t.verdict
}

// applies asks a rule's condition. One that fails denies.
func (t *trial) applies(r *rule) Outcome {
	t.rule = r
	hit, err := r.holds(t.facts)
	outcome := NotApplies
	switch {
	case err != nil:
		outcome = Fails
		t.deny(fmt.Sprintf("%s could not be evaluated, so it denies: %v", r, err))
	case hit:
		outcome = Applies
	}
	t.trace.found(r, outcome, t.facts)
	return outcome
}

// choose returns the route that decides: the first that applies. One that
// fails decides too, with a no: it might have been the one.
func (t *trial) choose(routes []*rule) *rule {
	for i, r := range routes {
		outcome := t.applies(r)
		if outcome == NotApplies {
			continue
		}
		for _, later := range routes[i+1:] {
			t.trace.found(later, Skipped, t.facts)
		}
		if outcome == Fails {
			return nil
		}
		t.take(r)
		return r
	}
	t.verdict.Reasons = append(t.verdict.Reasons, writ.Reason{
		Rule: "policy", Deny: true, Text: fmt.Sprintf("no route covers %s for %s", t.Terms.Entitlement.Name, t.Terms.Subject.Name),
	})
	return nil
}

// take puts what the route itself says into the verdict.
func (t *trial) take(r *rule) {
	v := &t.verdict
	v.Route, v.DecideIn, v.StartWithin, v.Witnessed = r.name, r.decideIn, r.startWithin, r.witnessed
	for _, end := range r.ends {
		if t.Terms.Ticket != "" || !strings.Contains(end, ticketMark) { // a rule with the mark requires a ticket
			v.Ends = append(v.Ends, strings.ReplaceAll(end, ticketMark, t.Terms.Ticket))
		}
	}
	t.ends = slices.Concat(t.Terms.Ends, v.Ends)
}

// weigh asks for what a rule that applies requires.
func (t *trial) weigh(r *rule) {
	t.rule = r
	if r.deny != "" {
		t.deny(r.deny)
		return
	}
	t.verdict.MaxFor = shorter(t.verdict.MaxFor, r.maxFor)
	good := true
	for _, d := range r.demands {
		if d.met(t.facts) {
			t.trace.met(r, d.words)
			continue
		}
		good = false
		t.deny(fmt.Sprintf("%s requires %s: %s", r, d.words, d.amiss(t.facts)))
	}
	if good {
		t.verdict.Reasons = append(t.verdict.Reasons, writ.Reason{Rule: r.name, Text: r.good})
	}
	if r.route {
		t.seat(r)
	}
}

// seat finds the people of each stage. That there are too few matters while
// the request is being asked for.
func (t *trial) seat(r *rule) {
	var casts []people.Cast
	var problems []string
	total := 0
	for _, s := range r.stages {
		c := s.Cast(&t.Facts)
		casts = append(casts, c)
		t.verdict.Stages = append(t.verdict.Stages, c.Stage)
		total += len(c.Approvers)
		if c.Escalate != nil {
			total += len(c.Escalate.To)
		}
		if why := c.Short(); why != "" {
			problems = append(problems, why)
		}
	}
	if len(problems) == 0 {
		problems = people.Crowded(casts)
	}
	if total > people.Max {
		problems = append(problems, fmt.Sprintf("%d people could approve this, and at most %d may: name smaller groups", total, people.Max))
	}
	for _, why := range problems {
		t.verdict.Reasons = append(t.verdict.Reasons, writ.Reason{Rule: r.name, Deny: t.asked(), Text: why})
	}
}

func (t *trial) deny(text string) {
	t.verdict.Reasons = append(t.verdict.Reasons, writ.Reason{Rule: t.rule.name, Deny: true, Text: text})
}

// String names the rule in a sentence.
func (r *rule) String() string {
	if r == nil {
		return "the policy"
	}
	return r.kind() + " " + r.name
}

func (r *rule) kind() string {
	if r.route {
		return "route"
	}
	return "guardrail"
}
