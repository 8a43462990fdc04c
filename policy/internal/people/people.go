// Package people finds who may decide in the stages of a route: active humans,
// none of whom would approve for themselves.
package people

import (
	"fmt"
	"slices"
	"strings"

	"github.com/writhq/writ"
	"github.com/writhq/writ/policy/internal/condition"
)

// Max bounds who may be asked for one request: all of them stand in its
// verdict, which has to fit a ledger entry.
const Max = 100

// A Stage asks a number of people out of those that its entries name.
type Stage struct {
	writ.Stage               // what is the same for every request; nobody is asked in it yet
	Entries    []Entry       // who
	MemberAge  writ.Duration // whoever is in a group for less than this does not count as its member
	Late       []Entry       // who is asked as well when Escalate.After has passed
}

// A Cast is a stage with the people who may decide in it.
type Cast struct {
	writ.Stage
	persons []string // the humans they are: two accounts of one are one
	notes   []string // who may not, and why
}

// Cast finds the people of a stage for one request.
func (s Stage) Cast(f *condition.Facts) Cast {
	c := Cast{Stage: s.Stage}
	c.Approvers = c.find(f, s, s.Entries)
	for _, a := range c.Approvers {
		if i, ok := f.Directory.Who(a.Party); ok && !slices.Contains(c.persons, person(i)) {
			c.persons = append(c.persons, person(i))
		}
	}
	if s.Escalate != nil {
		late := (&Cast{Stage: c.Stage}).find(f, s, s.Late)
		c.Escalate = &writ.Escalation{After: s.Escalate.After, To: slices.DeleteFunc(late, func(a writ.Approver) bool { return c.Has(a.UID) })}
	}
	return c
}

func (c *Cast) find(f *condition.Facts, s Stage, entries []Entry) []writ.Approver {
	out := []writ.Approver{}
	for _, e := range entries {
		c.Owner = c.Owner || e.own
		who := e.find(f, e.of)
		if len(who.refs) == 0 {
			c.notes = append(c.notes, who.none)
		}
		for _, ref := range who.refs {
			i, why := may(f, ref, e.own)
			if why == "" && who.group != "" {
				why = joined(f, s.MemberAge, who.group, i)
			}
			if why != "" {
				c.notes = append(c.notes, why)
			} else if !slices.ContainsFunc(out, func(a writ.Approver) bool { return a.UID == i.UID }) {
				out = append(out, writ.Approver{Party: i.Party(), As: who.as})
			}
		}
	}
	return out
}

// may returns who it is, or why they may not approve this request.
func may(f *condition.Facts, ref writ.Ref, own bool) (who writ.Identity, why string) {
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
	if err := f.Directory.Independent(who.Party(), t, own, f.Now); err != nil {
		return who, err.Error()
	}
	return who, ""
}

// joined says why somebody does not count as a member of a group, if they do
// not: they are too new in it, or who asks has put them there.
func joined(f *condition.Facts, age writ.Duration, group writ.Ref, who writ.Identity) string {
	j, since := f.Directory.Groups[group].Since(who)
	if !since {
		return fmt.Sprintf("%s was made again after that name was put into %s; put it there again", who.Name, group)
	}
	if age > 0 && f.Now.Before(j.At.Add(age.Std())) {
		return fmt.Sprintf("%s is in %s since %s only, and counts after %s", who.Name, group, j.At.Format("2006-01-02 15:04"), age)
	}
	if by, ok := f.Directory.Who(j.By); ok && f.Directory.For(by, f.Terms) {
		return fmt.Sprintf("%s was put into %s by %s, who has a part in this request", who.Name, group, by.Name)
	}
	return ""
}

func person(i writ.Identity) string {
	if i.Person != "" {
		return "person " + i.Person
	}
	return "account " + string(i.UID)
}

// Short says why a stage cannot get its quorum, or nothing.
func (c Cast) Short() string {
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

// Crowded says why the stages cannot all get their quorums of different
// people, though each alone could, or nothing. One person decides in one stage,
// and again only in a stage that lets them.
func Crowded(stages []Cast) []string {
	var seats [][]string
	var names []string
	for _, c := range stages {
		if c.Repeat {
			continue
		}
		names = append(names, c.Name)
		for range c.Quorum {
			seats = append(seats, c.persons)
		}
	}
	if len(names) < 2 {
		return nil
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
