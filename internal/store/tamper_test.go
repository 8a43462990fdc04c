package store

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store/database/projection"
	"github.com/writhq/writ/ledger"
)

// T5: whatever is changed behind the store's back, Verify names the position.
func TestVerifyNamesTheFirstPosition(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		all := someLives(t, db)
		held, closed := all[5], all[6]
		put(t, db, writ.Group{Header: writ.Header{Kind: "group", Name: "late"}})
		size := count(t, db, "SELECT size FROM head")
		at := func(id writ.ID, seq int) int64 {
			return count(t, db, "SELECT pos FROM events WHERE stream = $1 AND seq = $2", string(id), seq)
		}
		earlier := text(t, db, "SELECT note FROM checkpoints ORDER BY size LIMIT 1")

		for name, c := range map[string]struct {
			do    []string
			pos   int64
			words string
		}{
			"a record is edited":            {do("UPDATE events SET record = replace(record, 'CHG-1042', 'CHG-6666') WHERE pos = %d", at(held.ID, 1)), at(held.ID, 1), "edited"},
			"a vote is made another's":      {do("UPDATE events SET record = replace(record, 'human/dan', 'human/eve') WHERE pos = %d", at(held.ID, 3)), at(held.ID, 3), "edited"},
			"the last event is deleted":     {do("DELETE FROM events WHERE pos = %d", size-1), size - 1, ""},
			"an event is deleted":           {do("DELETE FROM events WHERE pos = %d", at(held.ID, 2)), at(held.ID, 2), "missing"},
			"two records are swapped":       {swap(at(held.ID, 1), at(closed.ID, 1)), min(at(held.ID, 1), at(closed.ID, 1)), ""},
			"an event is added":             {do("INSERT INTO events (pos, stream, seq, record) SELECT %d, stream, seq + 1, record FROM events WHERE pos = %d", size, size-1), size, ""},
			"an event is put before all":    {do("INSERT INTO events (pos, stream, seq, record) SELECT -1, 'group:lost', seq, replace(record, 'late', 'lost') FROM events WHERE stream = 'group:late'; INSERT INTO documents (stream, pos) VALUES ('group:lost', -1)"), size, "events are stored"},
			"a status is edited":            {do("UPDATE states SET status = 'closed' WHERE request = '%s'", held.ID), at(held.ID, held.Seq), "status"},
			"an end is put off":             {do("UPDATE states SET due = due + 1000000 WHERE request = '%s'", held.ID), at(held.ID, held.Seq), "due"},
			"an end is forgotten":           {do("UPDATE states SET due = NULL, task = '' WHERE request = '%s'", held.ID), at(held.ID, held.Seq), "due"},
			"terms are edited":              {do("UPDATE requests SET fixed = replace(fixed, 'CHG-1042', 'CHG-6666') WHERE id = '%s'", held.ID), at(held.ID, held.Seq), "fixed"},
			"a vote is edited":              {do("UPDATE states SET moving = replace(moving, 'human/dan', 'human/eve') WHERE request = '%s'", held.ID), at(held.ID, held.Seq), "moving"},
			"a state's row is deleted":      {do("DELETE FROM states WHERE request = '%s'", held.ID), at(held.ID, held.Seq), "no stored row"},
			"a state is made up":            {do("INSERT INTO states (request, busy, %[1]s) SELECT 'req-madeup', 0, %[1]s FROM states WHERE request = '%[2]s'", stateColumns, held.ID), size, "req-madeup"},
			"a request's row is deleted":    {do("DELETE FROM requests WHERE id = '%s'", held.ID), at(held.ID, held.Seq), "no stored row"},
			"a request is made up":          {do("INSERT INTO requests (id, %[1]s) SELECT 'req-madeup', %[1]s FROM requests WHERE id = '%[2]s'", requestColumns, held.ID), size, "req-madeup"},
			"an approver is taken off":      {do("DELETE FROM links WHERE request = '%s' AND key = '%s'", all[0].ID, db.Directory().Identities["human/bob"].UID), at(all[0].ID, 1), "links"},
			"somebody is let in":            {do("INSERT INTO links (key, request, waits) VALUES ('ide-none', '%s', 0)", held.ID), size, "links"},
			"an inbox is emptied":           {do("UPDATE links SET waits = 0 WHERE request = '%s'", all[0].ID), at(all[0].ID, 1), "links"},
			"a document points elsewhere":   {do("UPDATE documents SET pos = 3 WHERE stream = 'group:late'"), size - 1, "documents"},
			"a document is dropped":         {do("DELETE FROM documents WHERE stream = 'group:late'"), size - 1, "documents"},
			"a document is made up":         {do("INSERT INTO documents (stream, pos) VALUES ('group:none', 3)"), size, "documents"},
			"a tile is edited":              {do("UPDATE tiles SET hashes = $1 WHERE level = 0"), 0, "altered"},
			"a tile is deleted":             {do("DELETE FROM tiles WHERE level = 0"), 0, ""},
			"the checkpoint is edited":      {do("UPDATE head SET checkpoint = replace(checkpoint, '%s', 'ledger.example/fork')", origin), size, "checkpoint"},
			"an old checkpoint is edited":   {do("UPDATE checkpoints SET note = replace(note, '%s', 'ledger.example/fork')", origin), 1, "checkpoint"},
			"the head is rolled back":       {do("UPDATE head SET size = 1, checkpoint = '%s'", earlier), 1, ""},
			"the head's size is edited":     {do("UPDATE head SET size = size + 1"), size, ""},
			"tail and head are rolled back": {do("DELETE FROM events WHERE pos > 0; UPDATE head SET size = 1, docs = 0, checkpoint = '%s'; DELETE FROM requests; DELETE FROM states; DELETE FROM links; DELETE FROM documents", earlier), 1, ""},
		} {
			t.Run(name, func(t *testing.T) {
				broken(t, db, c.do, c.pos, c.words)
			})
		}
	})
}

func do(format string, args ...any) []string {
	return strings.Split(fmt.Sprintf(format, args...), "; ")
}

// swap exchanges two records and what stands beside them.
func swap(a, b int64) []string {
	return do("UPDATE events SET pos = -1 WHERE pos = %[1]d; UPDATE events SET pos = %[1]d WHERE pos = %[2]d; UPDATE events SET pos = %[2]d WHERE pos = -1", a, b)
}

func text(t testing.TB, db *DB, query string) (s string) {
	t.Helper()
	if err := db.data.Read.QueryRow(query).Scan(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

// broken tampers inside a transaction that is given up again, and wants Verify
// to find it there.
func broken(t *testing.T, db *DB, statements []string, pos int64, words string) {
	t.Helper()
	tx, err := sideways(t, db).BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	for _, s := range statements {
		var args []any
		if strings.Contains(s, "$1") {
			args = append(args, make([]byte, 32*count(t, db, "SELECT size FROM head")))
		}
		res, err := tx.Exec(s, args...)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			t.Fatalf("%s changed nothing: %v", s, err)
		}
	}
	err = projection.Verify(t.Context(), tx, Keys{LogKey: logSigner(t).VerifierKey()}, nil)
	var b Broken
	if !errors.As(err, &b) {
		t.Fatalf("not found: %v", err)
	}
	t.Log(b)
	if b.Pos != pos || !strings.Contains(b.What, words) {
		t.Errorf("position %d, want %d; with %q", b.Pos, pos, words)
	}
}

func TestVerifyHoldsTheLedgerAgainstKeptCheckpoints(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		submit(t, db, 1)
		size := count(t, db, "SELECT size FROM head")
		honest, err := db.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sign := func(size int64) string {
			note, err := db.Log.Sign(size, ledger.LeafHash([]byte("another history")))
			if err != nil {
				t.Fatal(err)
			}
			return note
		}
		submit(t, db, 2)
		with := func(notes ...string) error {
			return db.Verify(t.Context(), Keys{LogKey: db.Log.VerifierKey(), Kept: notes}, nil)
		}
		if err := with(honest); err != nil {
			t.Error(err)
		}
		var b Broken
		if err := with(honest, sign(size+50)); !errors.As(err, &b) || b.Pos != size+1 {
			t.Errorf("an older copy passes for the newest: %v", err)
		}
		if err := with(sign(size)); !errors.As(err, &b) || b.Pos >= size {
			t.Errorf("another history passes for this one: %v", err)
		}
		if err := with("nonsense"); err == nil || errors.As(err, &b) {
			t.Errorf("what is no checkpoint: %v", err)
		}
	})
}

// T4: rows that say "authorized", signed by the log or not, do not pass.
func TestVerifyRefusesAuthorizationWithoutApprovals(t *testing.T) {
	for name, votes := range map[string][]writ.Ref{
		"nobody's": nil, "one of two": {"human/bob"}, "of who may not": {"human/bob", "human/gil"}, "twice": {"human/bob", "human/bob"},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, dsn string) { forge(t, dsn, votes) })
		})
	}
}

// forge authorizes a request with these votes, past the core.
func forge(t *testing.T, dsn string, votes []writ.Ref) {
	tampered(t)
	db := openWorld(t, dsn)
	lax := func(d *writ.Directory) writ.Verdict { // he may decide in both stages, but once
		v := verdict(d)
		v.Stages[1].Approvers = append(v.Stages[1].Approvers, v.Stages[0].Approvers...)
		return v
	}
	r := must(t, db, askingUnder(lax, newID(), service(1), "orders/read"))
	r = must(t, db, Change{ID: r.ID, Decide: func(r writ.Request, f writ.Facts) (out []writ.Event, err error) {
		add := func(who writ.Party, b writ.Body) {
			out = append(out, writ.Event{Stream: string(r.ID), Seq: r.Seq + 1 + len(out), At: f.Now, Actor: who, Body: b})
		}
		for i, who := range votes {
			add(f.Directory.Identities[who].Party(), writ.Approved{Stage: r.Verdict.Stages[i].Name, Digest: r.Digest})
		}
		add(writ.System, writ.Authorized{From: f.Now, Until: f.Now.Add(time.Hour), Serial: "writ-forged"})
		return out, nil
	}})
	want := count(t, db, "SELECT pos FROM events WHERE stream = $1 AND seq = $2", string(r.ID), r.Seq)
	var b Broken
	err := db.Verify(t.Context(), Keys{LogKey: db.Log.VerifierKey()}, nil)
	if !errors.As(err, &b) || b.Pos != want || !strings.Contains(b.What, "was authorized, but") {
		t.Errorf("%v; want event %d", err, want)
	}
}

func TestVerifyAsksTheCheck(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		r := active(t, db, 1)
		submit(t, db, 2)
		var n atomic.Int64
		var done, total int64
		keys := Keys{LogKey: db.Log.VerifierKey(), Check: func(_ int64, e writ.Event, now writ.Request) error {
			n.Add(1)
			if e.Seq != now.Seq {
				t.Errorf("event %d with the request at %d", e.Seq, now.Seq)
			}
			if e.Stream == string(r.ID) && e.Body.Kind() == "grant-begun" {
				return errors.New("the writ is not signed")
			}
			return nil
		}}
		err := db.Verify(t.Context(), keys, func(d, of int64) { done, total = d, of })
		var b Broken
		if !errors.As(err, &b) || !strings.Contains(b.What, "not signed") || n.Load() != 6 {
			t.Errorf("%v after %d events", err, n.Load())
		}
		if done != total || total == 0 {
			t.Errorf("progress ends at %d of %d", done, total)
		}
	})
}
