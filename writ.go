package writ

import (
	"bytes"
	"errors"
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
	Digest    Digest    `json:"digest"`            // of Terms
	Earlier   []Terms   `json:"earlier,omitempty"` // of approvals that were given before the terms were narrowed
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
		V: 1, Serial: r.Serial, Request: r.ID, Terms: r.Terms, Digest: r.Digest, Earlier: r.Earlier,
		Approvals: r.Votes, Verdict: verdict, From: r.From, Until: r.Until,
	}, err
}

// Canonical returns JCS(o), the payload that is signed.
func (o Order) Canonical() ([]byte, error) { return canonical(o) }

// Check recomputes what the order says of itself and of r, and refuses any
// difference: nothing is done at a target that was not approved to the letter.
func (o Order) Check(r Request) error {
	own, err := r.Order()
	if err != nil {
		return err
	}
	a, errA := o.Canonical()
	b, errB := own.Canonical()
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		return Errorf(Stale, "the writ of %s does not say what the request says; nothing is done", r.ID)
	}
	if err := errors.Join(own.sound(), r.Vouched()); err != nil {
		return Errorf(Stale, "%v; nothing is done", err)
	}
	return nil
}

// Sound refuses an order that contradicts itself: terms that are not those of
// its digest, another duration, a start outside the terms, approvals of other
// terms. It cannot know whether the approvals are enough.
func (o Order) Sound() error {
	covered := covered(o.Terms, o.Digest, o.Earlier)
	for _, v := range o.Approvals {
		if !covered[v.Digest] {
			return Errorf(Stale, "the approval of %s by %s is of other terms", o.Request, v.By.Name)
		}
	}
	return o.sound()
}

func (o Order) sound() error {
	terms, err := o.Terms.Digest()
	switch {
	case err != nil:
		return err
	case terms != o.Digest:
		return Errorf(Stale, "the terms of %s are not those that were approved", o.Request)
	case o.Terms.Request != o.Request:
		return Errorf(Stale, "the writ of %s has the terms of %s", o.Request, o.Terms.Request)
	case !o.Until.Equal(o.From.Add(o.Terms.For.Std())):
		return Errorf(Stale, "the writ of %s does not last as long as its terms say", o.Request)
	case o.From.Before(o.Terms.StartAt) || o.From.After(o.Terms.StartBy):
		return Errorf(Stale, "the writ of %s starts outside its terms", o.Request)
	}
	return nil
}

// covered returns the digests of the terms that an approval may be of: these,
// and earlier ones that allowed all that these do.
func covered(t Terms, digest Digest, earlier []Terms) map[Digest]bool {
	out := map[Digest]bool{digest: true}
	for _, e := range earlier {
		if d, err := e.Digest(); err == nil && t.Narrows(e) {
			out[d] = true
		}
	}
	return out
}

// Vouched holds the approvals to the terms, to the stages and to each other,
// and refuses a request that lacks one.
func (r Request) Vouched() error {
	covered := covered(r.Terms, r.Digest, r.Earlier)
	asked := r.Asked()
	for i, v := range r.Votes {
		if !covered[v.Digest] {
			return Errorf(Stale, "the approval of %s by %s is of other terms", r.ID, v.By.Name)
		}
		at := asked.stage(v.Stage)
		if at < 0 {
			continue // of a stage that policy had for a while: it counts for none
		}
		s := asked.Stages[at]
		switch {
		case slices.ContainsFunc(r.Votes[:i], func(w Vote) bool { return v.doubles(w) && (v.Stage == w.Stage || !s.Repeat) }):
			return Errorf(Stale, "%s is approved twice by the person of %s", r.ID, v.By.Name)
		case !s.Has(v.Place().UID):
			return Errorf(Stale, "%s is approved by %s, who is not of stage %s", r.ID, v.Place().Name, v.Stage)
		case !v.method().Meets(s.Proof):
			return Errorf(Stale, "%s is approved by %s without the proof that stage %s wants", r.ID, v.By.Name, v.Stage)
		}
	}
	if stage, short := r.Open(asked); short {
		return Errorf(Stale, "%s lacks approvals in stage %s", r.ID, stage.Name)
	}
	return nil
}

// doubles reports whether two votes are one person's, or in one person's place.
func (v Vote) doubles(w Vote) bool {
	return v.By.UID == w.By.UID || v.Place().UID == w.Place().UID || w.Person != "" && w.Person == v.Person
}

// Place is whose vote it is: who cast it, or in whose place they did.
func (v Vote) Place() Party {
	if v.For != (Party{}) {
		return v.For
	}
	return v.By
}

func (v Vote) method() Method {
	if v.Evidence == nil {
		return BySession
	}
	return v.Evidence.Method
}
