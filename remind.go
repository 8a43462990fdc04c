package writ

import (
	"slices"
	"time"
)

type (
	// Remind tells who is asked that a request still waits for them.
	Remind struct{}
	// Escalate asks more people when nobody has answered in time.
	Escalate struct{}

	// Reminded records a reminder to everybody whom the stage asks.
	Reminded struct {
		Stage string `json:"stage"`
	}
	// Escalated records who is asked as well from now on.
	Escalated struct {
		Stage string     `json:"stage"`
		To    []Approver `json:"to"`
	}
)

// next returns what a request that waits for people waits for besides them: a
// reminder, each twice as long after the stage opened as the one before, more
// people, or its lapse.
func (r Request) next() (Task, time.Time) {
	task, due := DoLapse, r.LapseAt
	s, _ := r.Open(r.Asked())
	if at := r.StageAt.Add(s.Remind.Std() << min(r.Reminders, 16)); s.Remind > 0 && at.Before(due) {
		task, due = DoRemind, at
	}
	if s.Escalate == nil || slices.Contains(r.Escalated, s.Name) {
		return task, due
	}
	if at := r.StageAt.Add(s.Escalate.After.Std()); at.Before(due) {
		task, due = DoEscalate, at
	}
	return task, due
}

// waits reports whether a task is due, and refuses one that is not yet.
func (r Request) waits(want Task, now time.Time) (bool, error) {
	if r.Status != StatusPending {
		return false, nil
	}
	task, due := r.next()
	if task == want && now.Before(due) {
		return false, Errorf(Conflict, "%s waits for that until %s", r.ID, due.Format(time.RFC3339))
	}
	return task == want, nil
}

func (Remind) decide(r Request, f Facts) ([]Body, error) {
	if due, err := r.waits(DoRemind, f.Now); !due {
		return nil, err
	}
	return []Body{Reminded{r.Stage}}, nil
}

func (Escalate) decide(r Request, f Facts) ([]Body, error) {
	if due, err := r.waits(DoEscalate, f.Now); !due {
		return nil, err
	}
	s, _ := r.Open(r.Asked())
	return []Body{Escalated{s.Name, s.Escalate.To}}, nil
}

// Kind returns "reminded".
func (Reminded) Kind() Kind { return "reminded" }

func (Reminded) apply(r *Request, _ Event) { r.Reminders++ }

// Kind returns "escalated".
func (Escalated) Kind() Kind { return "escalated" }

func (b Escalated) apply(r *Request, _ Event) {
	r.Escalated = append(slices.Clip(r.Escalated), b.Stage)
}
