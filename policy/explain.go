package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/writhq/writ"
)

// An Explanation is a verdict with what each rule had to do with it. It
// marshals to JSON, and String tells it to people.
type Explanation struct {
	Verdict writ.Verdict `json:"verdict"`
	Rules   []Finding    `json:"rules"`
}

// A Finding is one rule's part.
type Finding struct {
	Rule    string   `json:"rule"`
	Kind    string   `json:"kind"` // guardrail or route
	File    string   `json:"file"`
	Line    int      `json:"line"`
	Outcome Outcome  `json:"outcome"`
	Seen    []string `json:"seen,omitempty"`    // what its condition looked at: `subject.environment is "staging"`
	Met     []string `json:"met,omitempty"`     // what it requires and the request has
	Missing []string `json:"missing,omitempty"` // why it denies
}

// An Outcome says what became of a rule.
type Outcome string

// The outcomes.
const (
	Applies    Outcome = "applies"
	NotApplies Outcome = "does not apply"
	Fails      Outcome = "fails"       // its condition could not be evaluated
	Skipped    Outcome = "not reached" // an earlier route decides
)

// Explain gives the verdict and says how it came about.
func (p *Policy) Explain(q Query) Explanation {
	e := Explanation{}
	e.Verdict = p.judge(q, &e)
	for i, f := range e.Rules {
		for _, r := range e.Verdict.Reasons {
			if r.Deny && r.Rule == f.Rule {
				e.Rules[i].Missing = append(e.Rules[i].Missing, r.Text)
			}
		}
	}
	return e
}

// found notes what became of a rule. Without an explanation nothing is noted.
func (e *Explanation) found(r *rule, outcome Outcome, f *facts) {
	if e == nil {
		return
	}
	n := Finding{Rule: r.name, Kind: r.kind(), File: r.file, Line: r.line, Outcome: outcome}
	if r.when != nil && outcome != Skipped {
		n.Seen = r.when.Seen(&f.Facts)
	}
	e.Rules = append(e.Rules, n)
}

func (e *Explanation) met(r *rule, words string) {
	if e == nil {
		return
	}
	i := slices.IndexFunc(e.Rules, func(f Finding) bool { return f.Rule == r.name })
	e.Rules[i].Met = append(e.Rules[i].Met, words)
}

// String tells the explanation line by line.
func (e Explanation) String() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	v := e.Verdict
	switch {
	case !v.Allowed:
		line("denied")
	case len(v.Stages) == 0:
		line("allowed by route %s; nobody is asked", v.Route)
	default:
		line("allowed by route %s, once these people approve", v.Route)
	}
	for _, r := range v.Reasons {
		if r.Deny {
			line("  %s", r.Text)
		}
	}
	if !v.Allowed && len(v.Stages) > 0 {
		line("route %s would ask", v.Route)
	}
	for i, s := range v.Stages {
		line("  %d. %s: %d of %s", i+1, s.Name, s.Quorum, list(s.Approvers))
	}
	for _, f := range e.Rules {
		line("\n%s %s %s (%s:%d)", f.Kind, f.Rule, f.Outcome, f.File, f.Line)
		f.details(line)
	}
	return b.String()
}

func (f Finding) details(line func(string, ...any)) {
	for _, text := range f.Seen {
		line("  seen     %s", text)
	}
	for _, text := range f.Met {
		line("  met      %s", text)
	}
	for _, text := range f.Missing {
		line("  missing  %s", text)
	}
}

func list(people []writ.Approver) string {
	var out []string
	for _, a := range people {
		out = append(out, fmt.Sprintf("%s (%s)", a.Name, a.As))
	}
	if len(out) == 0 {
		return "nobody"
	}
	return strings.Join(out, ", ")
}
