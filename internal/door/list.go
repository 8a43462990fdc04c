package door

import (
	"context"
	"maps"
	"slices"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store"
)

// A Filter selects requests.
type Filter struct {
	Status      []writ.Status
	Subject     writ.Ref
	Entitlement string
	Target      string
	Before      writ.ID // page by key, newest first
	Limit       int     // at most 200; 50 if zero
}

// A Page is part of a list.
type Page struct {
	Requests []writ.Request `json:"requests"`
	Next     writ.ID        `json:"next,omitempty" doc:"send it as before for the next page"`
}

// List returns the requests that the caller may see, newest first.
func (d *Door) List(ctx context.Context, who Caller, f Filter) (Page, error) {
	facts := d.facts(who)
	q := store.Query{Status: f.Status, Entitlement: f.Entitlement, Target: f.Target, Before: f.Before, Limit: min(f.Limit, 200)}
	if q.Limit <= 0 {
		q.Limit = 50
	}
	if f.Subject != "" {
		i, ok := facts.Directory.Identities[f.Subject]
		if !ok {
			return Page{}, writ.Errorf(writ.NotFound, "there is no identity %q; see 'writ get identity'", f.Subject)
		}
		q.Subject = i.UID
	}
	rs, err := d.list(ctx, facts, q)
	page := Page{Requests: rs}
	if len(rs) == q.Limit {
		page.Next = rs[len(rs)-1].ID
	}
	return page, err
}

// list selects what the actor may see: of who may not see all, what they have a
// part in, and what is about something of theirs.
func (d *Door) list(ctx context.Context, f writ.Facts, q store.Query) ([]writ.Request, error) {
	if f.Authority.Audit || f.Authority.Revoke {
		return d.Store.List(ctx, q)
	}
	found := map[writ.ID]writ.Request{}
	for _, own := range narrowed(f, q) {
		rs, err := d.Store.List(ctx, own)
		if err != nil {
			return nil, err
		}
		for _, r := range rs {
			found[r.ID] = r
		}
	}
	ids := slices.Sorted(maps.Keys(found))
	slices.Reverse(ids) // newest first
	out := make([]writ.Request, 0, min(len(ids), q.Limit))
	for _, id := range ids[:min(len(ids), q.Limit)] {
		out = append(out, found[id])
	}
	return out, nil
}

// narrowed returns the queries that together select what the actor may see of q.
func narrowed(f writ.Facts, q store.Query) []store.Query {
	d, who := f.Directory, f.Actor.Name
	part := q
	part.Party = f.Actor.UID
	out := []store.Query{part}
	for name, i := range d.Identities {
		if own := q; d.Answers(who, name) && (q.Subject == "" || q.Subject == i.UID) {
			own.Subject = i.UID
			out = append(out, own)
		}
	}
	for name, e := range d.Entitlements {
		if own := q; d.In(who, e.Owners...) && (q.Entitlement == "" || q.Entitlement == name) {
			own.Entitlement = name
			out = append(out, own)
		}
	}
	for name, t := range d.Targets {
		if own := q; d.In(who, t.Owners...) && (q.Target == "" || q.Target == name) {
			own.Target = name
			out = append(out, own)
		}
	}
	return out
}
