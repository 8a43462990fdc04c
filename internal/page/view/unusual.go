package view

import (
	"slices"
	"strings"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/term"
)

// A Case is a request with what is on record around it.
type Case struct {
	writ.Request
	Directory *writ.Directory
	Now       time.Time
	Earlier   []writ.Request // that gave the subject the same entitlement
	Made      time.Time      // since when the subject is known; zero: that is not on record
	Owned     time.Time      // since when it has its present owner
}

// Fresh is how long an owner, a member or an identity counts as new.
const Fresh = 7 * 24 * time.Hour

// Production is the environment in which a mistake costs most.
const Production = "production"

// Unusual returns what an approver should stop at, the gravest first. It is no
// judgement: each is a fact of the ledger.
func (c Case) Unusual() (out []string) {
	t := c.Terms
	if t.Entitlement.Environment == Production {
		out = append(out, "in production")
	}
	if len(c.Earlier) == 0 {
		out = append(out, "the first time that "+string(t.Subject.Name)+" would get this")
	} else if longest := c.longest(); t.For > longest {
		out = append(out, "longer than ever before: at most "+longest.String()+" until now")
	}
	switch {
	case c.fresh(c.Made):
		out = append(out, string(t.Subject.Name)+" is known only since "+c.ago(c.Made))
	case c.fresh(c.Owned):
		out = append(out, string(t.Subject.Name)+" has another owner since "+c.ago(c.Owned)+": "+string(c.Directory.Identities[t.Subject.Name].Owner))
	}
	return append(out, c.newcomers()...)
}

func (c Case) longest() (d writ.Duration) {
	for _, r := range c.Earlier {
		d = max(d, r.Terms.For)
	}
	return d
}

func (c Case) fresh(at time.Time) bool { return !at.IsZero() && c.Now.Sub(at) < Fresh }

func (c Case) ago(at time.Time) string { return term.Span(c.Now.Sub(at).Round(time.Second)) }

// newcomers are approvers who decide as members of a group that they joined
// after it was made, and not long ago.
func (c Case) newcomers() (out []string) {
	for _, s := range c.Asked().Stages {
		for _, a := range s.Approvers {
			name, ok := strings.CutPrefix(a.As, "group ") // as policy says why they may
			g := c.Directory.Groups[writ.GroupRef(name)]
			who, known := c.Directory.Who(a.Party)
			if j, member := g.Since(who); ok && known && member && c.fresh(j.At) && later(g, j.At) {
				out = append(out, string(a.Name)+" is in "+string(writ.GroupRef(g.Name))+" only since "+c.ago(j.At))
			}
		}
	}
	return slices.Compact(out)
}

// later reports whether others were members before: whoever a group began with
// is no newcomer to it.
func later(g writ.Group, at time.Time) bool {
	for _, j := range g.Joined {
		if j.At.Before(at) {
			return true
		}
	}
	return false
}

var risks = []string{"low", "medium", "high", "critical"}

// Risk returns the label that says how much the entitlement could do, if there is any.
func (c Case) Risk() string { return c.Directory.Entitlements[c.Terms.Entitlement.Name].Labels["risk"] }

// Before orders cases for whoever decides them: by the risk that the
// entitlement is labelled with, production first, and then by their deadline.
func (c Case) Before(o Case) int {
	if d := slices.Index(risks, o.Risk()) - slices.Index(risks, c.Risk()); d != 0 {
		return d
	}
	if a, b := c.production(), o.production(); a != b {
		return b - a
	}
	return c.LapseAt.Compare(o.LapseAt)
}

func (c Case) production() int {
	if c.Terms.Entitlement.Environment == Production {
		return 1
	}
	return 0
}
