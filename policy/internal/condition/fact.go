package condition

import (
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"

	"github.com/writhq/writ"
)

// Facts are what conditions are about: the terms of a request, and the
// documents they name as those are now. They are made for one verdict and used
// by one goroutine.
type Facts struct {
	Terms       writ.Terms
	Directory   *writ.Directory
	Requester   writ.Identity
	Subject     writ.Identity
	Entitlement writ.Entitlement
	Target      writ.Target
	Live        []writ.Live // the subject's other requests
	Justified   bool
	Now         time.Time

	values [len(variables)]any // of the variables, each made when it is first asked for
}

var variables = [...]string{"requester", "subject", "entitlement", "target", "request", "live", "now"}

// What a variable may hold. The name of a field is its Go name with a small
// first letter; docs/reference/policy.md lists them.
type (
	identityFact struct {
		Name, Kind, Title, Purpose, Environment, State string
		Owner, Deputy, Manager                         string
		Labels                                         map[string]string
		Groups                                         []string
	}
	entitlementFact struct {
		Name, Title, Target, Credential string
		Labels                          map[string]string
		Owners                          []string
		MaxFor                          time.Duration
	}
	targetFact struct {
		Name, Title, Connector, Environment string
		Owners                              []string
	}
	requestFact struct {
		For               time.Duration
		StartAt           time.Time
		Ticket            string
		Scope             map[string]string
		Ends              []string
		Justified, Sealed bool
	}
	liveFact struct {
		Entitlement, Target, Environment, Status string
	}
)

// ResolveName returns a variable of a condition.
func (f *Facts) ResolveName(name string) (any, bool) {
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
func (f *Facts) Parent() cel.Activation { return nil }

func (f *Facts) variable(name string) any {
	t := f.Terms
	switch name {
	case "requester":
		return f.identity(f.Requester)
	case "subject":
		return f.identity(f.Subject)
	case "entitlement":
		return &entitlementFact{
			Name: t.Entitlement.Name, Title: f.Entitlement.Title, Target: t.Entitlement.Target, Credential: t.Entitlement.Credential,
			Labels: f.Entitlement.Labels, Owners: names(f.Entitlement.Owners), MaxFor: f.Entitlement.MaxFor.Std(),
		}
	case "target":
		return &targetFact{f.Target.Name, f.Target.Title, f.Target.Connector, f.Target.Environment, names(f.Target.Owners)}
	case "request":
		return &requestFact{t.For.Std(), t.StartAt.UTC(), t.Ticket, t.Scope, t.Ends, f.Justified, t.Recipient != ""}
	case "live":
		return f.live()
	case "now":
		return f.Now.UTC()
	}
	return nil
}

func (f *Facts) identity(i writ.Identity) *identityFact {
	state := i.State
	if i.Active() {
		state = "active"
	}
	groups := f.Directory.GroupsOf(i.Ref())
	out := &identityFact{
		i.Name, i.Ref().Kind(), i.Title, i.Purpose, i.Environment, state,
		string(i.Owner), string(i.Deputy), string(i.Manager), i.Labels, make([]string, len(groups)),
	}
	for n, g := range groups {
		_, out.Groups[n], _ = strings.Cut(string(g), "/")
	}
	return out
}

func (f *Facts) live() []liveFact {
	out := make([]liveFact, len(f.Live))
	for i, l := range f.Live {
		out[i] = liveFact{l.Entitlement, l.Target, l.Environment, string(l.Status)}
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
