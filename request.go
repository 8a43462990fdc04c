package writ

import (
	"slices"
	"time"
)

// A Status is where a request stands in its life.
type Status string

// The statuses. Once authorized, every way to Closed leads through Revoking.
const (
	StatusPending    Status = "pending"    // waits for people
	StatusDenied     Status = "denied"     // somebody or policy said no
	StatusWithdrawn  Status = "withdrawn"  // the requester took it back
	StatusLapsed     Status = "lapsed"     // nobody decided in time
	StatusAuthorized Status = "authorized" // a writ exists; waits for its start
	StatusGranting   Status = "granting"   // the target is being told
	StatusActive     Status = "active"     // access exists
	StatusRevoking   Status = "revoking"   // access is being taken away, for as long as that takes
	StatusClosed     Status = "closed"     // access was seen to be gone
)

// Live reports whether a request of this status holds access, may, or asks for it.
func (s Status) Live() bool {
	return s == StatusPending || s.Holds()
}

// Holds reports whether access may exist in the target.
func (s Status) Holds() bool {
	return s == StatusAuthorized || s == StatusGranting || s == StatusActive || s == StatusRevoking
}

// A Request is the life of one intent, as its events so far make it.
type Request struct {
	ID      ID        `json:"id"`
	Seq     int       `json:"seq"`
	Status  Status    `json:"status"`
	At      time.Time `json:"at"` // submitted
	Terms   Terms     `json:"terms"`
	Digest  Digest    `json:"digest"` // of Terms
	Verdict Verdict   `json:"verdict"`
	LapseAt time.Time `json:"lapseAt"` // undecided until then, it lapses
	Votes   []Vote    `json:"votes,omitempty"`
	Earlier []Terms   `json:"earlier,omitempty"` // before they were narrowed

	Stage     string    `json:"stage,omitempty"`  // that waits
	StageAt   time.Time `json:"stageAt,omitzero"` // since when
	Reminders int       `json:"reminders,omitempty"`
	Escalated []string  `json:"escalated,omitempty"` // stages that ask more people by now
	Extra     []Stage   `json:"extra,omitempty"`     // that approvers added

	From   time.Time `json:"from,omitzero"` // of the writ
	Until  time.Time `json:"until,omitzero"`
	Serial string    `json:"serial,omitempty"`
	Writ   string    `json:"writ,omitempty"` // JWS, from the first grant on

	Attempt  int         `json:"attempt,omitempty"`  // number of the last call to the target
	InFlight bool        `json:"inFlight,omitempty"` // its outcome is not known yet
	Tries    int         `json:"tries,omitempty"`    // failures in a row
	Retry    time.Time   `json:"retry,omitzero"`     // when the next call is due
	KeptBy   ID          `json:"keptBy,omitempty"`   // the request that keeps this access after the end
	Problem  string      `json:"problem,omitempty"`  // of the last failure
	Instance string      `json:"instance,omitempty"` // of the target, where access may have been made
	Receipt  Receipt     `json:"receipt,omitzero"`
	Seen     Observation `json:"seen,omitzero"` // the last read-back
	Claimed  *Claimed    `json:"claimed,omitempty"`
	End      *Ended      `json:"end,omitempty"`
	EndedAt  time.Time   `json:"endedAt,omitzero"`
	ClosedAt time.Time   `json:"closedAt,omitzero"` // access was proven gone, or never was
	Note     Commitment  `json:"note,omitempty"`    // of the denial
}

// A Vote is one person's signed yes to one terms digest.
type Vote struct {
	Stage  string    `json:"stage"`
	By     Party     `json:"by"`
	Person string    `json:"person,omitempty"` // whose account By was then
	Digest Digest    `json:"digest"`
	At     time.Time `json:"at"`

	For      Party     `json:"for,omitzero"`       // in whose place, by delegation
	Evidence *Evidence `json:"evidence,omitempty"` // none of a session
}

// Apply returns the request as it is after e. It is the only way a request changes.
func (r Request) Apply(e Event) (Request, error) {
	b, ok := e.Body.(step)
	if !ok {
		return r, Errorf(Invalid, "event %q is not part of a request's life", e.Body.Kind())
	}
	next, ok := life[b.Kind()].steps[r.Status]
	if !ok {
		return r, Errorf(Conflict, "request %s is %s: %s cannot follow", e.Stream, r.Status, b.Kind())
	}
	if r.Seq > 0 && e.Stream != string(r.ID) {
		return r, Errorf(Conflict, "request %s: an event of %s is none of its own", r.ID, e.Stream)
	}
	if e.Seq != r.Seq+1 {
		return r, Errorf(Conflict, "request %s: event %d follows event %d", e.Stream, e.Seq, r.Seq)
	}
	r.ID, r.Status, r.Seq = ID(e.Stream), next, e.Seq
	b.apply(&r, e)
	return r, nil
}

// Open returns the stage that v is waiting in: the first without its quorum. A
// stage is never without any: a quorum of zero is one forgotten.
func (r Request) Open(v Verdict) (Stage, bool) {
	for _, s := range v.Stages {
		if r.count(s.Name) < max(1, s.Quorum) {
			return s, true
		}
	}
	return Stage{}, false
}

func (r Request) count(stage string) (n int) {
	for _, v := range r.Votes {
		if v.Stage == stage {
			n++
		}
	}
	return n
}

// Asked returns the stages as they were frozen, with who is asked as well by now.
func (r Request) Asked() Verdict {
	v := r.Verdict
	v.Stages = slices.Clip(slices.Clone(v.Stages))
	for i, s := range v.Stages {
		if s.Escalate != nil && slices.Contains(r.Escalated, s.Name) {
			v.Stages[i].Approvers = slices.Concat(s.Approvers, s.Escalate.To)
		}
	}
	v.Stages = append(v.Stages, r.Extra...)
	return v
}

// stricter returns the stricter of the frozen verdict and today's, with who is
// asked as well by now.
func (r Request) stricter(now Verdict) Verdict {
	t := r
	t.Verdict = r.Verdict.Tighten(now)
	return t.Asked()
}

// opened notes since when the stage that waits does.
func (r *Request) opened(at time.Time) {
	if s, _ := r.Open(r.Asked()); s.Name != r.Stage {
		r.Stage, r.StageAt, r.Reminders = s.Name, at, 0
	}
}

// Waiting returns who could decide next: the approvers of the open stage who
// have not voted yet.
func (r Request) Waiting() []Approver {
	s, ok := r.Open(r.Asked())
	if !ok || r.Status != StatusPending {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.Approvers), func(a Approver) bool {
		return slices.ContainsFunc(r.Votes, func(v Vote) bool {
			return v.Stage == s.Name && (v.By.UID == a.UID || v.For.UID == a.UID) || !s.Repeat && v.By.UID == a.UID
		})
	})
}

// Live returns what decisions about other requests may know of this one.
func (r Request) Live() Live {
	e := r.Terms.Entitlement
	return Live{r.ID, r.Status, e.Name, e.Target, e.Environment, r.Terms.Hold(), r.InFlight}
}
