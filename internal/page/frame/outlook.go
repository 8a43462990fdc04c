package frame

import (
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/door"
	"github.com/writhq/writ/policy"
)

// An Outlook is what policy would answer to the plainest ask for an
// entitlement: for a short time, with the first value of each parameter, without
// justification or ticket. It looks ahead and promises nothing.
type Outlook struct {
	Known   bool // the plainest ask can be made up
	Verdict writ.Verdict
}

// Ahead looks ahead at what a caller could ask for, for a subject.
func Ahead(d *door.Door, who door.Caller, subject writ.Ref, e writ.Entitlement) Outlook {
	f := writ.Facts{Now: time.Now().UTC(), Actor: who.Party, Directory: d.Store.Directory()}
	a := writ.Ask{
		Subject: subject, Entitlement: e.Name, Scope: map[string]string{}, For: min(e.MaxFor, shortly),
		PublicKey: "plainest", // a certificate needs one, and no rule looks at it
	}
	for name, p := range e.Scope {
		if p.Default == "" && len(p.OneOf) > 0 {
			a.Scope[name] = p.OneOf[0]
		}
	}
	terms, err := a.Terms("req-outlook", f)
	if err != nil {
		return Outlook{}
	}
	why := ""
	return Outlook{true, d.Judge.Verdict(policy.Query{Terms: terms, Why: &why, Facts: f})}
}

const shortly = writ.Duration(15 * time.Minute)
