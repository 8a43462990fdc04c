package policy

import (
	"slices"
	"strings"

	"cel.dev/cel-go/cel"

	"github.com/writhq/writ"
)

// facts are what one verdict is about: the terms, and the documents they name
// as those are now. They resolve the variables of a condition.
type facts struct {
	Query
	dir       *writ.Directory
	requester writ.Identity
	subject   writ.Identity
	ent       writ.Entitlement
	target    writ.Target
	ends      []string            // of the terms and the route
	values    [len(variables)]any // of the variables, each made when it is first asked for
}

// gather looks up what the terms name. A name that now belongs to another
// document, or to none, is refused: nothing could be said of it.
func gather(q Query) (*facts, error) {
	f, t := &facts{Query: q, dir: q.Facts.Directory}, q.Terms
	if f.dir == nil {
		return nil, writ.Errorf(writ.Unavailable, "the documents could not be read")
	}
	gone := func(kind, name string) error {
		return writ.Errorf(writ.Stale, "%s %s does not exist, or is not the one that was meant", kind, name)
	}
	var ok bool
	if f.requester, ok = f.dir.Who(t.Requester); !ok {
		return nil, gone("identity", string(t.Requester.Name))
	}
	if f.subject, ok = f.dir.Who(t.Subject); !ok {
		return nil, gone("identity", string(t.Subject.Name))
	}
	if f.ent, ok = f.dir.Entitlements[t.Entitlement.Name]; !ok || f.ent.UID != t.Entitlement.UID {
		return nil, gone("entitlement", t.Entitlement.Name)
	}
	if f.target, ok = f.dir.Targets[t.Entitlement.Target]; !ok || f.target.UID != t.Entitlement.TargetUID {
		return nil, gone("target", t.Entitlement.Target)
	}
	f.ends = t.Ends
	return f, nil
}

// asked reports whether the request is only now being asked for. Terms on
// record name the policy that judged them.
func (f *facts) asked() bool { return f.Terms.Policy == "" }

// justified reports whether there is a justification, as far as that is known.
func (f *facts) justified() bool {
	if f.Why != nil {
		return strings.TrimSpace(*f.Why) != ""
	}
	return f.Terms.Why != ""
}

// ResolveName returns a variable of a condition.
func (f *facts) ResolveName(name string) (any, bool) {
	i := slices.Index(variables[:], name)
	if i < 0 {
		return nil, false
	}
	if f.values[i] == nil {
		f.values[i] = f.variable(name)
	}
	return f.values[i], true
}

// Parent returns nil: there are no other variables.
func (f *facts) Parent() cel.Activation { return nil }

func (f *facts) variable(name string) any {
	t := f.Terms
	switch name {
	case "requester":
		return f.identity(f.requester)
	case "subject":
		return f.identity(f.subject)
	case "entitlement":
		return &entitlementFact{
			Name: t.Entitlement.Name, Title: f.ent.Title, Target: t.Entitlement.Target, Credential: t.Entitlement.Credential,
			Labels: f.ent.Labels, Owners: names(f.ent.Owners), MaxFor: f.ent.MaxFor.Std(),
		}
	case "target":
		return &targetFact{f.target.Name, f.target.Title, f.target.Connector, f.target.Environment, names(f.target.Owners)}
	case "request":
		return &requestFact{t.For.Std(), t.StartAt.UTC(), t.Ticket, t.Scope, t.Ends, f.justified(), t.Recipient != ""}
	case "live":
		return f.others()
	case "now":
		return f.Facts.Now.UTC()
	}
	return nil
}

func (f *facts) identity(i writ.Identity) *identityFact {
	state := i.State
	if i.Active() {
		state = "active"
	}
	groups := f.dir.GroupsOf(i.Ref())
	out := &identityFact{
		i.Name, i.Ref().Kind(), i.Title, i.Purpose, i.Environment, state,
		string(i.Owner), string(i.Deputy), string(i.Manager), i.Labels, make([]string, len(groups)),
	}
	for n, g := range groups {
		_, out.Groups[n], _ = strings.Cut(string(g), "/")
	}
	return out
}

// others lists the subject's other requests that hold access or ask for it.
func (f *facts) others() []liveFact {
	var out []liveFact
	for _, l := range f.Facts.Live {
		if l.ID != "" && l.ID == f.Terms.Request || !l.Status.Live() {
			continue
		}
		out = append(out, liveFact{l.Entitlement, l.Target, l.Environment, string(l.Status)})
	}
	return out
}

func names(refs []writ.Ref) []string {
	out := make([]string, len(refs))
	for i, r := range refs {
		out[i] = string(r)
	}
	return out
}
