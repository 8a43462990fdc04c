package writ

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestNobodyApprovesForThemselves takes each road there is, one by one.
func TestNobodyApprovesForThemselves(t *testing.T) {
	d := worldDocuments()
	who := func(name Ref) Party { return d.Identities[name].Party() }
	for _, c := range []struct {
		road                string
		by, asked, for_     Ref
		ownerStage, allowed bool
	}{
		{"nobody near it", "human/ben", dee, ci, false, true},
		{"the requester", dee, dee, ci, false, false},
		{"the requester's second account", "human/dee2", dee, ci, false, false},
		{"the subject itself, a person", ivy, fay, ivy, false, false},
		{"the owner of the subject", dee, fay, ci, false, false},
		{"the deputy of the subject", eli, fay, ci, false, false},
		{"the owner's second account", "human/dee2", fay, ci, false, false},
		{"the owner, where the stage asks the owner", dee, fay, ci, true, true},
		{"the deputy, where the stage asks the owner", eli, dee, ci, true, true},
		{"the owner's second account, where the stage asks the owner", "human/dee2", fay, ci, true, true},
		{"the owner who asked, where the stage asks the owner", dee, dee, ci, true, false},
		{"the owner, by the subject's own hand, where the stage asks the owner", dee, ci, ci, true, false},
		{"an asker, where the stage asks the owner", fay, dee, ci, true, false},
		{"an asker of the subject", fay, dee, ci, false, false},
		{"an asker's second account", "human/fay2", dee, ci, false, false},
		{"the owner of a machine that asks for the subject", "human/hal", dee, ci, false, false},
		{"the owner of the machine that asked", "human/hal", "service/robot", ci, false, false},
		{"whoever the requester asks for", cyd, "agent/aide", ci, false, false},
		{"whoever the requester's machine asks for", cyd, ivy, "service/robot", false, false},
		{"the manager of the owner", ann, dee, ci, false, true},
	} {
		err := d.Independent(who(c.by), Terms{Requester: who(c.asked), Subject: who(c.for_)}, c.ownerStage, time.Time{})
		if c.allowed != (err == nil) || err != nil && !errors.Is(err, Forbidden) {
			t.Errorf("%s: got %v", c.road, err)
		}
	}
	terms := Terms{Requester: who(dee), Subject: who(ci)}
	if err := d.Independent(Party{ann, "an older uid"}, terms, false, time.Time{}); !errors.Is(err, Forbidden) {
		t.Errorf("an approver who no longer exists: got %v", err)
	}
	terms.Subject.UID = "an older uid"
	if err := d.Independent(who(ann), terms, false, time.Time{}); !errors.Is(err, Forbidden) {
		t.Errorf("a subject that no longer exists: got %v", err)
	}
}

// TestIndependentInAnyGraph compares the rule with a slow search of random
// directories: who owns, is deputy for, asks for or is the same person as whom.
func TestIndependentInAnyGraph(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawDirectory(t)
		names := slices.Sorted(maps.Keys(d.Identities))
		asked, subject := rapid.SampledFrom(names).Draw(t, "requester"), rapid.SampledFrom(names).Draw(t, "subject")
		owner := rapid.Bool().Draw(t, "owner stage")
		terms := Terms{Requester: d.Identities[asked].Party(), Subject: d.Identities[subject].Party()}
		for _, by := range names {
			if !d.Identities[by].Human() {
				continue
			}
			road := related(d, by, asked, time.Time{})
			if meant := owner && subject != asked && related(d, by, subject, time.Time{}) == "acts for"; road == "" && !meant {
				road = related(d, by, subject, time.Time{})
			}
			if err := d.Independent(d.Identities[by].Party(), terms, owner, time.Time{}); (err == nil) != (road == "") {
				t.Fatalf("%s approves what %s asks for %s (road %q): got %v", by, asked, subject, road, err)
			}
		}
	})
}

// drawDirectory draws a few people with accounts, machines, and who asks for whom.
func drawDirectory(t *rapid.T) *Directory {
	var humans, all []Ref
	for n := range 6 {
		humans = append(humans, Ref(fmt.Sprintf("human/h%d", n)))
	}
	all = slices.Clone(humans)
	for n := range 5 {
		all = append(all, Ref(fmt.Sprintf("service/s%d", n)))
	}
	refs := append([]Ref{"group/g"}, all...)
	docs := []Document{Group{Header: Header{Kind: "group", Name: "g"}, Members: rapid.SliceOfN(rapid.SampledFrom(all), 0, 3).Draw(t, "group/g")}}
	for _, name := range all {
		i := Identity{Header: Header{Kind: "identity", Name: string(name), UID: UID("u:" + name)}}
		if i.Human() {
			i.Person = rapid.SampledFrom([]string{"", "p1", "p2", "p3"}).Draw(t, "person of "+i.Name)
		} else {
			i.Owner = rapid.SampledFrom(humans).Draw(t, "owner of "+i.Name)
			i.Deputy = rapid.SampledFrom(append([]Ref{""}, humans...)).Draw(t, "deputy of "+i.Name)
		}
		i.Askers = rapid.SliceOfN(rapid.SampledFrom(refs), 0, 2).Draw(t, "askers of "+i.Name)
		docs = append(docs, i)
	}
	for n := range rapid.IntRange(0, 2).Draw(t, "delegations") {
		from, to := rapid.SampledFrom(humans).Draw(t, "away"), rapid.SampledFrom(humans).Draw(t, "there")
		docs = append(docs, Delegation{
			Header: Header{Kind: "delegation", Name: fmt.Sprintf("d%d", n)}, From: from, To: to, Who: [2]UID{UID("u:" + from), UID("u:" + to)},
			Until: time.Time{}.Add(time.Duration(rapid.IntRange(0, 1).Draw(t, "days")) * 24 * time.Hour),
		})
	}
	return NewDirectory(docs...)
}

// related names the road by which one identity would decide for the other, or
// nothing. It is the slow and plain reading of the rule that Independent must
// keep: whoever can act as the other, or ask for it, and the other way round.
func related(d *Directory, who, other Ref, now time.Time) string {
	switch {
	case sameBody(d, who, other):
		return "is"
	case actsFor(d, who)[other]:
		return "acts for"
	case asksFor(d, who, other):
		return "asks for"
	case asksFor(d, other, who):
		return "is asked for by"
	}
	for _, del := range d.Delegations {
		if sameBody(d, del.From, other) && sameBody(d, del.To, who) && !now.Before(del.Starts) && now.Before(del.Until) {
			return "decides in the place of"
		}
	}
	return ""
}

func sameBody(d *Directory, a, b Ref) bool {
	x, y := d.Identities[a], d.Identities[b]
	return a == b || x.Person != "" && x.Person == y.Person
}

// actsFor returns everybody that an identity can act as: itself, all accounts
// of the person, and what any of these own or are deputy for.
func actsFor(d *Directory, who Ref) map[Ref]bool {
	all := map[Ref]bool{who: true}
	for grew := true; grew; {
		grew = false
		for name, i := range d.Identities {
			reached := all[i.Owner] || all[i.Deputy]
			for known := range all {
				reached = reached || sameBody(d, known, name)
			}
			if reached && !all[name] {
				all[name], grew = true, true
			}
		}
	}
	return all
}

func asksFor(d *Directory, who, other Ref) bool {
	askers := d.Identities[other].Askers
	for name := range actsFor(d, who) {
		in := func(g Ref) bool { return g == name || slices.Contains(d.Groups[g].Members, name) }
		if slices.ContainsFunc(askers, in) {
			return true
		}
	}
	return false
}
