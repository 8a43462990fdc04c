// Package signature checks the signed approvals of a ledger again.
package signature

import (
	"context"
	"sync"

	"github.com/writhq/writ"
	"github.com/writhq/writ/assent"
	"github.com/writhq/writ/internal/store"
)

// Check holds every signed approval against the key it names, as the ledger
// says it was enrolled: by the same person, before, and not taken away since.
// Whoever could add to the ledger can still not sign for somebody else. Of a
// sign-in it holds the token against the key beside it and the accounts that
// the person had then; whether that was the issuer's key the ledger cannot say.
func Check(ctx context.Context, db *store.DB) store.Check {
	h := &held{ctx: ctx, db: db, keys: map[string][]enrolled{}}
	return func(pos int64, e writ.Event, _ writ.Request) error {
		b, ok := e.Body.(writ.Approved)
		if !ok || b.Evidence == nil {
			return nil
		}
		if b.Evidence.Method == writ.ByOIDC {
			i, err := h.identity(pos, e.Actor)
			if err != nil {
				return err
			}
			return assent.VerifySignIn(*b.Evidence, i, b.Digest, writ.Yes, e.At)
		}
		k, err := h.key(pos, *b.Evidence)
		if err != nil {
			return err
		}
		if k.Party() != e.Actor {
			return writ.Errorf(writ.Invalid, "%s approved with key %s, which is of %s", e.Actor.Name, k.Name, k.Identity)
		}
		return assent.Verify(*b.Evidence, k, b.Digest, writ.Yes)
	}
}

// A held remembers the keys that it has read; it is used by several
// goroutines.
type held struct {
	ctx  context.Context
	db   *store.DB
	mu   sync.Mutex
	keys map[string][]enrolled // by name
}

// An enrolled is a key and when it counted.
type enrolled struct {
	writ.Key
	from, until int64 // positions of the ledger; until 0: still
}

func (h *held) key(pos int64, e writ.Evidence) (writ.Key, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all, known := h.keys[e.Key]
	if !known {
		var err error
		if all, err = history(h.ctx, h.db, e.Key); err != nil {
			return writ.Key{}, err
		}
		h.keys[e.Key] = all
	}
	for _, k := range all {
		if k.UID == e.KeyUID && k.from < pos && (k.until == 0 || pos < k.until) {
			return k.Key, nil
		}
	}
	return writ.Key{}, writ.Errorf(writ.Invalid, "the approval names key %s, which was not enrolled then", e.Key)
}

// identity returns the identity that somebody was before a position.
func (h *held) identity(pos int64, who writ.Party) (i writ.Identity, err error) {
	entries, err := h.db.Events(h.ctx, writ.Header{Kind: "identity", Name: string(who.Name)}.Stream())
	if err != nil {
		return i, err
	}
	d := writ.NewDirectory()
	for _, entry := range entries {
		if entry.Pos >= pos {
			break
		}
		if d, err = d.With(entry.Event); err != nil {
			return i, err
		}
	}
	i, ok := d.Who(who)
	if !ok {
		return i, writ.Errorf(writ.Invalid, "%s approved, who was not known then", who.Name)
	}
	return i, nil
}

// history returns the keys that had a name, one after the other.
func history(ctx context.Context, db *store.DB, name string) (out []enrolled, err error) {
	entries, err := db.Events(ctx, writ.Header{Kind: "key", Name: name}.Stream())
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		d, err := writ.NewDirectory().With(entry.Event)
		if err != nil {
			return nil, err
		}
		if n := len(out); n > 0 && out[n-1].until == 0 {
			out[n-1].until = entry.Pos
		}
		if k, ok := d.Keys[name]; ok {
			out = append(out, enrolled{Key: k, from: entry.Pos})
		}
	}
	return out, nil
}
