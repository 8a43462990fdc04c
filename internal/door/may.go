package door

import (
	"context"
	"encoding/json"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store"
	"github.com/writhq/writ/policy"
)

// May returns what the caller could do about a request now.
func (d *Door) May(ctx context.Context, who Caller, r writ.Request) (writ.May, error) {
	f, err := d.ahead(ctx, who, r)
	return r.May(f), err
}

// Foresee returns the request as it would be if the caller gave less. Nothing is
// done: it is what they look at before they do it.
func (d *Door) Foresee(ctx context.Context, who Caller, id writ.ID, digest writ.Digest, to Less) (writ.Request, error) {
	r, err := d.get(ctx, who, id)
	if err != nil {
		return r, err
	}
	f, err := d.ahead(ctx, who, r)
	if err != nil {
		return r, err
	}
	events, err := writ.Decide(r, id, to.command(digest), f)
	for _, e := range events {
		if err == nil {
			r, err = r.Apply(e)
		}
	}
	return r, err
}

// ahead are facts to look ahead with: nothing that is decided on them is recorded.
func (d *Door) ahead(ctx context.Context, who Caller, r writ.Request) (writ.Facts, error) {
	f := d.facts(who)
	if r.Status != writ.StatusPending {
		return f, nil
	}
	var err error
	if f.Live, err = d.live(ctx, r.Terms.Subject.UID); err != nil {
		return f, err
	}
	f.Verdict = d.Judge.Verdict(policy.Query{Terms: r.Terms, Facts: f})
	return f, nil
}

// A Background is what is on record around a request, for whoever decides it.
type Background struct {
	Holds   []writ.Request // other requests by which the subject has access, or asks for some
	Earlier []writ.Request // that gave the subject the same entitlement before, newest first; at most 50
	Owned   time.Time      // since when the subject has its present owner
	Made    time.Time      // since when the subject is known

	Directory *writ.Directory   // as it was looked at
	Texts     map[string]string // of the request: why

}

// Background returns what is on record around a request that the caller may see.
// Whoever is asked sees all that the subject has, also what they had no part
// in: without it nobody can judge what it would have then.
func (d *Door) Background(ctx context.Context, who Caller, r writ.Request) (Background, error) {
	f := d.facts(who)
	out := Background{Directory: f.Directory}
	asked := false
	for _, s := range r.Asked().Stages {
		asked = asked || s.Has(s.Place(f).UID)
	}
	keep := func(to []writ.Request, q store.Query, ok func(writ.Request) bool) ([]writ.Request, error) {
		rs, err := d.Store.List(ctx, q)
		for _, other := range rs {
			if other.ID != r.ID && (asked || sees(other, f)) && ok(other) {
				to = append(to, other)
			}
		}
		return to, err
	}
	t := r.Terms
	var err error
	if out.Holds, err = keep(nil, store.Query{Subject: t.Subject.UID, Status: liveStatuses, Limit: writ.MaxLive}, func(writ.Request) bool { return true }); err != nil {
		return out, err
	}
	given := func(o writ.Request) bool { return o.Serial != "" && o.At.Before(r.At) }
	if out.Earlier, err = keep(nil, store.Query{Subject: t.Subject.UID, Entitlement: t.Entitlement.Name, Limit: 50}, given); err != nil {
		return out, err
	}
	if out.Made, out.Owned, err = d.owned(ctx, t.Subject); err != nil {
		return out, err
	}
	out.Texts, err = d.texts(ctx, r)
	return out, err
}

// owned reads from an identity's own history since when it is, and since when
// whoever answers for it now does.
func (d *Door) owned(ctx context.Context, who writ.Party) (made, owned time.Time, err error) {
	entries, err := d.Store.Events(ctx, writ.Header{Kind: "identity", Name: string(who.Name)}.Stream())
	var owner writ.Ref
	for _, e := range entries {
		b, ok := e.Event.Body.(writ.Changed)
		var is writ.Identity
		if !ok || b.UID != who.UID || json.Unmarshal(b.Content, &is) != nil {
			continue
		}
		if made.IsZero() {
			made = e.Event.At
		}
		if owned.IsZero() || is.Owner != owner {
			owner, owned = is.Owner, e.Event.At
		}
	}
	return made, owned, err
}
