package writ

import "time"

// A Task is work that a request waits for.
type Task string

// The tasks.
const (
	Nothing    Task = ""
	DoRemind   Task = "remind"
	DoEscalate Task = "escalate"
	DoLapse    Task = "lapse"
	DoGrant    Task = "grant"
	DoExpire   Task = "expire"
	DoRevoke   Task = "revoke"
)

// Todo returns what the request waits for, and from when on. There is no other
// scheduler: expiry cannot be forgotten in a second place.
func (r Request) Todo() (Task, time.Time) {
	switch r.Status {
	case StatusPending:
		return r.next()
	case StatusAuthorized, StatusGranting:
		late := r.Terms.StartBy.Add(time.Microsecond)
		return DoGrant, earlier(r.Retry, earlier(late, r.Until)) // BeginGrant ends what is over, or late
	case StatusActive:
		return DoExpire, r.Until
	case StatusRevoking:
		return DoRevoke, r.Retry
	}
	return Nothing, time.Time{}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
