package store

import (
	"slices"
	"testing"

	"github.com/writhq/writ"
)

func TestFactsNameSiblings(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		var f writ.Facts
		look := func(id writ.ID) Change {
			return Change{ID: id, Decide: func(_ writ.Request, facts writ.Facts) ([]writ.Event, error) {
				f = facts
				return nil, nil
			}}
		}
		first := must(t, db, asking(newID(), service(1), "orders/admin"))
		second := must(t, db, asking(newID(), service(1), "orders/admin"))
		submit(t, db, 1) // of the same subject, but not the same access
		third := must(t, db, asking(newID(), service(2), "orders/admin"))
		check := func(db *DB) {
			t.Helper()
			must(t, db, look(first.ID))
			if len(f.Live) != 2 || !sameLives(f.Siblings, second.Live(), third.Live()) {
				t.Errorf("live %v, siblings %v", f.Live, f.Siblings)
			}
			must(t, db, look(third.ID))
			if len(f.Live) != 0 || !sameLives(f.Siblings, first.Live(), second.Live()) {
				t.Errorf("of another subject: live %v, siblings %v", f.Live, f.Siblings)
			}
		}
		check(db)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db = open(t, dsn) // from the rows, too
		check(db)
		must(t, db, commanding(second.ID, "human/bob", func(r writ.Request) writ.Command { return writ.Deny{Digest: r.Digest} }))
		must(t, db, look(second.ID))
		if !sameLives(f.Siblings, first.Live(), third.Live()) {
			t.Errorf("siblings of one that is over: %v", f.Siblings)
		}
	})
}

// TestNarrowerIsAnotherHold: an approver who gives less of it makes it another
// access, also for decisions of the same process.
func TestNarrowerIsAnotherHold(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		var f writ.Facts
		look := func(db *DB, id writ.ID) []writ.Live {
			t.Helper()
			must(t, db, Change{ID: id, Decide: func(_ writ.Request, facts writ.Facts) ([]writ.Event, error) {
				f = facts
				return nil, nil
			}})
			return f.Siblings
		}
		first := must(t, db, asking(newID(), service(1), "orders/admin"))
		second := must(t, db, asking(newID(), service(2), "orders/admin"))
		if got := look(db, first.ID); !sameLives(got, second.Live()) {
			t.Errorf("before, siblings are %v", got)
		}
		second = must(t, db, commanding(second.ID, "human/bob", func(r writ.Request) writ.Command {
			return writ.Narrow{Digest: r.Digest, Scope: map[string]string{"schema": "audit"}}
		}))
		check := func(db *DB) {
			t.Helper()
			if a, b := look(db, first.ID), look(db, second.ID); len(a) != 0 || len(b) != 0 || second.Terms.Revision != 2 {
				t.Errorf("revision %d, siblings %v and %v", second.Terms.Revision, a, b)
			}
		}
		check(db)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		check(open(t, dsn))
	})
}

func sameLives(got []writ.Live, want ...writ.Live) bool {
	if len(got) != len(want) {
		return false
	}
	for _, l := range want {
		if !slices.Contains(got, l) {
			return false
		}
	}
	return true
}

// TestOneKeepsWhatOthersEnd has the ends of one access, held for several
// subjects, begin in one transaction, by a process that remembers none of them:
// whoever goes while another one still holds it is kept by that one, and the
// last is kept by nobody.
func TestOneKeepsWhatOthersEnd(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		var all []writ.ID
		for n := range 4 {
			r := must(t, db, asking(newID(), service(n%3), "orders/admin"))
			must(t, db, approving(r.ID, "human/bob"), approving(r.ID, "human/dan"), granting(r.ID), granted(r.ID))
			all = append(all, r.ID)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db = open(t, dsn)
		kept := map[writ.ID]writ.ID{}
		var changes []Change
		for _, id := range all {
			changes = append(changes, closing(id)[:2]...) // release and begin to revoke
		}
		for i, r := range inOneBatch(t, db, changes) {
			if i%2 == 1 {
				kept[r.ID] = r.KeptBy
			}
		}
		for i, id := range all {
			by := kept[id]
			if last := i == len(all)-1; last != (by == "") || !last && !slices.Contains(all[i+1:], by) {
				t.Errorf("%s, number %d of %d, is kept by %q", id, i, len(all), by)
			}
		}
	})
}

// inOneBatch queues changes, in their order, while the store is busy, and returns
// what became of them.
func inOneBatch(t testing.TB, db *DB, changes []Change) []writ.Request {
	t.Helper()
	busy, free := make(chan struct{}), make(chan struct{})
	block := &work{ctx: t.Context(), done: make(chan struct{}), change: Change{Decide: func(writ.Request, writ.Facts) ([]writ.Event, error) {
		close(busy)
		<-free
		return nil, nil
	}}}
	if err := db.enter(block); err != nil {
		t.Fatal(err)
	}
	<-busy
	var works []*work
	for _, c := range changes {
		w := &work{ctx: t.Context(), done: make(chan struct{}), change: c}
		if err := db.enter(w); err != nil {
			t.Fatal(err)
		}
		works = append(works, w)
	}
	close(free)
	var out []writ.Request
	for _, w := range works {
		<-w.done
		if w.err != nil {
			t.Fatal(w.err)
		}
		out = append(out, w.request)
	}
	return out
}
