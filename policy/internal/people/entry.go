package people

import (
	"github.com/writhq/writ"
	"github.com/writhq/writ/policy/internal/condition"
)

// An Entry says how to find people, and from what.
type Entry struct {
	find func(f *condition.Facts, of string) found
	of   string
	own  bool // it asks the subject's owner, on purpose
}

// ManagerOf asks the manager of "requester" or "subject".
func ManagerOf(party string) Entry { return Entry{find: managers, of: party} }

// OwnerOfSubject asks whoever answers for the subject, on purpose.
func OwnerOfSubject() Entry { return Entry{find: ownersOfSubject, own: true} }

// OwnerOfEntitlement asks its owners, or those of its target.
func OwnerOfEntitlement() Entry { return Entry{find: ownersOfEntitlement} }

// Group asks the members of a group.
func Group(name string) Entry { return Entry{find: members, of: name} }

// Person asks one person.
func Person(name string) Entry { return Entry{find: named, of: name} }

// found are identities that may approve unless something speaks against them.
type found struct {
	refs  []writ.Ref
	group writ.Ref // whose members they are
	as    string   // why they are asked
	none  string   // what to say where there are none
}

// managers finds the manager of a person, or of whoever answers for the
// identity if that is no person.
func managers(f *condition.Facts, of string) found {
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

func ownersOfSubject(f *condition.Facts, _ string) found {
	out := found{as: "owner of " + f.Subject.Name, none: "nobody active answers for " + f.Subject.Name}
	for _, h := range f.Directory.Accountable(f.Subject) {
		out.refs = append(out.refs, h.Ref())
	}
	return out
}

func ownersOfEntitlement(f *condition.Facts, _ string) found {
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

func members(f *condition.Facts, of string) found {
	group := writ.GroupRef(of)
	return found{f.Directory.Groups[group].Members, group, "group " + of, "group " + of + " has no members"}
}

func named(_ *condition.Facts, of string) found {
	return found{refs: []writ.Ref{writ.Ref(of)}, as: "named by policy"}
}
