package writ

// Withdraw takes a request back before it is decided.
type Withdraw struct{}

// Withdrawn records that.
type Withdrawn struct{}

func (Withdraw) decide(r Request, f Facts) ([]Body, error) {
	switch {
	case !r.concerns(f):
		return nil, Errorf(Forbidden, "%s may not withdraw %s: only who asked, the subject, or who answers for it may", f.Actor.Name, r.ID)
	case r.Status == StatusWithdrawn:
		return nil, nil
	case r.Status.Holds():
		return nil, Errorf(Conflict, "%s is %s; to end access, release it", r.ID, r.Status)
	case r.Status != StatusPending:
		return nil, Errorf(Conflict, "%s is %s; nothing is left to withdraw", r.ID, r.Status)
	}
	return []Body{Withdrawn{}}, nil
}

// concerns reports whether the actor asked, is the subject, or answers for it.
func (r Request) concerns(f Facts) bool {
	return f.Actor.UID == r.Terms.Requester.UID || f.Actor.UID == r.Terms.Subject.UID ||
		f.Directory.Answers(f.Actor.Name, r.Terms.Subject.Name)
}

// Kind returns "withdrawn".
func (Withdrawn) Kind() Kind { return "withdrawn" }

func (Withdrawn) apply(r *Request, e Event) { r.ClosedAt = e.At }
