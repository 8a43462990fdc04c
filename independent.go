package writ

import (
	"slices"
	"time"
)

// Independent refuses an approver who would approve for themselves, by any
// road: the requester, the subject, whoever answers or asks for them or is
// asked for by them, with any account or machine of the same person. A stage
// that asks the subject's owner on purpose lets the owner answer, but never for
// a request that comes from them.
func (d *Directory) Independent(actor Party, t Terms, owner bool, now time.Time) error {
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
		case d.standsIn(who, other, now):
			return no("they decide in the place of " + other.Name)
		}
	}
	return nil
}

// standsIn reports whether the person decides for the other, by delegation.
func (d *Directory) standsIn(who, other Identity, now time.Time) bool {
	for _, del := range d.Delegations {
		from, to := d.Identities[del.From], d.Identities[del.To]
		if del.Stands(now) && d.same(from, other) && d.same(to, who) {
			return true
		}
	}
	return false
}

// For reports whether an identity has a part in a request: it is the requester
// or the subject, answers for one of them, or one of them answers for it.
func (d *Directory) For(who Identity, t Terms) bool {
	for _, side := range []Party{t.Requester, t.Subject} {
		other, ok := d.Who(side)
		if ok && (d.same(who, other) || d.answersAs(who, other) || d.answersAs(other, who)) {
			return true
		}
	}
	return false
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
