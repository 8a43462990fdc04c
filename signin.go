package writ

import (
	"maps"
	"slices"
)

// SignIn is what an issuer says of a person who signs in there.
type SignIn struct {
	Issuer  string
	Groups  []string // values of its claim for groups; nil: it is not asked
	Manager string   // subject of their manager there; empty: it does not say
}

// DecideSignIn answers with the events that make groups, and who the actor's
// manager is, what the issuer says. It says so of nobody else, and nothing about
// groups that it does not feed. Since when somebody is a member is on record, so
// that who was put into a group for the occasion does not count in it.
func DecideSignIn(c SignIn, f Facts) ([]Event, error) {
	who, ok := f.Directory.Who(f.Actor)
	if !ok || !who.Active() || !who.Human() {
		return nil, Errorf(Forbidden, "%s cannot sign in: only a person can", f.Actor.Name)
	}
	next, out := f.Directory.clone(), []Event(nil)
	change := func(doc Document) error {
		h := doc.Head()
		b, err := next.change(doc, h.UID)
		if err != nil || b == nil {
			return err
		}
		e := Event{Stream: h.Stream(), Seq: next.seqs[h.Stream()] + 1, At: f.Now, Actor: System, Body: *b}
		out = append(out, e)
		return next.apply(e)
	}
	for _, g := range sorted(f.Directory.Groups) {
		if err := change(c.feed(g, who, f)); err != nil {
			return nil, err
		}
	}
	if manager, ok := f.Directory.at(c.Issuer, c.Manager); ok && manager != who.Ref() {
		who.Manager = manager
		if err := change(who); err != nil {
			return nil, err
		}
	}
	return out, next.checkAll(out, false)
}

// feed returns the group as it is with what the issuer says of a person.
func (c SignIn) feed(g Group, who Identity, f Facts) Group {
	if c.Groups == nil || !g.fedBy(c.Issuer) {
		return g
	}
	belongs := slices.ContainsFunc(g.Claims, func(fed Fed) bool {
		return fed.Issuer == c.Issuer && slices.Contains(c.Groups, fed.Value)
	})
	j, since := g.Since(who)
	member := since && slices.Contains(g.Members, who.Ref())
	if belongs == member || member && j.From != c.Issuer { // whom somebody listed stays listed
		return g
	}
	joined := maps.Clone(g.Joined)
	if joined == nil {
		joined = map[Ref]Joined{}
	}
	g.Members = slices.DeleteFunc(slices.Clone(g.Members), func(m Ref) bool { return m == who.Ref() })
	delete(joined, who.Ref())
	if belongs {
		g.Members = append(g.Members, who.Ref())
		joined[who.Ref()] = Joined{UID: who.UID, At: seconds(f.Now), By: System, From: c.Issuer}
	}
	g.Joined = joined
	return g.ordered()
}

// ordered returns the group with whom somebody listed first, as they were
// listed, and then whom issuers put there: the same members are the same text.
func (g Group) ordered() Group {
	var listed, fed []Ref
	for _, m := range g.Members {
		if g.Joined[m].From == "" {
			listed = append(listed, m)
		} else {
			fed = append(fed, m)
		}
	}
	slices.Sort(fed)
	if fed != nil {
		g.Members = append(listed, fed...)
	}
	return g
}

func (g Group) fedBy(issuer string) bool {
	return slices.ContainsFunc(g.Claims, func(fed Fed) bool { return fed.Issuer == issuer && issuer != "" })
}

// at returns the only active person with this subject at an issuer.
func (d *Directory) at(issuer, subject string) (found Ref, ok bool) {
	for _, i := range sorted(d.Identities) {
		named := func(a Account) bool { return a.Issuer == issuer && a.Subject == subject && len(a.Claims) == 0 }
		if subject == "" || !i.Human() || !i.Active() || !slices.ContainsFunc(i.Accounts, named) {
			continue
		}
		if ok {
			return "", false
		}
		found, ok = i.Ref(), true
	}
	return found, ok
}
