package door

import (
	"context"
	"slices"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store"
)

// A Less is what an approver gives instead of what was asked for. What is left
// out stays as it is.
type Less struct {
	For     writ.Duration     `json:"for,omitempty" doc:"a shorter time"`
	Scope   map[string]string `json:"scope,omitempty" doc:"values that the present ones cover"`
	Ends    []string          `json:"ends,omitempty" doc:"more that ends it, as kind/name"`
	StartBy time.Time         `json:"startBy,omitzero" doc:"an earlier latest start"`
}

// Narrow gives less than the terms with this digest, as a new revision of them.
func (d *Door) Narrow(ctx context.Context, who Caller, id writ.ID, digest writ.Digest, to Less) (writ.Request, error) {
	return d.do(ctx, who, id, to.command(digest), nil)
}

func (l Less) command(digest writ.Digest) writ.Narrow {
	return writ.Narrow{Digest: digest, For: l.For, Scope: l.Scope, Ends: l.Ends, StartBy: l.StartBy}
}

// Require asks for one more person's approval, after all others.
func (d *Door) Require(ctx context.Context, who Caller, id writ.ID, digest writ.Digest, approver writ.Ref) (writ.Request, error) {
	return d.do(ctx, who, id, writ.Require{Digest: digest, Approver: approver}, nil)
}

// An Absence is while somebody else decides in the caller's place.
type Absence struct {
	To     writ.Ref  `json:"to" example:"human/max"`
	Starts time.Time `json:"starts,omitzero" doc:"now if left out"`
	Until  time.Time `json:"until"`
}

// Delegate names who decides in the caller's place.
func (d *Door) Delegate(ctx context.Context, who Caller, a Absence) (writ.Delegation, error) {
	c := writ.Delegate{To: a.To, Starts: a.Starts, Until: a.Until, UID: writ.UID(newID("del"))}
	var made string
	_, err := d.Store.Update(ctx, store.Change{Key: who.key(), Decide: func(_ writ.Request, f writ.Facts) ([]writ.Event, error) {
		f.Actor = who.Party
		events, err := writ.DecideDelegate(c, f)
		for _, e := range events {
			made = e.Body.(writ.Changed).Name
		}
		return events, err
	}})
	return d.Store.Directory().Delegations[made], err
}

// Return ends a delegation: the caller's own, or anybody's for whoever may
// revoke or administer.
func (d *Door) Return(ctx context.Context, who Caller, name string) error {
	_, err := d.Store.Update(ctx, store.Change{Key: who.key(), Decide: func(_ writ.Request, f writ.Facts) ([]writ.Event, error) {
		f.Actor = who.Party
		f.Authority = d.Judge.Authority(f.Directory, who.Name)
		return writ.DecideReturn(name, f)
	}})
	return err
}

// Delegations returns those that the caller made or that name the caller, the
// latest end first.
func (d *Door) Delegations(who Caller) (out []writ.Delegation) {
	for _, del := range d.Store.Directory().Delegations {
		if del.Who[0] == who.UID || del.Who[1] == who.UID {
			out = append(out, del)
		}
	}
	slices.SortFunc(out, func(a, b writ.Delegation) int { return b.Until.Compare(a.Until) })
	return out
}

// Inbox returns the requests that wait for the caller, or for somebody in whose
// place the caller decides, the most urgent first.
func (d *Door) Inbox(ctx context.Context, who Caller) ([]writ.Request, error) {
	f := d.facts(who)
	approvers := []writ.UID{who.UID}
	for _, del := range f.Directory.DelegatedTo(who.Party, f.Now) {
		approvers = append(approvers, del.Who[0])
	}
	found := map[writ.ID]bool{}
	var out []writ.Request
	for _, uid := range approvers {
		rs, err := d.Store.List(ctx, store.Query{Approver: uid, Status: []writ.Status{writ.StatusPending}, Limit: 200})
		if err != nil {
			return nil, err
		}
		for _, r := range rs {
			if !found[r.ID] {
				found[r.ID], out = true, append(out, r)
			}
		}
	}
	slices.SortFunc(out, func(a, b writ.Request) int { return a.LapseAt.Compare(b.LapseAt) })
	return out, nil
}
