package term

import (
	"encoding/json"
	"strings"

	"github.com/writhq/writ/client"
	"github.com/writhq/writ/policy"
)

// Preview shows what would become of an ask: what policy says, who would be
// asked, and the terms if there are any to show.
func (s *Screen) Preview(p client.Preview, terms json.RawMessage) error {
	v := p.Verdict
	switch {
	case !v.Allowed:
		s.Say("%v: %s", s.Bad("policy would refuse this"), v.Why())
	case len(v.Stages) == 0:
		s.Say("%v; nobody would be asked", s.Good("policy would allow this"))
	default:
		s.Say("%v, once these people approve:", s.Good("policy would allow this"))
	}
	for i, stage := range v.Stages {
		s.Say("  %d. %s: %s", i+1, stage.Name, people(stage))
	}
	if terms == nil {
		return nil
	}
	rows, err := Leaves(terms)
	s.Say("\n%v", s.Bold("Terms"))
	s.Rows(2, rows...)
	return err
}

// Rules shows what each rule had to do with a verdict.
func (s *Screen) Rules(rules []policy.Finding) {
	for _, f := range rules {
		s.Say("\n%s %v %v  (%s:%d)", f.Kind, s.Bold(f.Rule), s.outcome(f), f.File, f.Line)
		for _, line := range f.Seen {
			s.Say("  seen     %s", line)
		}
		for _, line := range f.Met {
			s.Say("  met      %s", line)
		}
		for _, line := range f.Missing {
			s.Say("  missing  %s", line)
		}
	}
}

func (s *Screen) outcome(f policy.Finding) Markup {
	switch {
	case len(f.Missing) > 0 || f.Outcome == policy.Fails:
		return s.Bad(string(f.Outcome))
	case f.Outcome == policy.Applies:
		return s.Good(string(f.Outcome))
	}
	return s.Faint(string(f.Outcome))
}

// Results shows what came of the examples of a policy.
func (s *Screen) Results(results []policy.Result) {
	for _, r := range results {
		if len(r.Problems) == 0 {
			s.Say("%v    %s", s.Good("ok"), r.Name)
			continue
		}
		s.Say("%v  %s  (%s:%d)", s.Bad("FAIL"), r.Name, r.File, r.Line)
		for _, p := range r.Problems {
			s.Say("      %s", strings.TrimSpace(p))
		}
	}
}
