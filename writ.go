package writ

import (
	"slices"
	"time"
)

// An Order is the writ itself, before it is signed: the terms, who approved
// them, and absolute bounds. Only a signed one makes access exist.
type Order struct {
	V         int       `json:"v"` // of this structure: 1
	Serial    string    `json:"serial"`
	Request   ID        `json:"request"`
	Terms     Terms     `json:"terms"`
	Digest    Digest    `json:"digest"` // of Terms
	Approvals []Vote    `json:"approvals"`
	Verdict   Digest    `json:"verdict"`
	From      time.Time `json:"from"`
	Until     time.Time `json:"until"`
}

// Order returns the writ of an authorized request.
func (r Request) Order() (Order, error) {
	if !r.Status.Holds() && r.Status != StatusClosed {
		return Order{}, Errorf(Conflict, "%s is %s; no writ exists for it", r.ID, r.Status)
	}
	verdict, err := r.Verdict.Digest()
	return Order{
		V: 1, Serial: r.Serial, Request: r.ID, Terms: r.Terms, Digest: r.Digest,
		Approvals: r.Votes, Verdict: verdict, From: r.From, Until: r.Until,
	}, err
}

// Canonical returns JCS(o), the payload that is signed.
func (o Order) Canonical() ([]byte, error) { return canonical(o) }

// Check recomputes what the order says of itself and of r, and refuses any
// difference: nothing is done at a target that was not approved to the letter.
func (o Order) Check(r Request) error {
	terms, err := o.Terms.Digest()
	if err != nil {
		return err
	}
	own, err := r.Order()
	if err != nil {
		return err
	}
	a, errA := digest("writ/order/v1", o)
	b, errB := digest("writ/order/v1", own)
	switch {
	case errA != nil || errB != nil || a != b:
		return Errorf(Stale, "the writ of %s does not say what the request says; nothing is done", r.ID)
	case terms != o.Digest:
		return Errorf(Stale, "the terms of %s are not those that were approved; nothing is done", r.ID)
	case !o.Until.Equal(o.From.Add(o.Terms.For.Std())):
		return Errorf(Stale, "the writ of %s does not last as long as its terms say; nothing is done", r.ID)
	case o.From.Before(o.Terms.StartAt) || o.From.After(o.Terms.StartBy):
		return Errorf(Stale, "the writ of %s starts outside its terms; nothing is done", r.ID)
	}
	return o.checkVotes(r)
}

// checkVotes holds the approvals to the terms, to the stages and to each other.
func (o Order) checkVotes(r Request) error {
	for i, v := range o.Approvals {
		again := func(w Vote) bool { return w.By.UID == v.By.UID || w.Person != "" && w.Person == v.Person }
		stage := r.Verdict.stage(v.Stage)
		switch {
		case v.Digest != o.Digest:
			return Errorf(Stale, "the approval of %s by %s is of other terms; nothing is done", r.ID, v.By.Name)
		case slices.ContainsFunc(o.Approvals[:i], again):
			return Errorf(Stale, "%s is approved twice by the person of %s; nothing is done", r.ID, v.By.Name)
		case stage >= 0 && !r.Verdict.Stages[stage].Has(v.By.UID):
			return Errorf(Stale, "%s is approved by %s, who is not of stage %s; nothing is done", r.ID, v.By.Name, v.Stage)
		}
	}
	if stage, short := r.Open(r.Verdict); short {
		return Errorf(Stale, "%s lacks approvals in stage %s; nothing is done", r.ID, stage.Name)
	}
	return nil
}
