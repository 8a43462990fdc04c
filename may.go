package writ

// May is what the actor could do about a request now. It only looks ahead, for
// whoever shows it: each command decides again when it is given.
type May struct {
	Decide   bool  // in the stage that is open: say yes, give less, ask for one more person
	Stage    Stage // that one, as policy has it now
	For      Party // in whose place they would decide, by delegation
	Deny     bool
	Withdraw bool
	Release  bool
	Revoke   bool
}

// May returns what the actor could do about the request now.
func (r Request) May(f Facts) (m May) {
	can := func(c Command) bool {
		bodies, err := c.decide(r, f)
		return err == nil && len(bodies) > 0
	}
	m.Deny, m.Withdraw = can(Deny{Digest: r.Digest}), can(Withdraw{})
	m.Revoke = can(Revoke{})
	m.Release = r.Status.Holds() && can(Release{})
	v, err := r.judge(r.Digest, f)
	if err != nil || r.asks(r.Digest, f) != nil {
		return m
	}
	m.Stage, _ = r.Open(v)
	place := m.Stage.Place(f)
	said, err := r.repeats(m.Stage, place, f)
	m.Decide = err == nil && !said && f.Directory.Independent(place, r.Terms, m.Stage.Owner, f.Now) == nil
	if place != f.Actor {
		m.For = place
	}
	return m
}
