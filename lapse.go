package writ

import "time"

// Lapse closes a request that nobody decided in time.
type Lapse struct{}

// Lapsed records that.
type Lapsed struct{}

func (Lapse) decide(r Request, f Facts) ([]Body, error) {
	if r.Status != StatusPending {
		return nil, nil
	}
	if f.Now.Before(r.LapseAt) {
		return nil, Errorf(Conflict, "%s can be decided until %s", r.ID, r.LapseAt.Format(time.RFC3339))
	}
	return []Body{Lapsed{}}, nil
}

// Kind returns "lapsed".
func (Lapsed) Kind() Kind { return "lapsed" }

func (Lapsed) apply(r *Request, e Event) { r.ClosedAt = e.At }
