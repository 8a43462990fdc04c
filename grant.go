package writ

import (
	"strings"
	"time"
)

// The commands of whoever carries a writ out. Each call to the target has an
// attempt number: an answer to any but the latest is not an answer.
type (
	// BeginGrant says that the target is about to be called.
	BeginGrant struct {
		Writ     string // JWS of r.Order(), made when there is none yet
		Instance string // which the target is now; empty: it did not say, and is not called

		Witnessed bool // witnesses have cosigned all that was decided so far
	}
	// ReportGrant says what came of it. An empty Problem is success.
	ReportGrant struct {
		Attempt int
		Receipt Receipt
		Seen    Observation
		Problem string
		Refused bool   // the target is up and says no: trying again will not help
		Signed  string // JWS of the Deed that this is, of success
	}
)

// The events of a grant.
type (
	// GrantBegun is on record before the target is called.
	GrantBegun struct {
		Attempt int    `json:"attempt"`
		Writ    string `json:"writ,omitempty"` // JWS, with the first attempt

		// Instance is which one of all systems that the target's configuration may
		// lead to is called, in the connector's words.
		Instance string `json:"instance,omitempty"`
	}
	// Granted says that access exists, and what was read back.
	Granted struct {
		Attempt int         `json:"attempt"`
		Receipt Receipt     `json:"receipt"`
		Seen    Observation `json:"seen"`
		Signed  string      `json:"signed,omitempty"` // JWS of its Deed
	}
	// GrantFailed says that the call did not succeed. Access may exist all the same.
	GrantFailed struct {
		Attempt int    `json:"attempt"`
		Problem string `json:"problem"`
	}
)

func (c BeginGrant) decide(r Request, f Facts) ([]Body, error) {
	if r.Status != StatusAuthorized && r.Status != StatusGranting {
		return nil, Errorf(Conflict, "%s is %s; nothing is to be granted", r.ID, r.Status)
	}
	if f.Now.Before(r.From) {
		return nil, Errorf(Conflict, "%s starts at %s", r.ID, r.From.Format(time.RFC3339))
	}
	r.InFlight = false // a call that was never answered is given up with the next one
	if end, over := r.mustEnd(f); over {
		return []Body{end}, nil
	}
	for _, s := range f.Siblings {
		if s.InFlight && s.Status == StatusRevoking {
			return nil, Errorf(Unavailable, "%s waits: the same access is being taken away for %s", r.ID, s.ID)
		}
	}
	if c.Instance != "" && r.Elsewhere(c.Instance) != nil {
		return []Body{Ended{Cause: DefinitionChanged, Detail: r.Elsewhere(c.Instance).Error()}}, nil
	}
	if r.stricter(f.Verdict).Witnessed && !c.Witnessed {
		return nil, Errorf(Unavailable, "%s waits until witnesses have cosigned its approvals; policy wants that", r.ID)
	}
	b := GrantBegun{Attempt: r.Attempt + 1, Instance: c.Instance}
	if r.Writ == "" {
		b.Writ = c.Writ
	}
	if r.Writ == "" && c.Writ == "" {
		return nil, Errorf(Invalid, "%s has no writ; without one nothing is granted", r.ID)
	}
	return []Body{b}, nil
}

// mustEnd returns why the request may not be decided, granted or held any longer.
func (r Request) mustEnd(f Facts) (Ended, bool) {
	v := r.stricter(f.Verdict)
	stage, short := r.Open(v)
	cause, unfit := f.Directory.unfit(r.Terms.Subject)
	narrower := v.covers(r.Terms)
	switch {
	case r.Status.Holds() && !f.Now.Before(r.Until):
		return Ended{Cause: Expired}, true
	case r.late(f.Now):
		return Ended{Cause: LateStart}, true
	case cause != "":
		return Ended{Cause: cause, Detail: unfit}, true
	case !v.Allowed:
		return Ended{Cause: PolicyTightened, Detail: v.Why()}, true
	case narrower != nil:
		return Ended{Cause: PolicyTightened, Detail: narrower.Error()}, true
	case short && r.Status != StatusPending:
		return Ended{Cause: PolicyTightened, Detail: "stage " + stage.Name + " now needs more approvals than it has"}, true
	}
	if r.Status == StatusActive {
		return Ended{}, false
	}
	if changed := f.Directory.Current(r.Terms.Entitlement); changed != nil {
		return Ended{Cause: DefinitionChanged, Detail: changed.Error()}, true
	}
	return Ended{}, false
}

// late reports whether the access did not start in time. Its start is the moment
// at which the call that makes it is put on record: of the calls that GrantBegun
// counts, the one whose answer is a success. So no call begins after StartBy. One
// that began by then may be answered later, within the time that one call may
// take; it started in time. If it fails, or is given up without an answer, nothing
// is known to exist, none may follow it, and what it may have made all the same is
// taken away.
func (r Request) late(now time.Time) bool {
	waits := r.Status == StatusAuthorized || r.Status == StatusGranting && !r.InFlight
	return waits && now.After(r.Terms.StartBy)
}

// unfit says why an identity may not get or keep access, if it may not.
func (d *Directory) unfit(subject Party) (Cause, string) {
	i, ok := d.Who(subject)
	switch {
	case !ok || !i.Active():
		return IdentityRetired, string(subject.Name) + " is " + orElse(i.State, "gone")
	case len(d.Accountable(i)) == 0:
		return OwnerLeft, "nobody active answers for " + string(subject.Name) + "; give it another owner"
	}
	return "", ""
}

func (c ReportGrant) decide(r Request, f Facts) ([]Body, error) {
	current := r.Status == StatusGranting && c.Attempt == r.Attempt && r.InFlight
	problem := c.problem()
	granted := Granted{c.Attempt, c.Receipt, c.Seen, c.Signed}
	switch {
	case r.Writ == "":
		return nil, Errorf(Conflict, "%s is %s; no grant of it was begun", r.ID, r.Status)
	case !current && r.Status == StatusGranting, r.Status == StatusActive && c.Attempt <= r.Attempt:
		return nil, nil // a later attempt is under way, or has succeeded, and covers it
	case !current && c.Refused:
		return nil, nil
	case !current: // the end came first, and this call may have made access after it
		return []Body{Strayed{Found: "a grant was answered after the end"}}, nil
	case c.Refused:
		return []Body{GrantFailed{c.Attempt, problem}, Ended{Cause: GrantRefused, Detail: problem}}, nil
	case problem != "":
		return []Body{GrantFailed{c.Attempt, problem}}, nil
	case !f.Now.Before(r.Until): // too late to be of use, and there all the same
		return []Body{granted, Ended{Cause: Expired}}, nil
	}
	return []Body{granted}, nil
}

// problem says why the call was no success: it said so itself, or the
// read-back does not show what was ordered.
func (c ReportGrant) problem() string {
	switch {
	case c.Problem != "":
		return c.Problem
	case c.Refused:
		return "the target refuses and does not say why"
	case c.Seen.State == Absent:
		return "the target was told, but the access does not show"
	case len(c.Seen.Differs) > 0:
		return "the target shows other than was ordered: " + strings.Join(c.Seen.Differs, "; ")
	}
	return ""
}

// Kind returns "grant-begun".
func (GrantBegun) Kind() Kind { return "grant-begun" }

func (b GrantBegun) apply(r *Request, _ Event) {
	r.Attempt, r.InFlight = b.Attempt, true
	if r.Writ == "" {
		r.Writ = b.Writ
	}
	if r.Instance == "" {
		r.Instance = b.Instance
	}
}

// Kind returns "granted".
func (Granted) Kind() Kind { return "granted" }

func (b Granted) apply(r *Request, _ Event) {
	r.Receipt, r.Seen, r.InFlight, r.Tries, r.Problem = b.Receipt, b.Seen, false, 0, ""
}

// Kind returns "grant-failed".
func (GrantFailed) Kind() Kind { return "grant-failed" }

func (b GrantFailed) apply(r *Request, e Event) { r.failed(b.Problem, e.At) }

// failed sets the next try: after 1 s, 2 s, 4 s, … and then every 8½ minutes.
func (r *Request) failed(problem string, at time.Time) {
	r.InFlight, r.Problem = false, problem
	r.Retry = at.Add(time.Second << min(r.Tries, 9))
	r.Tries++
}
