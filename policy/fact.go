package policy

import (
	"strings"

	"github.com/writhq/writ"
	"github.com/writhq/writ/policy/internal/condition"
)

// facts are what one verdict is about.
type facts struct {
	condition.Facts
	why  *string
	ends []string // of the terms and the route
}

// gather looks up what the terms name. A name that now belongs to another
// document, or to none, is refused: nothing could be said of it.
func gather(q Query) (*facts, error) {
	f, t, d := &facts{why: q.Why, ends: q.Terms.Ends}, q.Terms, q.Facts.Directory
	f.Terms, f.Directory, f.Now = t, d, q.Facts.Now
	if d == nil {
		return nil, writ.Errorf(writ.Unavailable, "the documents could not be read")
	}
	gone := func(kind, name string) error {
		return writ.Errorf(writ.Stale, "%s %s does not exist, or is not the one that was meant", kind, name)
	}
	var ok bool
	if f.Requester, ok = d.Who(t.Requester); !ok {
		return nil, gone("identity", string(t.Requester.Name))
	}
	if f.Subject, ok = d.Who(t.Subject); !ok {
		return nil, gone("identity", string(t.Subject.Name))
	}
	if f.Entitlement, ok = d.Entitlements[t.Entitlement.Name]; !ok || f.Entitlement.UID != t.Entitlement.UID {
		return nil, gone("entitlement", t.Entitlement.Name)
	}
	if f.Target, ok = d.Targets[t.Entitlement.Target]; !ok || f.Target.UID != t.Entitlement.TargetUID {
		return nil, gone("target", t.Entitlement.Target)
	}
	for _, l := range q.Facts.Live {
		if own := l.ID != "" && l.ID == t.Request; !own && l.Status.Live() {
			f.Live = append(f.Live, l)
		}
	}
	f.Justified = t.Why != ""
	if q.Why != nil {
		f.Justified = strings.TrimSpace(*q.Why) != ""
	}
	return f, nil
}

// asked reports whether the request is only now being asked for. Terms on
// record name the policy that judged them.
func (f *facts) asked() bool { return f.Terms.Policy == "" }
