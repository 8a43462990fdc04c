package writ

import (
	"slices"
)

// A Verdict is what policy answered, with its reasons. The one given at submit
// is frozen into the request; a later one can only make it stricter.
type Verdict struct {
	Policy      Digest   `json:"policy"`
	Allowed     bool     `json:"allowed"`
	Route       string   `json:"route,omitempty"`
	Reasons     []Reason `json:"reasons"`
	Stages      []Stage  `json:"stages,omitempty"`
	MaxFor      Duration `json:"maxFor,omitempty"`      // zero: the entitlement's own limit
	Ends        []string `json:"ends,omitempty"`        // end conditions that policy adds
	DecideIn    Duration `json:"decideIn,omitempty"`    // undecided, the request lapses after this
	StartWithin Duration `json:"startWithin,omitempty"` // startBy is at most this after submit
	Witnessed   bool     `json:"witnessed,omitempty"`   // granted only when witnesses have cosigned the approvals
}

// A Reason is one rule's part in a verdict, in words a requester understands.
type Reason struct {
	Rule string `json:"rule"`
	Deny bool   `json:"deny,omitempty"`
	Text string `json:"text"`
}

// A Stage is one step of the route: how many distinct people, and who they may be.
type Stage struct {
	Name      string     `json:"name"`
	Quorum    int        `json:"quorum"`
	Owner     bool       `json:"owner,omitempty"` // it asks the subject's own owner, on purpose
	Approvers []Approver `json:"approvers"`

	Proof    Method      `json:"proof,omitempty"`    // the weakest that counts; empty: a session
	KeyAge   Duration    `json:"keyAge,omitempty"`   // a key that was enrolled later than this ago does not count
	Repeat   bool        `json:"repeat,omitempty"`   // who approved an earlier stage may approve this one, too
	Hours    []Hours     `json:"hours,omitempty"`    // approvals count only while all of them hold
	Remind   Duration    `json:"remind,omitempty"`   // who is asked is reminded this long after the stage opened, and again
	Escalate *Escalation `json:"escalate,omitempty"` // who is asked as well when nobody answers
}

// An Escalation asks more people when a stage waits for too long.
type Escalation struct {
	After Duration   `json:"after"` // since the stage opened
	To    []Approver `json:"to"`
}

// An Approver is a person who may decide in a stage, and why they may.
type Approver struct {
	Party
	As string `json:"as"` // "group security", "manager of human/ann"
}

// Has reports whether the person may decide in the stage.
func (s Stage) Has(uid UID) bool {
	return slices.ContainsFunc(s.Approvers, func(a Approver) bool { return a.UID == uid })
}

// Why returns the reasons that deny, as one text.
func (v Verdict) Why() string {
	text := ""
	for _, r := range v.Reasons {
		if r.Deny {
			text += "; " + r.Text
		}
	}
	if text == "" {
		return "no rule allows it"
	}
	return text[2:]
}

// Digest returns SHA-256("writ/verdict/v1\n" || JCS(v)).
func (v Verdict) Digest() (Digest, error) { return digest("writ/verdict/v1", v) }

// Tighten returns the stricter of two verdicts in every part: v as it was
// frozen, now as policy is. What either denies is denied; a stage of either is
// a stage; who may decide must be allowed by both.
func (v Verdict) Tighten(now Verdict) Verdict {
	out := v
	out.Policy, out.Allowed = now.Policy, v.Allowed && now.Allowed
	out.Reasons = slices.Concat(v.Reasons, now.Reasons)
	out.MaxFor, out.Witnessed = shorter(v.MaxFor, now.MaxFor), v.Witnessed || now.Witnessed
	out.Stages = nil
	for _, s := range v.Stages {
		if i := now.stage(s.Name); i >= 0 {
			s = s.tighten(now.Stages[i])
		}
		out.Stages = append(out.Stages, s)
	}
	for _, s := range now.Stages {
		if v.stage(s.Name) < 0 {
			out.Stages = append(out.Stages, s)
		}
	}
	for _, end := range now.Ends {
		if !slices.Contains(out.Ends, end) {
			out.Ends = append(slices.Clip(out.Ends), end)
		}
	}
	return out
}

// covers refuses terms that go beyond the verdict's limits.
func (v Verdict) covers(t Terms) error {
	if v.MaxFor > 0 && t.For > v.MaxFor {
		return Errorf(Forbidden, "policy now allows at most %s and %s asks for %s; it has to be asked for again", v.MaxFor, t.Request, t.For)
	}
	for _, end := range v.Ends {
		if !slices.Contains(t.Ends, end) {
			return Errorf(Forbidden, "policy now has %s end with %s; it has to be asked for again", t.Request, end)
		}
	}
	return nil
}

func (v Verdict) stage(name string) int {
	return slices.IndexFunc(v.Stages, func(s Stage) bool { return s.Name == name })
}

func (s Stage) tighten(now Stage) Stage {
	out := s
	out.Quorum, out.Owner, out.Repeat = max(s.Quorum, now.Quorum), s.Owner && now.Owner, s.Repeat && now.Repeat
	out.Proof, out.KeyAge = stronger(s.Proof, now.Proof), max(s.KeyAge, now.KeyAge)
	out.Approvers = both(s.Approvers, now.Approvers)
	for _, h := range now.Hours {
		if !slices.ContainsFunc(out.Hours, h.equal) {
			out.Hours = append(slices.Clip(out.Hours), h)
		}
	}
	if s.Escalate != nil && now.Escalate != nil {
		out.Escalate = &Escalation{s.Escalate.After, both(s.Escalate.To, now.Escalate.To)}
	} else {
		out.Escalate = nil
	}
	return out
}

// both returns the approvers that two lists name.
func both(a, b []Approver) (out []Approver) {
	for _, x := range a {
		if slices.ContainsFunc(b, func(y Approver) bool { return x.UID == y.UID }) {
			out = append(out, x)
		}
	}
	return out
}

func shorter(a, b Duration) Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
