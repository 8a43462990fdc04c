package door

import (
	"context"
	"errors"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/seal"
	"github.com/writhq/writ/internal/store"
)

// Approve is the caller's yes to the terms with this digest, with nothing but
// their session to show for it.
func (d *Door) Approve(ctx context.Context, who Caller, id writ.ID, digest writ.Digest) (writ.Request, error) {
	return d.ApproveWith(ctx, who, id, digest, writ.Evidence{})
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

// Claim gives the credential to whoever asked for it, once. That it was given is
// on record before it is, and only if it was there and could be opened. A lost
// answer means asking again, never two holders.
func (d *Door) Claim(ctx context.Context, who Caller, id writ.ID) (Delivery, error) {
	out := Delivery{Request: id}
	var sealed []byte
	decide := d.decide(who, id, writ.Claim{})
	_, err := d.Store.Update(ctx, store.Change{ID: id, Key: who.key(), Sealed: &sealed, Decide: func(r writ.Request, f writ.Facts) ([]writ.Event, error) {
		events, err := decide(r, f)
		if err != nil || r.Terms.Recipient != "" {
			return events, err
		}
		c, err := seal.Open(sealed, d.Claims)
		out.Credential = &c
		return events, err
	}})
	switch {
	case err != nil:
		return Delivery{}, err
	case sealed == nil: // the same call came before, and this one was not decided
		return Delivery{}, writ.Errorf(writ.Conflict, "the credential of %s was given in answer to the first call with this key; it is given once: release it and ask again", id)
	case out.Credential == nil:
		out.Sealed = sealed
	}
	return out, nil
}
