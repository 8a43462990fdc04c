package store

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writhq/writ"
)

// given keeps a nonce of this letter for an approval of a request by dan.
func given(t testing.TB, db *DB, letter string, r writ.Request, until time.Time) []byte {
	t.Helper()
	n := writ.Nonce{
		Value: bytes.Repeat([]byte(letter), 16), Person: db.Directory().Identities["human/dan"].UID,
		Request: r.ID, Digest: r.Digest, Decision: writ.Yes, Until: until,
	}
	if err := db.PutNonce(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	return n.Value
}

// signing is an approval by dan where security wants him to sign in again,
// which makes the nonce all that there is to check.
func signing(id writ.ID, nonce []byte) Change {
	return Change{ID: id, Nonce: nonce, Decide: func(r writ.Request, f writ.Facts) ([]writ.Event, error) {
		f.Actor, f.Verdict = f.Directory.Identities["human/dan"].Party(), verdict(f.Directory)
		for i := range f.Verdict.Stages {
			f.Verdict.Stages[i].Proof = writ.ByOIDC
		}
		return writ.Decide(r, id, writ.Approve{Digest: r.Digest, Evidence: writ.Evidence{Method: writ.ByOIDC, Nonce: nonce}}, f)
	}}
}

// forSecurity is a request that waits for dan.
func forSecurity(t testing.TB, db *DB) writ.Request {
	t.Helper()
	return must(t, db, approving(submit(t, db, 1).ID, "human/bob"))
}

// T3: evidence is for one decision on one request, once.
func TestNonceIsUsedOnce(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		a, b := forSecurity(t, db), forSecurity(t, db)
		later := time.Now().Add(time.Minute)
		nonce := given(t, db, "a", a, later)
		refused := func(id writ.ID, nonce []byte) {
			t.Helper()
			if r, err := db.Update(t.Context(), signing(id, nonce)); !errors.Is(err, writ.Conflict) {
				t.Errorf("%s, %v", r.Status, err)
			}
		}
		refused(a.ID, nil)
		refused(a.ID, []byte("bbbbbbbbbbbbbbbb"))
		refused(b.ID, nonce) // of a sibling
		if r := must(t, db, signing(a.ID, nonce)); r.Status != writ.StatusAuthorized || !bytes.Equal(r.Votes[1].Evidence.Nonce, nonce) {
			t.Errorf("%s, %+v", r.Status, r.Votes)
		}
		refused(b.ID, nonce)
		refused(b.ID, given(t, db, "c", b, time.Now().Add(-time.Second)))
		denied := given(t, db, "d", b, later)
		must(t, db, commanding(b.ID, "human/bob", func(r writ.Request) writ.Command { return writ.Deny{Digest: r.Digest} }))
		refused(b.ID, denied)
		if n := count(t, db, "SELECT count(*) FROM nonces"); n != 2 {
			t.Errorf("%d nonces are kept, want those that nothing was decided with", n)
		}
	})
}

// Two decisions with one nonce stand in one transaction: the first has it.
func TestNonceIsUsedOnceInATransaction(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		r := forSecurity(t, db)
		nonce := given(t, db, "a", r, time.Now().Add(time.Minute))
		var seen []*writ.Nonce
		look := func() Change { // records something else, so that nothing but the nonce is in its way
			c := putting(writ.Group{Header: writ.Header{Kind: "group", Name: "g" + string(newID())[4:]}})
			put := c.Decide
			c.Nonce, c.Decide = nonce, func(r writ.Request, f writ.Facts) ([]writ.Event, error) {
				seen = append(seen, f.Nonce)
				return put(r, f)
			}
			return c
		}
		nothing := Change{Nonce: nonce, Decide: func(writ.Request, writ.Facts) ([]writ.Event, error) { return nil, nil }}
		_, errs := together(t, db, nothing, look(), look(), signing(r.ID, nonce))
		if errs[0] != nil || errs[1] != nil || errs[2] != nil || !errors.Is(errs[3], writ.Conflict) {
			t.Fatal(errs)
		}
		want := &writ.Nonce{Value: nonce, Person: db.Directory().Identities["human/dan"].UID, Request: r.ID, Digest: r.Digest, Decision: writ.Yes}
		got := *seen[0]
		if got.Until.IsZero() || seen[1] != nil {
			t.Errorf("until %s; the second sees %v", got.Until, seen[1])
		}
		got.Until = time.Time{}
		if diff := cmp.Diff(want, &got); diff != "" {
			t.Error(diff)
		}
	})
}

// Two servers on one database, and one nonce for all of them.
func TestNonceIsUsedOnceByServers(t *testing.T) {
	dsn := postgresOnly(t)
	servers := []*DB{openWorld(t, dsn), open(t, dsn)}
	for _, letter := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		r := forSecurity(t, servers[0])
		nonce := given(t, servers[1], letter, r, time.Now().Add(time.Minute))
		var wg sync.WaitGroup
		var had sync.Map
		for i := range 16 {
			wg.Go(func() {
				_, err := servers[i%2].Update(context.Background(), Change{Nonce: nonce, Decide: func(_ writ.Request, f writ.Facts) ([]writ.Event, error) {
					if f.Nonce == nil {
						return nil, writ.Errorf(writ.Conflict, "it is used")
					}
					return putting(writ.Group{Header: writ.Header{Kind: "group", Name: "g-" + letter}}).Decide(writ.Request{}, f)
				}})
				if err == nil {
					had.Store(i, true)
				} else if !errors.Is(err, writ.Conflict) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		n := 0
		had.Range(func(any, any) bool { n++; return true })
		if n != 1 {
			t.Errorf("%d decisions had the nonce %s", n, letter)
		}
	}
}

// What nobody signed in time is not kept.
func TestOldNoncesAreSwept(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		r := forSecurity(t, db)
		given(t, db, "a", r, time.Now().Add(-time.Second))
		kept := given(t, db, "b", r, time.Now().Add(time.Minute))
		_, err := db.do(&work{ctx: t.Context(), direct: func(b *batch) error {
			b.swept = time.Time{} // an hour has gone by
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		if n := count(t, db, "SELECT count(*) FROM nonces"); n != 1 {
			t.Errorf("%d nonces are kept, want 1", n)
		}
		must(t, db, signing(r.ID, kept))
	})
}
