package store

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/writhq/writ"
)

// someLives brings requests into every status that a store keeps rows of.
func someLives(t testing.TB, db *DB) []writ.Request {
	t.Helper()
	pending := submit(t, db, 1)
	half := submit(t, db, 2)
	half = must(t, db, approving(half.ID, "human/cyd"))
	denied := submit(t, db, 3)
	denied = must(t, db, commanding(denied.ID, "human/bob", func(r writ.Request) writ.Command { return writ.Deny{Digest: r.Digest} }))
	flying := authorized(t, db, 4)
	flying = must(t, db, granting(flying.ID))
	closed := active(t, db, 5)
	closed = must(t, db, closing(closed.ID)...)
	member := must(t, db, asking(newID(), service(1), "orders/admin"))
	return []writ.Request{pending, half, denied, authorized(t, db, 1), flying, active(t, db, 2), closed, member}
}

// derived reads everything that Rebuild makes.
func derived(t testing.TB, db *DB) map[string][][]any {
	t.Helper()
	out := map[string][][]any{}
	for table, text := range map[string]string{
		"requests":  "SELECT id, " + requestColumns + " FROM requests ORDER BY id",
		"states":    "SELECT request, " + stateColumns + " FROM states ORDER BY request",
		"links":     "SELECT key, request, waits FROM links ORDER BY key, request",
		"documents": "SELECT stream, pos FROM documents ORDER BY stream",
	} {
		rows, err := db.data.Read.QueryContext(t.Context(), text)
		if err != nil {
			t.Fatal(err)
		}
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			values, to := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				to[i] = &values[i]
			}
			if err := rows.Scan(to...); err != nil {
				t.Fatal(err)
			}
			out[table] = append(out[table], values)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestRebuildMakesTheSameAgain(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		all := someLives(t, db)
		put(t, db, writ.Identity{Header: writ.Header{Kind: "identity", Name: "human/gil"}, State: "disabled"})
		want := derived(t, db)
		for _, spoil := range []string{"DELETE FROM links", "UPDATE states SET status = 'closed', due = NULL, moving = '{}'", "UPDATE requests SET fixed = '{}'", "DELETE FROM documents"} {
			if _, err := sideways(t, db).ExecContext(t.Context(), spoil); err != nil {
				t.Fatal(err)
			}
		}
		var steps []int64
		if err := db.Rebuild(t.Context(), func(done, total int64) { steps = append(steps, total-done) }); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, derived(t, db)); diff != "" {
			t.Error(diff)
		}
		if len(steps) == 0 || steps[len(steps)-1] != 0 {
			t.Errorf("progress ends with %v to do", steps)
		}
		must(t, db, approving(all[0].ID, "human/bob")) // and it goes on from there
	})
}

func TestRebuildRefusesALedgerThatDoesNotHold(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		begin(t, db)
		r := submit(t, db, 1)
		want := derived(t, db)
		if _, err := sideways(t, db).ExecContext(t.Context(), "UPDATE events SET record = $1 WHERE stream = $2", `{"v":1}`, string(r.ID)); err != nil {
			t.Fatal(err)
		}
		var broken Broken
		if err := db.Rebuild(t.Context(), nil); !errors.As(err, &broken) || broken.Pos != count(t, db, "SELECT pos FROM events WHERE stream = $1", string(r.ID)) {
			t.Errorf("rebuilt from a broken ledger: %v", err)
		}
		if diff := cmp.Diff(want, derived(t, db)); diff != "" {
			t.Error(diff)
		}
		tampered(t)
	})
}
