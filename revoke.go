package writ

import "time"

// The commands of whoever takes access away.
type (
	// BeginRevoke says that the target is about to be called.
	BeginRevoke struct{}
	// ReportRevoke says what came of it. An empty Problem is success: the
	// read-back in Seen shows that the access is gone, or that another request
	// holds it.
	ReportRevoke struct {
		Attempt  int
		Seen     Observation
		Instance string // of the target, where it was told and read
		Problem  string
		Signed   string // JWS of the Deed that this is, of success
	}
	// Find says that access was seen which should not be there.
	Find struct {
		Seen Observation
	}
)

// The events of an end.
type (
	// RevokeBegun is on record before the target is called.
	RevokeBegun struct {
		Attempt int `json:"attempt"`
		KeptBy  ID  `json:"keptBy,omitempty"` // the other request that still holds the same access
	}
	// Revoked says that access is gone, with what the target showed.
	Revoked struct {
		Attempt int         `json:"attempt"`
		Seen    Observation `json:"seen"`
		KeptBy  ID          `json:"keptBy,omitempty"`

		Instance string `json:"instance,omitempty"` // of the target, where that was read
		Signed   string `json:"signed,omitempty"`   // JWS of its Deed
	}
	// RevokeFailed says that it is not known to be gone. It is tried again, for ever.
	RevokeFailed struct {
		Attempt int    `json:"attempt"`
		Problem string `json:"problem"`
	}
	// Strayed says that access may have come into being, or was found, after
	// its end. It is taken away again.
	Strayed struct {
		Found string      `json:"found"`
		Seen  Observation `json:"seen,omitzero"`
	}
)

func (BeginRevoke) decide(r Request, f Facts) ([]Body, error) {
	if r.Status != StatusRevoking {
		return nil, Errorf(Conflict, "%s is %s; nothing is to be revoked", r.ID, r.Status)
	}
	b := RevokeBegun{Attempt: r.Attempt + 1}
	for _, s := range f.Siblings {
		if s.ID != r.ID && (s.Status == StatusActive || s.Status == StatusGranting) { // nothing keeps its own access
			b.KeptBy = s.ID
		}
	}
	return []Body{b}, nil
}

func (c ReportRevoke) decide(r Request, _ Facts) ([]Body, error) {
	if r.Status != StatusRevoking || c.Attempt != r.Attempt || !r.InFlight {
		return nil, nil // a later attempt has taken over
	}
	gone := c.Seen.State == Absent || r.KeptBy != ""
	switch {
	case c.Problem != "":
		return []Body{RevokeFailed{c.Attempt, c.Problem}}, nil
	case r.KeptBy == "" && r.Elsewhere(c.Instance) != nil:
		return []Body{RevokeFailed{c.Attempt, r.Elsewhere(c.Instance).Error()}}, nil
	case !gone:
		return []Body{RevokeFailed{c.Attempt, "the target was told, but the access still shows as " + string(c.Seen.State)}}, nil
	}
	return []Body{Revoked{c.Attempt, c.Seen, r.KeptBy, c.Instance, c.Signed}}, nil
}

// Elsewhere says that what is seen at an instance of the target proves nothing
// about this request, if so: access may have been made at another one. No call is
// begun before it is on record where, and none at a second place; so where
// nothing is on record, nothing was made.
func (r Request) Elsewhere(instance string) error {
	if r.Instance == "" || r.Instance == instance {
		return nil
	}
	return Errorf(Unavailable, "access was made at %s, but target %s now leads to %s; point its configuration back until %s has ended",
		r.Instance, r.Terms.Entitlement.Target, orElse(instance, "an unknown place"), r.ID)
}

func (c Find) decide(r Request, _ Facts) ([]Body, error) {
	if c.Seen.State != Present || r.Status != StatusClosed || r.KeptBy != "" {
		return nil, nil
	}
	return []Body{Strayed{"access was seen after its end", c.Seen}}, nil
}

// Kind returns "revoke-begun".
func (RevokeBegun) Kind() Kind { return "revoke-begun" }

func (b RevokeBegun) apply(r *Request, _ Event) {
	r.Attempt, r.InFlight, r.KeptBy = b.Attempt, true, b.KeptBy
}

// Kind returns "revoked".
func (Revoked) Kind() Kind { return "revoked" }

func (b Revoked) apply(r *Request, e Event) {
	r.Seen, r.InFlight, r.Tries, r.Problem, r.ClosedAt = b.Seen, false, 0, "", e.At
}

// Kind returns "revoke-failed".
func (RevokeFailed) Kind() Kind { return "revoke-failed" }

func (b RevokeFailed) apply(r *Request, e Event) { r.failed(b.Problem, e.At) }

// Kind returns "strayed".
func (Strayed) Kind() Kind { return "strayed" }

func (b Strayed) apply(r *Request, e Event) {
	r.Attempt++ // an answer to a revoke that is under way proves nothing any more
	r.InFlight, r.Retry, r.Problem = false, e.At, b.Found
	r.KeptBy, r.ClosedAt = "", time.Time{}
}
