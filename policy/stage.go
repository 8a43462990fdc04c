package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/writhq/writ"
	"github.com/writhq/writ/policy/internal/source"
)

// A stage asks a number of people out of those that its entries name.
type stage struct {
	name      string
	quorum    int
	approvers []approvers
}

// approvers is one entry: how to find people, and from what.
type approvers struct {
	find func(f *facts, of string) found
	of   string
	own  bool // it asks the subject's owner, on purpose
}

// found are identities that may approve unless something speaks against them.
type found struct {
	refs []writ.Ref
	as   string // why they are asked
	none string // what to say where there are none
}

// maxPeople bounds who may be asked for one request: all of them stand in its
// verdict, which has to fit a ledger entry.
const maxPeople = 100

func (s reader) stage(r *rule, n source.Node) stage {
	var form stageForm
	if !s.Decode(n, &form) {
		return stage{}
	}
	st := stage{name: s.Word(form.Name, n, "stage"), quorum: s.Number(form.Quorum, 1)}
	if slices.ContainsFunc(r.stages, func(o stage) bool { return o.name == st.name }) {
		s.Fail(n, "route %s has two stages %s; name them apart", r.name, st.name)
	}
	if len(form.Approvers) == 0 {
		s.Fail(n, "stage %s names no approvers", st.name)
	}
	for _, entry := range form.Approvers {
		st.approvers = append(st.approvers, s.approvers(entry))
	}
	return st
}

func (s reader) approvers(n source.Node) (a approvers) {
	var form approverForm
	if !s.Decode(n, &form) {
		return a
	}
	set := 0
	for _, t := range []source.Text{form.ManagerOf, form.OwnerOf, form.Group, form.Identity} {
		if t.Set() {
			set++
			a.of = t.Value
		}
	}
	switch ref := writ.Ref(a.of); {
	case form.ManagerOf.Set() && (a.of == "requester" || a.of == "subject"):
		a.find = managers
	case form.OwnerOf.Set() && a.of == "subject":
		a.find, a.own = ownersOfSubject, true
	case form.OwnerOf.Set() && a.of == "entitlement":
		a.find = ownersOfEntitlement
	case form.Group.Set() && source.IsWord(a.of):
		a.find = members
	case form.Identity.Set() && ref.Kind() == writ.Human && ref != writ.Human:
		a.find = named
	}
	if set != 1 || a.find == nil {
		s.Fail(n, "write one of: manager-of: requester, manager-of: subject, owner-of: subject, owner-of: entitlement, group: NAME, identity: human/NAME")
	}
	return a
}

// managers finds the manager of a person, or of whoever answers for the
// identity if that is no person.
func managers(f *facts, of string) found {
	who := f.Requester
	if of == "subject" {
		who = f.Subject
	}
	for _, h := range f.Directory.Accountable(who) {
		if h.Manager == "" {
			return found{none: h.Name + " has no manager; set manager in the identity document"}
		}
		return found{refs: []writ.Ref{h.Manager}, as: "manager of " + h.Name}
	}
	return found{none: "nobody active answers for " + who.Name}
}

func ownersOfSubject(f *facts, _ string) found {
	out := found{as: "owner of " + f.Subject.Name, none: "nobody active answers for " + f.Subject.Name}
	for _, h := range f.Directory.Accountable(f.Subject) {
		out.refs = append(out.refs, h.Ref())
	}
	return out
}

func ownersOfEntitlement(f *facts, _ string) found {
	what, owners := f.Entitlement.Name, f.Entitlement.Owners
	if len(owners) == 0 {
		what, owners = f.Target.Name, f.Target.Owners
	}
	out := found{as: "owner of " + what, none: what + " has no owners; set owners in its document"}
	for _, ref := range owners {
		if ref.IsGroup() {
			out.refs = append(out.refs, f.Directory.Groups[ref].Members...)
		} else {
			out.refs = append(out.refs, ref)
		}
	}
	return out
}

func members(f *facts, of string) found {
	return found{f.Directory.Groups[writ.GroupRef(of)].Members, "group " + of, "group " + of + " has no members"}
}

func named(_ *facts, of string) found {
	return found{refs: []writ.Ref{writ.Ref(of)}, as: "named by policy"}
}

// cast is a stage with the people who may decide in it.
type cast struct {
	writ.Stage
	persons []string // the humans they are: two accounts of one are one
	notes   []string // who may not, and why
}

// cast finds the people of a stage: active humans, none of whom would approve
// for themselves.
func (f *facts) cast(s stage) cast {
	c := cast{Stage: writ.Stage{Name: s.name, Quorum: s.quorum, Approvers: []writ.Approver{}}}
	for _, a := range s.approvers {
		c.Owner = c.Owner || a.own
		who := a.find(f, a.of)
		if len(who.refs) == 0 {
			c.notes = append(c.notes, who.none)
		}
		for _, ref := range who.refs {
			i, why := f.may(ref, a.own)
			if why != "" {
				c.notes = append(c.notes, why)
			} else if !c.Has(i.UID) {
				c.add(i, who.as)
			}
		}
	}
	return c
}

func (c *cast) add(i writ.Identity, as string) {
	c.Approvers = append(c.Approvers, writ.Approver{Party: i.Party(), As: as})
	if p := person(i); !slices.Contains(c.persons, p) {
		c.persons = append(c.persons, p)
	}
}

// may returns who it is, or why they may not approve this request.
func (f *facts) may(ref writ.Ref, own bool) (who writ.Identity, why string) {
	who, ok := f.Directory.Identities[ref]
	switch {
	case !ok:
		return who, "there is no " + string(ref)
	case !who.Human():
		return who, who.Name + " is not a person"
	case !who.Active():
		return who, who.Name + " is " + who.State
	}
	t := f.Terms
	t.Request = "this request"
	if err := f.Directory.Independent(who.Party(), t, own); err != nil {
		return who, err.Error()
	}
	return who, ""
}

func person(i writ.Identity) string {
	if i.Person != "" {
		return "person " + i.Person
	}
	return "account " + string(i.UID)
}

// short says why a stage cannot get its quorum, or nothing.
func (c cast) short() string {
	if len(c.persons) >= c.Quorum {
		return ""
	}
	text := fmt.Sprintf("stage %s needs %s, but ", c.Name, count(c.Quorum, "approver"))
	if n := len(c.persons); n > 0 {
		text += fmt.Sprintf("only %s may approve: ", count(n, "person"))
	}
	notes := slices.Compact(c.notes)
	if more := len(notes) - 5; more > 0 {
		notes = append(notes[:5:5], fmt.Sprintf("and %d more", more))
	}
	if len(notes) == 0 {
		notes = []string{"name more people"}
	}
	return text + strings.Join(notes, "; ")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// crowded says why the stages cannot all get their quorums of different
// people, though each alone could, or nothing. One person decides in one stage.
func crowded(stages []cast) []string {
	if len(stages) < 2 {
		return nil
	}
	var seats [][]string
	var names []string
	for _, c := range stages {
		names = append(names, c.Name)
		for range c.Quorum {
			seats = append(seats, c.persons)
		}
	}
	taken := map[string]int{}
	for i := range seats {
		if !sit(seats, i, taken, map[string]bool{}) {
			return []string{fmt.Sprintf("stages %s need %d different people, and too few may approve, as one person decides in one stage only; name more people",
				strings.Join(names, ", "), len(seats))}
		}
	}
	return nil
}

// sit finds somebody for a seat, moving others to where they may sit as well.
func sit(seats [][]string, i int, taken map[string]int, tried map[string]bool) bool {
	for _, p := range seats[i] {
		if tried[p] {
			continue
		}
		tried[p] = true
		if at, busy := taken[p]; !busy || sit(seats, at, taken, tried) {
			taken[p] = i
			return true
		}
	}
	return false
}
