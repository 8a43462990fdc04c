package policy

import (
	"slices"
	"strings"
)

// A Rule is a guardrail or route as it is listed.
type Rule struct {
	Name   string   `json:"name"`
	Kind   string   `json:"kind"` // guardrail or route
	File   string   `json:"file"`
	Line   int      `json:"line"`
	Denies string   `json:"denies,omitempty"` // why, where it applies
	Wants  []string `json:"wants,omitempty"`  // what it requires, in words
	Asks   []string `json:"asks,omitempty"`   // names of a route's stages; none: nobody is asked
}

// Rules lists the rules in the order in which they are looked at.
func (p *Policy) Rules() (out []Rule) {
	for _, r := range slices.Concat(p.guardrails, p.routes) {
		n := Rule{Name: r.name, Kind: r.kind(), File: r.file, Line: r.line, Denies: strings.TrimSpace(r.deny)}
		for _, d := range r.demands {
			n.Wants = append(n.Wants, d.words)
		}
		for _, s := range r.stages {
			n.Asks = append(n.Asks, s.Name)
		}
		out = append(out, n)
	}
	return out
}
