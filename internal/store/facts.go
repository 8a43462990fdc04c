package store

import (
	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store/cache"
	"github.com/writhq/writ/internal/store/database/once"
	"github.com/writhq/writ/internal/store/database/projection"
)

// prefetch reads with a few statements what the decisions on works will need.
// Whatever it leaves out is read when it is needed.
func (b *batch) prefetch(works []*work) error {
	var ids, keys, nonces []any
	var uids []writ.UID
	var holds []writ.Digest
	for _, w := range works {
		c := w.change
		if c.Key != nil {
			keys = append(keys, c.Key.Key)
		}
		if c.Nonce != nil {
			nonces = append(nonces, c.Nonce)
		}
		if _, ok := b.memory.requests.Get(c.ID); !ok && c.ID != "" {
			ids = append(ids, string(c.ID))
		}
	}
	var err error
	if b.once, err = once.Read(b.ctx, b.conn, keys, nonces); err != nil {
		return err
	}
	if err := b.readRequests(ids); err != nil {
		return err
	}
	for _, w := range works {
		r, _ := b.memory.requests.Get(w.change.ID)
		uids = append(uids, b.subject(r, w.change.Subject))
	}
	if err := b.memory.live.Load(b.readLive, uids...); err != nil {
		return err
	}
	for _, w := range works {
		if r, _ := b.memory.requests.Get(w.change.ID); r.Seq > 0 {
			live, _ := b.memory.live.Get(b.readLive, r.Terms.Subject.UID)
			holds = append(holds, hold(live, r))
		}
	}
	return b.memory.held.Load(b.readHeld, holds...)
}

// request returns a request as the decisions so far left it; the zero Request
// if there is none.
func (b *batch) request(id writ.ID) (writ.Request, error) {
	if id == "" {
		return writ.Request{}, nil
	}
	r, ok := b.memory.requests.Get(id)
	if ok {
		return r, nil
	}
	err := b.readRequests([]any{string(id)})
	r, _ = b.memory.requests.Get(id)
	return r, err
}

// subject returns whose live requests count for a decision.
func (b *batch) subject(r writ.Request, ref writ.Ref) writ.UID {
	if r.Seq > 0 {
		return r.Terms.Subject.UID
	}
	return b.memory.docs.Directory.Identities[ref].UID
}

// facts fills in what only the store knows.
func (b *batch) facts(r writ.Request, ref writ.Ref) (writ.Facts, error) {
	f := writ.Facts{Now: b.now, Directory: b.memory.docs.Directory}
	live, err := b.memory.live.Get(b.readLive, b.subject(r, ref))
	if err != nil {
		return f, err
	}
	held, err := b.memory.held.Get(b.readHeld, hold(live, r))
	f.Live, f.Siblings = cache.Others(live, r.ID), cache.Others(held, r.ID)
	return f, err
}

// hold returns the Terms.Hold of a request: as its subject's list has it, for to
// make it costs a hash.
func hold(live []writ.Live, r writ.Request) writ.Digest {
	if own, ok := cache.Find(live, r.ID); ok {
		return own.Hold
	}
	return r.Terms.Hold() // one that is over may stray
}

// relive brings the lists up to date that a request stands in, which has changed.
// Other terms may be another hold.
func (b *batch) relive(before, r writ.Request) error {
	uid := r.Terms.Subject.UID
	live, err := b.memory.live.Get(b.readLive, uid)
	if err != nil {
		return err
	}
	is, ok := cache.Find(live, r.ID)
	was := is.Hold
	if !ok || before.Digest != r.Digest {
		is = r.Live()
	}
	is.Status, is.InFlight = r.Status, r.InFlight
	err = b.memory.held.Load(b.readHeld, was, is.Hold)
	b.memory.live.Set(uid, is)
	if was != is.Hold {
		b.memory.held.Set(was, writ.Live{ID: r.ID})
	}
	b.memory.held.Set(is.Hold, is)
	return err
}

func (b *batch) readRequests(ids []any) error {
	for _, id := range ids {
		b.memory.requests.Put(writ.ID(id.(string)), writ.Request{})
	}
	return projection.Read(b.ctx, b.conn, ids, func(r writ.Request) { b.memory.requests.Put(r.ID, r) })
}

func (b *batch) readLive(uids []any, f func(writ.UID, writ.Live)) error {
	return projection.Live(b.ctx, b.conn, uids, f)
}

func (b *batch) readHeld(holds []any, f func(writ.Digest, writ.Live)) error {
	return projection.Held(b.ctx, b.conn, holds, f)
}
