package writ

import (
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
	Stage  string `json:"stage"`
	Digest Digest `json:"digest"`
	Person string `json:"person,omitempty"` // whose account it is, as it was known then

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
	if old, voted := r.voted(f.Directory, f.Actor); voted && old.Stage == stage.Name {
		return nil, nil // said already: no new fact
	} else if voted {
		return nil, Errorf(Forbidden, "you approved stage %s of %s; stage %s needs somebody else", old.Stage, r.ID, stage.Name)
	}
	if !stage.Has(f.Actor.UID) {
		return nil, Errorf(Forbidden, "%s is not an approver of stage %s of %s; it waits for %s", f.Actor.Name, stage.Name, r.ID, stage.who())
	}
	if err := f.Directory.Independent(f.Actor, r.Terms, stage.Owner); err != nil {
		return nil, err
	}
	if err := stage.accept(c.Evidence, r, f); err != nil {
		return nil, err
	}
	who, _ := f.Directory.Who(f.Actor)
	out := []Body{Approved{Stage: stage.Name, Digest: c.Digest, Person: who.Person, Evidence: c.Evidence.signed()}}
	r.Votes = append(slices.Clip(r.Votes), Vote{Stage: stage.Name, By: f.Actor})
	if _, waits := r.Open(v); waits {
		return out, nil
	}
	return append(out, authorize(r.Terms, f.Now)), nil
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
	return r.Verdict.Tighten(f.Verdict), nil
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
	a, errA := digest("writ/definition/v1", def)
	b, errB := digest("writ/definition/v1", now)
	if errA != nil || errB != nil || a != b {
		return Errorf(Stale, "what %s gives has changed since it was asked for; it has to be asked for again", def.Name)
	}
	return nil
}

// Independent refuses an approver who would approve for themselves, by any
// road: the requester, the subject, whoever answers or asks for them or is
// asked for by them, with any account or machine of the same person. A stage
// that asks the subject's owner on purpose lets the owner answer, but never for
// a request that comes from them.
func (d *Directory) Independent(actor Party, t Terms, owner bool) error {
	no := func(why string) error {
		return Errorf(Forbidden, "%s may not approve %s: %s; nobody approves for themselves", actor.Name, t.Request, why)
	}
	who, known := d.Who(actor)
	if !known {
		return no("they no longer exist")
	}
	for _, side := range []Party{t.Requester, t.Subject} {
		other, ok := d.Who(side)
		if !ok {
			return no(string(side.Name) + " no longer exists")
		}
		answers := d.answersAs(who, other)
		switch {
		case d.same(who, other):
			return no("it is theirs")
		case answers && owner && side == t.Subject && side != t.Requester:
			continue
		case answers:
			return no("they answer for " + other.Name)
		case d.asks(who, other):
			return no("they ask for " + other.Name)
		case d.asks(other, who):
			return no(other.Name + " asks for them")
		}
	}
	return nil
}

// voted returns the vote of any account of the person who acts: one human, one
// vote, also where an account has changed hands or was made again since.
func (r Request) voted(d *Directory, actor Party) (Vote, bool) {
	who, _ := d.Who(actor)
	for _, v := range r.Votes {
		other, known := d.Who(v.By)
		then := v.By.Name == actor.Name || v.Person != "" && v.Person == who.Person
		if then || known && d.same(who, other) {
			return v, true
		}
	}
	return Vote{}, false
}

// same reports whether two identities are one, or accounts of one person.
func (d *Directory) same(a, b Identity) bool {
	return a.UID == b.UID || a.Person != "" && a.Person == b.Person
}

// answersAs reports whether any account of the person who answers for the identity.
func (d *Directory) answersAs(who, identity Identity) bool {
	for _, ref := range []Ref{identity.Owner, identity.Deputy} {
		if owner, ok := d.Identities[ref]; ok && d.same(who, owner) {
			return true
		}
	}
	return false
}

// asks reports whether the identity may ask for the other, with any account of
// the person or anything that these answer for.
func (d *Directory) asks(who, other Identity) bool {
	return slices.ContainsFunc(d.Expand(other.Askers...), func(asker Identity) bool {
		return d.same(who, asker) || d.answersAs(who, asker)
	})
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
	r.Votes = append(slices.Clip(r.Votes), Vote{b.Stage, e.Actor, b.Person, b.Digest, e.At, b.Evidence})
}

// Kind returns "authorized".
func (Authorized) Kind() Kind { return "authorized" }

func (b Authorized) apply(r *Request, _ Event) {
	r.From, r.Until, r.Serial, r.Retry = b.From, b.Until, b.Serial, b.From
}
