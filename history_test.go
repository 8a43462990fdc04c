package writ

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"
)

// A history is all that happened to one request, each event with the facts it
// was decided on.
type history []entry

type entry struct {
	Event
	facts Facts
}

// audit holds a whole life against what must always be so. It knows events and
// facts and has its own idea of every rule: it asks no verb.
//
// It reads the events back from their stored bytes, and they must make the very
// request that they made when they were decided.
func (h history) audit(now Request) error {
	a := auditor{}
	for i, e := range h {
		stored, err := Encode(e.Event)
		if err == nil {
			e.Event, err = Decode(stored)
		}
		if err == nil {
			err = a.see(e)
		}
		if late := a.r.Status == StatusActive && e.Body.Kind() == "granted" && !e.At.Before(a.r.Until); err == nil && late && (i+1 == len(h) || h[i+1].Body.Kind() != "ended") {
			err = fmt.Errorf("active after its end")
		}
		if err != nil {
			return fmt.Errorf("event %d, %s by %s: %w", i+1, e.Body.Kind(), e.Actor.Name, err)
		}
	}
	if !reflect.DeepEqual(a.r, now) {
		return fmt.Errorf("replayed from its bytes it is another request:\n%+v\n%+v", a.r, now)
	}
	return nil
}

type auditor struct {
	r          Request
	digest     Digest // of the terms
	votes      []vote
	authorized *Authorized
	begun      int // the grant or revoke that is under way; 0: none
	attempt    int
	keeper     ID
	instance   string // where access may have been made
}

// A vote is whose it is: UIDs, and persons where they are known.
type vote struct {
	stage string
	of    []string
}

func (a *auditor) see(e entry) error {
	before := a.r
	after, err := before.Apply(e.Event)
	if err != nil {
		return err
	}
	a.r = after
	switch b := e.Body.(type) {
	case Submitted:
		err = a.submitted(b, e)
	case Narrowed:
		if !b.Terms.Narrows(before.Terms) || len(before.Terms.Ends) > len(b.Terms.Ends) {
			err = fmt.Errorf("that is more than was asked for")
		}
	case Approved:
		err = a.approved(b, e)
	case Authorized:
		err = a.authorize(b, e)
	case GrantBegun:
		err = a.grantBegun(b, e)
	case Granted:
		err = a.answered(b.Attempt, b.Seen.State != Absent)
	case GrantFailed:
		err = a.answered(b.Attempt, true)
	case Claimed:
		err = a.claimed(before, e)
	case Ended, Strayed:
		a.begun, a.attempt = 0, a.attempt+1
	case RevokeBegun:
		err = a.revokeBegun(b, e)
	case Revoked:
		here := a.instance == "" || b.Instance == a.instance
		err = a.answered(b.Attempt, b.Seen.State == Absent && b.KeptBy == "" && here || b.KeptBy != "" && b.KeptBy == a.keeper)
	case RevokeFailed:
		err = a.answered(b.Attempt, true)
	}
	if err != nil {
		return err
	}
	return a.always(before, e)
}

// always is what holds after every event.
func (a *auditor) always(before Request, e entry) error {
	r := a.r
	task, due := r.Todo()
	switch {
	case r.Status.Live() && (task == Nothing || due.IsZero()):
		return fmt.Errorf("%s, and nothing is to be done", r.Status)
	case !r.Status.Live() && task != Nothing:
		return fmt.Errorf("%s, and yet to do: %s", r.Status, task)
	case r.Attempt < before.Attempt:
		return fmt.Errorf("attempt %d after %d", r.Attempt, before.Attempt)
	case r.Status.Holds() && a.authorized == nil:
		return fmt.Errorf("%s without authorization", r.Status)
	case r.Status.Holds() && (!r.Until.Equal(a.authorized.Until) || !r.Until.Equal(r.From.Add(r.Terms.For.Std()))):
		return fmt.Errorf("until moved to %s", r.Until)
	case r.Status == StatusClosed && e.Body.Kind() != "revoked":
		return fmt.Errorf("closed by %s", e.Body.Kind())
	case r.Status == StatusActive && !slices.Contains([]Kind{"granted", "claimed", "rechecked"}, e.Body.Kind()):
		return fmt.Errorf("active by %s", e.Body.Kind())
	case before.Status.Holds() && !r.Status.Holds() && r.Status != StatusClosed:
		return fmt.Errorf("from %s straight to %s", before.Status, r.Status)
	}
	return nil
}

func (a *auditor) submitted(b Submitted, e entry) error {
	switch {
	case b.Terms.Requester != e.Actor:
		return fmt.Errorf("asked by %s in the name of %s", e.Actor.Name, b.Terms.Requester.Name)
	case string(b.Terms.Request) != e.Stream:
		return fmt.Errorf("terms of %s", b.Terms.Request)
	}
	return nil
}

func (a *auditor) approved(b Approved, e entry) error {
	d := e.facts.Directory
	who, known := d.Who(e.Actor)
	place := who
	if b.For != (Party{}) {
		place, _ = d.Who(b.For)
	}
	switch {
	case !known || !who.Active() || !who.Human() || !place.Active():
		return fmt.Errorf("%s is no active person", e.Actor.Name)
	case b.Digest != a.r.Digest:
		return fmt.Errorf("vote on other terms")
	case !e.At.Before(a.r.LapseAt):
		return fmt.Errorf("vote after the lapse")
	case place.UID != who.UID && !delegated(d, place, who, e.At):
		return fmt.Errorf("%s decides for %s, who did not ask for it", who.Name, place.Name)
	}
	if err := a.once(b.Stage, who, place, e.facts.Verdict); err != nil {
		return err
	}
	byOwner := true
	for _, v := range []Verdict{a.r.Asked(), e.facts.Verdict} {
		i := v.stage(b.Stage)
		late := slices.Contains(a.r.Escalated, b.Stage)
		if i >= 0 && !v.Stages[i].Has(place.UID) && !(late && slices.ContainsFunc(v.Stages[i].Escalate.To, func(x Approver) bool { return x.UID == place.UID })) {
			return fmt.Errorf("%s may not vote in %s", e.Actor.Name, b.Stage)
		}
		byOwner = byOwner && (i < 0 || v.Stages[i].Owner)
	}
	return errors.Join(a.independent(e, who, byOwner), a.independent(e, place, byOwner))
}

// once refuses a second vote of one person, or in one person's place.
func (a *auditor) once(stage string, who, place Identity, now Verdict) error {
	v := vote{stage, slices.DeleteFunc([]string{string(who.UID), who.Person, string(place.UID), place.Person}, func(s string) bool { return s == "" })}
	repeat, asked := true, false
	for _, verdict := range []Verdict{a.r.Asked(), now} {
		if i := verdict.stage(stage); i >= 0 {
			repeat, asked = repeat && verdict.Stages[i].Repeat, true
		}
	}
	for _, w := range a.votes {
		both := slices.ContainsFunc(w.of, func(s string) bool { return slices.Contains(v.of, s) })
		if both && (w.stage == stage || !repeat || !asked) {
			return fmt.Errorf("%s voted twice", who.Name)
		}
	}
	a.votes = append(a.votes, v)
	return nil
}

func delegated(d *Directory, from, to Identity, now time.Time) bool {
	for _, del := range d.Delegations {
		if del.Who == [2]UID{from.UID, to.UID} && !now.Before(del.Starts) && now.Before(del.Until) {
			return true
		}
	}
	return false
}

func (a *auditor) independent(e entry, who Identity, byOwner bool) error {
	d := e.facts.Directory
	for _, side := range []Party{a.r.Terms.Requester, a.r.Terms.Subject} {
		if byOwner && side == a.r.Terms.Subject && side != a.r.Terms.Requester && actsFor(d, who.Ref())[side.Name] && !sameBody(d, who.Ref(), side.Name) {
			continue
		}
		if path := related(d, who.Ref(), side.Name, e.At); path != "" {
			return fmt.Errorf("%s approves for themselves: %s %s", who.Name, path, side.Name)
		}
	}
	return nil
}

func (a *auditor) authorize(b Authorized, e entry) error {
	t := a.r.Terms
	for _, v := range []Verdict{a.r.Asked(), e.facts.Verdict} {
		for _, s := range v.Stages {
			if n := a.count(s.Name); n < max(1, s.Quorum) {
				return fmt.Errorf("stage %s has %d of %d votes", s.Name, n, s.Quorum)
			}
		}
		if !v.Allowed || v.MaxFor > 0 && t.For > v.MaxFor {
			return fmt.Errorf("policy does not allow it")
		}
	}
	switch {
	case b.From.Before(t.StartAt) || b.From.After(t.StartBy) || b.From.Before(e.At.Truncate(time.Second)):
		return fmt.Errorf("starts at %s", b.From)
	case !b.Until.Equal(b.From.Add(t.For.Std())):
		return fmt.Errorf("until %s is not %s after %s", b.Until, t.For, b.From)
	}
	a.authorized = &b
	return nil
}

func (a *auditor) count(stage string) (n int) {
	for _, v := range a.votes {
		if v.stage == stage {
			n++
		}
	}
	return n
}

func (a *auditor) grantBegun(b GrantBegun, e entry) error {
	d := e.facts.Directory
	subject, known := d.Who(a.r.Terms.Subject)
	switch {
	case e.At.Before(a.authorized.From) || !e.At.Before(a.authorized.Until):
		return fmt.Errorf("begun at %s, outside its time", e.At)
	case e.At.After(a.r.Terms.StartBy):
		return fmt.Errorf("late start")
	case !known || !subject.Active() || len(d.Accountable(subject)) == 0:
		return fmt.Errorf("nobody holds it or answers for it")
	case !e.facts.Verdict.Allowed:
		return fmt.Errorf("policy does not allow it any more")
	case d.Current(a.r.Terms.Entitlement) != nil:
		return fmt.Errorf("the definition changed")
	case slices.ContainsFunc(e.facts.Siblings, func(l Live) bool { return l.Status == StatusRevoking && l.InFlight }):
		return fmt.Errorf("while the same access is being taken away")
	}
	if b.Instance != "" && a.instance != "" && b.Instance != a.instance {
		return fmt.Errorf("begun at %s and at %s", a.instance, b.Instance)
	} else if b.Instance != "" {
		a.instance = b.Instance
	}
	return a.begin(b.Attempt)
}

func (a *auditor) revokeBegun(b RevokeBegun, e entry) error {
	var keepers []ID
	for _, s := range e.facts.Siblings {
		if s.Status == StatusActive || s.Status == StatusGranting {
			keepers = append(keepers, s.ID)
		}
	}
	if (b.KeptBy != "" || len(keepers) > 0) && !slices.Contains(keepers, b.KeptBy) {
		return fmt.Errorf("kept by %q, but held by %v", b.KeptBy, keepers)
	}
	a.keeper = b.KeptBy
	return a.begin(b.Attempt)
}

func (a *auditor) begin(attempt int) error {
	if attempt <= a.attempt {
		return fmt.Errorf("attempt %d after %d", attempt, a.attempt)
	}
	a.attempt, a.begun = attempt, attempt
	return nil
}

// answered is a report: of the call that is under way, and true.
func (a *auditor) answered(attempt int, seen bool) error {
	if attempt != a.begun {
		return fmt.Errorf("stale answer %d, under way is %d", attempt, a.begun)
	}
	if !seen {
		return fmt.Errorf("the read-back says otherwise")
	}
	a.begun = 0
	return nil
}

func (a *auditor) claimed(before Request, e entry) error {
	switch {
	case before.Claimed != nil:
		return fmt.Errorf("claimed twice")
	case e.Actor != a.r.Terms.Requester:
		return fmt.Errorf("claimed by %s", e.Actor.Name)
	case !e.At.Before(a.authorized.Until):
		return fmt.Errorf("claimed after the end")
	case !e.facts.Waits:
		return fmt.Errorf("claimed, and nothing was given")
	}
	return nil
}
