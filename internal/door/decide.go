package door

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/seal"
	"github.com/writhq/writ/internal/store"
)

// Approve is the caller's yes to the terms with this digest.
func (d *Door) Approve(ctx context.Context, who Caller, id writ.ID, digest writ.Digest) (writ.Request, error) {
	return d.do(ctx, who, id, writ.Approve{Digest: digest}, nil)
}

// Deny is the caller's no, with a note for the requester.
func (d *Door) Deny(ctx context.Context, who Caller, id writ.ID, digest writ.Digest, note string) (writ.Request, error) {
	texts, c, err := text(id, "deny", note)
	if err != nil {
		return writ.Request{}, err
	}
	return d.do(ctx, who, id, writ.Deny{Digest: digest, Note: c}, texts)
}

// Withdraw takes a pending request back.
func (d *Door) Withdraw(ctx context.Context, who Caller, id writ.ID) (writ.Request, error) {
	return d.do(ctx, who, id, writ.Withdraw{}, nil)
}

// Release ends access that is no longer needed.
func (d *Door) Release(ctx context.Context, who Caller, id writ.ID) (writ.Request, error) {
	return d.do(ctx, who, id, writ.Release{}, nil)
}

// Revoke takes access away, with a note for the record.
func (d *Door) Revoke(ctx context.Context, who Caller, id writ.ID, note string) (writ.Request, error) {
	texts, c, err := text(id, "revoke", note)
	if err != nil {
		return writ.Request{}, err
	}
	return d.do(ctx, who, id, writ.Revoke{Note: c}, texts)
}

func (d *Door) do(ctx context.Context, who Caller, id writ.ID, c writ.Command, texts []store.Text) (writ.Request, error) {
	return d.Store.Update(ctx, store.Change{ID: id, Texts: texts, Key: who.key(), Decide: d.decide(who, id, c)})
}

// RevokeIdentity takes away everything an identity has or asks for. One that
// fails does not keep the others from being revoked; the error then names all
// that did.
func (d *Door) RevokeIdentity(ctx context.Context, who Caller, name writ.Ref, note string) ([]writ.Request, error) {
	i, ok := d.Store.Directory().Identities[name]
	if !ok {
		return nil, writ.Errorf(writ.NotFound, "there is no identity %q; see 'writ get identity'", name)
	}
	who.Key = "" // it is for one request; revoking again is harmless
	return d.each(ctx, store.Query{Subject: i.UID}, func(id writ.ID) (writ.Request, error) {
		return d.Revoke(ctx, who, id, note)
	})
}

// Meet says that an end condition has come true: every request that ends with
// it ends.
func (d *Door) Meet(ctx context.Context, who Caller, condition string) ([]writ.Request, error) {
	who.Key = ""
	return d.each(ctx, store.Query{Condition: condition}, func(id writ.ID) (writ.Request, error) {
		return d.do(ctx, who, id, writ.Meet{Condition: condition}, nil)
	})
}

// each calls f for every live request that q finds, in pages.
func (d *Door) each(ctx context.Context, q store.Query, f func(writ.ID) (writ.Request, error)) ([]writ.Request, error) {
	q.Status, q.Limit = liveStatuses, 200
	var out []writ.Request
	var errs []error
	for {
		page, err := d.Store.List(ctx, q)
		if err != nil {
			return out, errors.Join(append(errs, err)...)
		}
		for _, r := range page {
			if r, err = f(r.ID); err != nil {
				errs = append(errs, err)
				continue
			}
			out = append(out, r)
		}
		if len(page) < q.Limit {
			return out, errors.Join(errs...)
		}
		q.Before = page[len(page)-1].ID
	}
}

// A Delivery is a credential that was claimed: sealed to the holder's own key, or readable, once.
type Delivery struct {
	Request    writ.ID          `json:"request"`
	Sealed     []byte           `json:"sealed,omitempty" doc:"age file, when the request named a recipient"`
	Credential *seal.Credential `json:"credential,omitempty"`
}

// Claim gives the credential to whoever asked for it, once. That it was given
// is on record before it is: a lost answer means asking again, never two holders.
func (d *Door) Claim(ctx context.Context, who Caller, id writ.ID) (Delivery, error) {
	r, err := d.do(ctx, who, id, writ.Claim{}, nil)
	if err != nil {
		return Delivery{}, err
	}
	sealed, err := d.Store.TakeDelivery(ctx, id)
	if err != nil {
		return Delivery{}, err
	}
	if r.Terms.Recipient != "" {
		return Delivery{Request: id, Sealed: sealed}, nil
	}
	c, err := seal.Open(sealed, d.Claims)
	return Delivery{Request: id, Credential: &c}, err
}

// A Dossier is all that is known of one request.
type Dossier struct {
	writ.Request
	Task    writ.Task         `json:"task,omitempty"` // what it waits for
	Due     time.Time         `json:"due,omitzero"`
	Waiting []writ.Approver   `json:"waiting,omitempty"` // who could decide next
	Texts   map[string]string `json:"texts,omitempty"`   // why, deny, revoke: kept beside the ledger
	Events  []Event           `json:"events,omitempty"`
}

// An Event is one record of the ledger as it is shown.
type Event struct {
	Pos   int64           `json:"pos"` // in the ledger
	Seq   int             `json:"seq"`
	At    time.Time       `json:"at"`
	Actor writ.Party      `json:"actor"`
	Kind  writ.Kind       `json:"kind"`
	Body  json.RawMessage `json:"body"`
}

func dossier(r writ.Request) Dossier {
	out := Dossier{Request: r, Waiting: r.Waiting()}
	out.Task, out.Due = r.Todo()
	return out
}

// Show returns the dossier of a request that the caller may see.
func (d *Door) Show(ctx context.Context, who Caller, id writ.ID) (Dossier, error) {
	r, err := d.get(ctx, who, id)
	if err != nil {
		return Dossier{}, err
	}
	entries, err := d.Store.Events(ctx, string(id))
	if err != nil {
		return Dossier{}, err
	}
	out := dossier(r)
	for _, e := range entries {
		body, err := json.Marshal(e.Event.Body)
		if err != nil {
			return Dossier{}, err
		}
		out.Events = append(out.Events, Event{e.Pos, e.Event.Seq, e.Event.At, e.Event.Actor, e.Event.Body.Kind(), body})
	}
	out.Texts, err = d.texts(ctx, r)
	return out, err
}

// texts returns the free texts of a request that are still kept.
func (d *Door) texts(ctx context.Context, r writ.Request) (map[string]string, error) {
	has := map[string]bool{"why": r.Terms.Why != "", "deny": r.Note != "", "revoke": r.Note != "" || r.End != nil && r.End.Note != ""}
	out := map[string]string{}
	for name, kept := range has {
		if !kept {
			continue
		}
		t, err := d.Store.Text(ctx, r.ID, name)
		if errors.Is(err, writ.NotFound) { // erased
			continue
		}
		if err != nil {
			return nil, err
		}
		out[name] = t.Text
	}
	return out, nil
}

func (d *Door) get(ctx context.Context, who Caller, id writ.ID) (writ.Request, error) {
	r, err := d.Store.Get(ctx, id)
	if errors.Is(err, writ.NotFound) || err == nil && !sees(r, d.facts(who)) {
		return writ.Request{}, unknown(id)
	}
	return r, err
}

// Wait returns the dossier, without texts and events, as soon as the request
// has more than after events, or once it has the status until or can no longer
// get it. When ctx ends first it returns the request as it then is.
func (d *Door) Wait(ctx context.Context, who Caller, id writ.ID, after int, until writ.Status) (Dossier, error) {
	facts := d.facts(who)
	r, err := d.Store.WaitFor(ctx, id, func(r writ.Request) bool {
		return !sees(r, facts) || arrived(r, after, until)
	})
	if errors.Is(err, writ.NotFound) || r.Seq > 0 && !sees(r, facts) {
		return Dossier{}, unknown(id)
	}
	if err != nil && ctx.Err() != nil && r.Seq > 0 {
		err = nil
	}
	return dossier(r), err
}

func arrived(r writ.Request, after int, until writ.Status) bool {
	if until == "" {
		return r.Seq > after
	}
	ending := r.Status == writ.StatusRevoking && until != writ.StatusClosed
	return r.Status == until || ending || !r.Status.Live()
}

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
	if !facts.Authority.Audit && !facts.Authority.Revoke {
		q.Party = who.UID
	}
	rs, err := d.Store.List(ctx, q)
	page := Page{Requests: rs}
	if len(rs) == q.Limit {
		page.Next = rs[len(rs)-1].ID
	}
	return page, err
}

// Inbox returns the requests that wait for the caller, the most urgent first.
func (d *Door) Inbox(ctx context.Context, who Caller) ([]writ.Request, error) {
	rs, err := d.Store.List(ctx, store.Query{Approver: who.UID, Status: []writ.Status{writ.StatusPending}, Limit: 200})
	slices.SortFunc(rs, func(a, b writ.Request) int { return a.LapseAt.Compare(b.LapseAt) })
	return rs, err
}
