package writ

import (
	"reflect"
	"slices"
	"time"
)

// Approve is one approver's yes to exact terms.
type Approve struct {
	Digest   Digest   // of the terms that the approver saw
	Evidence Evidence // that it is theirs; found to hold
}

// Approved records it.
type Approved struct {
	Stage    string    `json:"stage"`
	Digest   Digest    `json:"digest"`
	Person   string    `json:"person,omitempty"`   // whose account it is, as it was known then
	For      Party     `json:"for,omitzero"`       // in whose place, by delegation
	Evidence *Evidence `json:"evidence,omitempty"` // none of a session
}

// Authorized says that the last stage has its quorum: a writ exists from now
// on, with absolute bounds.
type Authorized struct {
	From   time.Time `json:"from"`
	Until  time.Time `json:"until"`
	Serial string    `json:"serial"`
}

func (c Approve) decide(r Request, f Facts) ([]Body, error) {
	v, err := r.judge(c.Digest, f)
	if err != nil {
		return nil, err
	}
	if !v.Allowed {
		return nil, Errorf(Forbidden, "policy does not allow %s any more: %s", r.ID, v.Why())
	}
	if err := v.covers(r.Terms); err != nil {
		return nil, err
	}
	if err := r.stands(f.Directory); err != nil {
		return nil, err
	}
	if err := f.Directory.Current(r.Terms.Entitlement); err != nil {
		return nil, err
	}
	stage, ok := r.Open(v)
	if !ok {
		return nil, Errorf(Conflict, "%s has every approval it needs; it is authorized as soon as it is looked at again", r.ID)
	}
	place := stage.Place(f)
	if said, err := r.repeats(stage, place, f); said || err != nil {
		return nil, err
	}
	if !stage.Has(place.UID) {
		return nil, Errorf(Forbidden, "%s is not an approver of stage %s of %s; it waits for %s", f.Actor.Name, stage.Name, r.ID, stage.who())
	}
	if err := stage.admits(place, r, f); err != nil {
		return nil, err
	}
	if err := stage.accept(c.Evidence, r, f); err != nil {
		return nil, err
	}
	who, _ := f.Directory.Who(f.Actor)
	yes := Approved{Stage: stage.Name, Digest: c.Digest, Person: who.Person, Evidence: c.Evidence.signed()}
	if place != f.Actor {
		yes.For = place
	}
	r.Votes = append(slices.Clip(r.Votes), Vote{Stage: stage.Name, By: f.Actor})
	if _, waits := r.Open(v); waits {
		return []Body{yes}, nil
	}
	return []Body{yes, authorize(r.Terms, f.Now)}, nil
}

// admits refuses who would approve for themselves, in their own place or in
// somebody's, and whoever comes outside the stage's hours.
func (s Stage) admits(place Party, r Request, f Facts) error {
	for _, p := range []Party{f.Actor, place} {
		if err := f.Directory.Independent(p, r.Terms, s.Owner, f.Now); err != nil {
			return err
		}
	}
	for _, h := range s.Hours {
		if !h.Has(f.Now) {
			return Errorf(Conflict, "stage %s of %s takes approvals %s only; come back then", s.Name, r.ID, h)
		}
	}
	return nil
}

// Place returns in whose place the actor decides: their own if the stage asks
// them, else that of somebody who is away and whom it asks.
func (s Stage) Place(f Facts) Party {
	if s.Has(f.Actor.UID) {
		return f.Actor
	}
	for _, del := range f.Directory.DelegatedTo(f.Actor, f.Now) {
		from := Party{del.From, del.Who[0]}
		if who, ok := f.Directory.Who(from); ok && who.Active() && s.Has(from.UID) {
			return from
		}
	}
	return f.Actor
}

// repeats reports whether the actor has said yes in this stage already, and
// refuses a second yes of one person: one human, one vote.
func (r Request) repeats(s Stage, place Party, f Facts) (said bool, err error) {
	for _, v := range r.Votes {
		switch {
		case !v.of(f.Directory, f.Actor) && !v.of(f.Directory, place):
		case v.Stage == s.Name && v.of(f.Directory, f.Actor):
			return true, nil
		case v.Stage == s.Name:
			return false, Errorf(Conflict, "stage %s of %s has the approval of %s already, by %s", s.Name, r.ID, place.Name, v.By.Name)
		case !s.Repeat:
			return false, Errorf(Forbidden, "you approved stage %s of %s; stage %s needs somebody else", v.Stage, r.ID, s.Name)
		}
	}
	return false, nil
}

// judge refuses a vote that comes too late, or on other terms than these, and
// returns the stricter of the frozen verdict and today's.
func (r Request) judge(seen Digest, f Facts) (Verdict, error) {
	switch {
	case r.Status != StatusPending:
		return Verdict{}, Errorf(Conflict, "%s is %s; it waits for nobody", r.ID, r.Status)
	case !f.Now.Before(r.LapseAt):
		return Verdict{}, Errorf(Conflict, "%s lapsed at %s; it has to be asked for again", r.ID, r.LapseAt.Format(time.RFC3339))
	case seen != r.Digest:
		return Verdict{}, Errorf(Stale, "the terms of %s are %s, not the %s you saw; read them again", r.ID, r.Digest.Words(), seen.Words())
	}
	if who, ok := f.Directory.Who(f.Actor); !ok || !who.Active() || !who.Human() {
		return Verdict{}, Errorf(Forbidden, "%s cannot decide: only a person can", f.Actor.Name)
	}
	return r.stricter(f.Verdict), nil
}

// stands refuses a request that nobody stands behind any more.
func (r Request) stands(d *Directory) error {
	asked, ok := d.Who(r.Terms.Requester)
	if !ok || !asked.Active() {
		return Errorf(Conflict, "who asked for %s, %s, is %s; withdraw it and ask again", r.ID, r.Terms.Requester.Name, orElse(asked.State, "gone"))
	}
	if cause, unfit := d.unfit(r.Terms.Subject); cause != "" {
		return Errorf(Conflict, "%s gives no access: %s", r.ID, unfit)
	}
	return nil
}

// Current refuses a definition that is no longer what was asked for.
func (d *Directory) Current(def Definition) error {
	ent, ok := d.Entitlements[def.Name]
	if !ok || ent.UID != def.UID {
		return Errorf(Stale, "entitlement %s no longer exists; ask for another", def.Name)
	}
	now, err := d.Define(ent)
	if err != nil {
		return err
	}
	if reflect.DeepEqual(def, now) {
		return nil
	}
	a, errA := digest("writ/definition/v1", def) // the same may be written in other words
	b, errB := digest("writ/definition/v1", now)
	if errA != nil || errB != nil || a != b {
		return Errorf(Stale, "what %s gives has changed since it was asked for; it has to be asked for again", def.Name)
	}
	return nil
}

// of reports whether any account of a person cast the vote, or had it cast in
// their place, also where an account has changed hands or was made again since.
func (v Vote) of(d *Directory, p Party) bool {
	who, _ := d.Who(p)
	for _, by := range []Party{v.By, v.For} {
		other, known := d.Who(by)
		if by != (Party{}) && by.Name == p.Name || known && d.same(who, other) {
			return true
		}
	}
	return v.Person != "" && v.Person == who.Person
}

// authorize sets the absolute bounds. Nothing ever moves them.
func authorize(t Terms, now time.Time) Body {
	from := seconds(now)
	if t.StartAt.After(from) {
		from = t.StartAt
	}
	return Authorized{From: from, Until: from.Add(t.For.Std()), Serial: "writ-" + string(t.Request)}
}

func (s Stage) who() string {
	if len(s.Approvers) == 0 {
		return "nobody who still may; withdraw it and ask again"
	}
	text := ""
	for _, a := range s.Approvers {
		text += ", " + string(a.Name)
	}
	return text[2:]
}

// Kind returns "approved".
func (Approved) Kind() Kind { return "approved" }

func (b Approved) apply(r *Request, e Event) {
	r.Votes = append(slices.Clip(r.Votes), Vote{b.Stage, e.Actor, b.Person, b.Digest, e.At, b.For, b.Evidence})
	r.opened(e.At)
}

// Kind returns "authorized".
func (Authorized) Kind() Kind { return "authorized" }

func (b Authorized) apply(r *Request, _ Event) {
	r.From, r.Until, r.Serial, r.Retry = b.From, b.Until, b.Serial, b.From
}
