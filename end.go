package writ

import "slices"

// A Cause is why access stopped.
type Cause string

// The causes of an end.
const (
	Expired           Cause = "expired"
	Released          Cause = "released" // whoever held it is done
	CutOff            Cause = "revoked"  // somebody took it away
	IncidentResolved  Cause = "incident-resolved"
	TicketClosed      Cause = "ticket-closed"
	ConditionMet      Cause = "condition-met" // another end condition of the terms
	OwnerLeft         Cause = "owner-left"
	IdentityRetired   Cause = "identity-retired"
	PolicyTightened   Cause = "policy-tightened"
	DefinitionChanged Cause = "definition-changed" // the entitlement changed between approval and grant
	LateStart         Cause = "late-start"
	GrantRefused      Cause = "grant-refused" // the target says no
)

// The commands that end access.
type (
	// Release ends access that is no longer needed.
	Release struct{}
	// Revoke takes access away, or refuses it before it was given.
	Revoke struct {
		Note Commitment // of the reason given
	}
	// Meet says that an end condition of the terms has come true.
	Meet struct {
		Condition string // "incident/INC-7"
	}
	// Expire ends access whose time is up.
	Expire struct{}
)

// Ended says that access has to go, and why. From then on it is being taken away.
type Ended struct {
	Cause  Cause      `json:"cause"`
	Detail string     `json:"detail,omitempty"`
	Note   Commitment `json:"note,omitempty"`
}

func (Release) decide(r Request, f Facts) ([]Body, error) {
	if !r.concerns(f) {
		return nil, Errorf(Forbidden, "%s may not release %s: only who asked, the subject, or who answers for it may", f.Actor.Name, r.ID)
	}
	if r.Status == StatusPending {
		return nil, Errorf(Conflict, "%s is pending; withdraw it instead", r.ID)
	}
	return r.end(Ended{Cause: Released}), nil
}

func (c Revoke) decide(r Request, f Facts) ([]Body, error) {
	if !r.revocable(f) {
		return nil, Errorf(Forbidden, "%s may not revoke %s: the requester, the subject and its owner, its approvers, the owners of the entitlement and its target, and whoever policy lets revoke may", f.Actor.Name, r.ID)
	}
	if r.Status == StatusPending {
		return []Body{Denied{Note: c.Note}}, nil
	}
	return r.end(Ended{Cause: CutOff, Note: c.Note}), nil
}

// revocable reports whether the actor may take the access away. It asks no
// policy expression: revoking must work when policy does not.
func (r Request) revocable(f Facts) bool {
	d, t := f.Directory, r.Terms
	owners := slices.Concat(d.Entitlements[t.Entitlement.Name].Owners, d.Targets[t.Entitlement.Target].Owners)
	if f.Authority.Revoke || r.concerns(f) || d.In(f.Actor.Name, owners...) {
		return true
	}
	return slices.ContainsFunc(r.Verdict.Stages, func(s Stage) bool { return s.Has(f.Actor.UID) })
}

func (c Meet) decide(r Request, f Facts) ([]Body, error) {
	if !slices.Contains(r.Terms.Ends, c.Condition) {
		return nil, Errorf(Invalid, "%s does not end with %q; it ends with: %s", r.ID, c.Condition, orNone(r.Terms.Ends))
	}
	if !r.revocable(f) && f.Actor != System {
		return nil, Errorf(Forbidden, "%s may not end %s: whoever may revoke it may", f.Actor.Name, r.ID)
	}
	if r.Status == StatusPending {
		return []Body{Denied{Policy: c.Condition + " is over"}}, nil
	}
	return r.end(Ended{Cause: causeOf(c.Condition), Detail: c.Condition}), nil
}

func causeOf(condition string) Cause {
	switch Ref(condition).Kind() {
	case "incident":
		return IncidentResolved
	case "ticket":
		return TicketClosed
	}
	return ConditionMet
}

func (Expire) decide(r Request, f Facts) ([]Body, error) {
	if end, over := r.mustEnd(f); over && end.Cause == Expired {
		return r.end(end), nil
	}
	return nil, nil
}

// end returns the event, or nothing where there is nothing to end any more.
func (r Request) end(e Ended) []Body {
	if r.Status.Holds() && r.Status != StatusRevoking {
		return []Body{e}
	}
	return nil
}

// Kind returns "ended".
func (Ended) Kind() Kind { return "ended" }

func (b Ended) apply(r *Request, e Event) {
	r.End, r.EndedAt = &b, e.At
	r.Retry, r.Tries, r.InFlight, r.Problem = e.At, 0, false, ""
	r.Attempt++ // an answer to a grant that is still under way comes too late
}
