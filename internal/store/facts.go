package store

import (
	"slices"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store/database"
	"github.com/writhq/writ/internal/store/database/projection"
)

// prefetch reads with a few statements what the decisions on works will need.
// Whatever it leaves out is read when it is needed.
func (b *batch) prefetch(works []*work) error {
	var ids, uids, keys, nonces []any
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
	if err := b.readRepeats(keys); err != nil {
		return err
	}
	if err := b.readNonces(nonces); err != nil {
		return err
	}
	if err := b.readRequests(ids); err != nil {
		return err
	}
	for _, w := range works {
		r, _ := b.memory.requests.Get(w.change.ID)
		uid := b.subject(r, w.change.Subject)
		if _, ok := b.memory.live.Get(uid); !ok && uid != "" {
			uids = append(uids, string(uid))
		}
	}
	return b.readLive(uids)
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
	all, err := b.live(b.subject(r, ref))
	if err != nil || len(all) == 0 {
		return f, err
	}
	hold := writ.Digest("")
	own := slices.IndexFunc(all, func(l writ.Live) bool { return l.ID == r.ID })
	if own >= 0 {
		hold = all[own].Hold
	} else {
		hold = r.Terms.Hold() // one that is over may stray
	}
	for i, l := range all {
		if i == own {
			continue
		}
		f.Live = append(f.Live, l)
		if hold != "" && l.Hold == hold {
			f.Siblings = append(f.Siblings, l)
		}
	}
	return f, nil
}

// live returns the live requests of a subject as the decisions so far left them.
func (b *batch) live(uid writ.UID) ([]writ.Live, error) {
	if uid == "" {
		return nil, nil
	}
	all, ok := b.memory.live.Get(uid)
	if ok {
		return all, nil
	}
	err := b.readLive([]any{string(uid)})
	all, _ = b.memory.live.Get(uid)
	return all, err
}

// relive brings its subject's list up to date with a request that has changed.
func (b *batch) relive(r writ.Request) error {
	uid := r.Terms.Subject.UID
	all, err := b.live(uid)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(l writ.Live) bool { return l.ID == r.ID })
	switch {
	case !r.Status.Live() && i >= 0:
		all = slices.Delete(all, i, i+1)
	case r.Status.Live() && i >= 0:
		all[i].Status, all[i].InFlight = r.Status, r.InFlight
	case r.Status.Live():
		all = append(all, r.Live())
	}
	b.memory.live.Put(uid, all)
	return nil
}

func (b *batch) readRequests(ids []any) error {
	for _, id := range ids {
		b.memory.requests.Put(writ.ID(id.(string)), writ.Request{})
	}
	return projection.Read(b.ctx, b.conn, ids, func(r writ.Request) { b.memory.requests.Put(r.ID, r) })
}

func (b *batch) readLive(uids []any) error {
	seen := map[any]bool{} // several changes may be about one subject: a row that is read twice would count twice
	uids = slices.DeleteFunc(uids, func(uid any) bool {
		again := seen[uid]
		seen[uid] = true
		return again
	})
	for _, uid := range uids {
		b.memory.live.Put(writ.UID(uid.(string)), nil)
	}
	return projection.Live(b.ctx, b.conn, uids, func(uid writ.UID, l writ.Live) {
		all, _ := b.memory.live.Get(uid)
		b.memory.live.Put(uid, append(all, l))
	})
}

func (b *batch) readRepeats(keys []any) error {
	return database.ScanIn(b.ctx, b.conn, "SELECT caller, key, fingerprint, request FROM repeats WHERE key IN ", 1, keys, func(scan database.Scanner) error {
		var k repeat
		var u use
		err := scan(&k.caller, &k.key, &u.fingerprint, &u.request)
		b.repeats[k] = u
		return err
	})
}
