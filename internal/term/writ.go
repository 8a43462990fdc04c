package term

import (
	"encoding/json"

	"github.com/writhq/writ"
)

// Writ explains a signed writ: what it allows, and on whose word.
func (s *Screen) Writ(o writ.Order, terms json.RawMessage, signed bool) error {
	t := o.Terms
	s.Say("%v", s.Bold(o.Serial))
	s.Say("  %s may have %s at target %s", t.Subject.Name, t.Entitlement.Name, t.Entitlement.Target)
	s.Say("  from %s until %s, asked by %s", s.When(o.From), s.When(o.Until), t.Requester.Name)
	for _, v := range o.Approvals {
		s.Say("  stage %s: %v by %s, %s", v.Stage, s.Good("approved"), voter(v), s.When(v.At))
	}
	if len(o.Approvals) == 0 {
		s.Say("  policy asked nobody")
	}
	for _, e := range o.Earlier {
		s.Say("  narrowed from revision %d, of %s", e.Revision, e.For)
	}
	if signed {
		s.Say("  %v: the key that you gave signed exactly this", s.Good("signed"))
	} else {
		s.Say("  %v: give --key to check who signed it", s.Pending("signature not checked"))
	}
	return s.Terms(terms, o.Digest)
}
