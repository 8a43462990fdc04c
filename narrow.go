package writ

import (
	"slices"
	"time"
)

// Narrow lets an approver give less than was asked for. What is left out stays
// as it is. Approvals that were given keep counting: they were of more.
type Narrow struct {
	Digest  Digest            // of the terms that the approver saw
	For     Duration          // shorter
	Scope   map[string]string // values that the present ones cover
	Ends    []string          // more that ends it
	StartBy time.Time         // sooner
}

// Narrowed is a new revision of the terms, all of it.
type Narrowed struct {
	Terms Terms `json:"terms"`
}

func (c Narrow) decide(r Request, f Facts) ([]Body, error) {
	if err := r.asks(c.Digest, f); err != nil {
		return nil, err
	}
	t := r.Terms.clone()
	t.Revision++
	if c.For > 0 {
		t.For = c.For
	}
	if !c.StartBy.IsZero() {
		t.StartBy = seconds(c.StartBy)
	}
	for name, value := range c.Scope {
		t.Scope[name] = value
	}
	for _, end := range c.Ends {
		if !slices.Contains(t.Ends, end) {
			t.Ends = append(t.Ends, end)
		}
	}
	slices.Sort(t.Ends)
	if err := t.checkAsk(f.Now); err != nil {
		return nil, err
	}
	if !t.Narrows(r.Terms) {
		return nil, Errorf(Invalid, "that is not less than %s asks for: a shorter time, an earlier startBy, more ends, or a scope value that the present one covers; for anything else deny it and have it asked for again", r.ID)
	}
	if same := t; r.Terms.Narrows(same) {
		return nil, nil
	}
	return []Body{Narrowed{t}}, nil
}

// asks refuses who is not asked in the stage that is open, and who saw other terms.
func (r Request) asks(seen Digest, f Facts) error {
	v, err := r.judge(seen, f)
	if err != nil {
		return err
	}
	stage, ok := r.Open(v)
	if place := stage.Place(f); !ok || !stage.Has(place.UID) {
		return Errorf(Forbidden, "%s is not asked in stage %s of %s; it waits for %s", f.Actor.Name, stage.Name, r.ID, stage.who())
	}
	return f.Directory.Independent(f.Actor, r.Terms, stage.Owner, f.Now)
}

// Kind returns "narrowed".
func (Narrowed) Kind() Kind { return "narrowed" }

func (b Narrowed) apply(r *Request, _ Event) {
	r.Earlier = append(slices.Clip(r.Earlier), r.Terms)
	r.Terms = b.Terms
	r.Digest, _ = b.Terms.Digest()
	r.LapseAt = earlier(r.LapseAt, b.Terms.StartBy)
}
