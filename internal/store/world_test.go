package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/realtest"
	"github.com/writhq/writ/ledger"
)

const origin = "ledger.example/test"

func logSeed() (*ledger.Signer, error) {
	seed := sha256.Sum256([]byte(origin))
	return ledger.NewSigner(origin, seed[:])
}

func logSigner(t testing.TB) *ledger.Signer {
	t.Helper()
	s, err := logSeed()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// each runs a test on both databases, fresh ones.
func each(t *testing.T, f func(t *testing.T, dsn string)) {
	t.Run("sqlite", func(t *testing.T) { f(t, filepath.Join(t.TempDir(), "writ.db")) })
	t.Run("postgres", func(t *testing.T) { f(t, realtest.Database(t)) })
}

// postgresOnly is for what only a database that processes share can do.
func postgresOnly(t *testing.T) (dsn string) { return realtest.Database(t) }

// open opens a database and closes it after the test.
func open(t testing.TB, dsn string) *DB {
	t.Helper()
	db, err := Open(t.Context(), Config{DSN: dsn, Log: logSigner(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, ok := spoiled.Load(t.Name()); !ok {
			verifyAtEnd(t, db)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// openWorld opens a database and begins its ledger with a directory.
func openWorld(t testing.TB, dsn string) *DB {
	t.Helper()
	db := open(t, dsn)
	begin(t, db)
	return db
}

func begin(t testing.TB, db *DB) {
	t.Helper()
	_, err := db.Update(t.Context(), Change{Decide: func(_ writ.Request, f writ.Facts) ([]writ.Event, error) {
		return []writ.Event{{Stream: writ.LedgerStream, Seq: 1, At: f.Now, Actor: writ.System, Body: writ.Opened{Origin: origin, LogKey: db.Log.VerifierKey()}}}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	put(t, db, worldDocuments()...)
}

// put changes documents as an administrator.
func put(t testing.TB, db *DB, docs ...writ.Document) {
	t.Helper()
	_, err := db.Update(t.Context(), putting(docs...))
	if err != nil {
		t.Fatal(err)
	}
}

var uids atomic.Int64

func putting(docs ...writ.Document) Change {
	c := writ.Put{Documents: docs}
	for _, d := range docs {
		c.UIDs = append(c.UIDs, writ.UID(fmt.Sprintf("%.3s-%06d", d.Head().Kind, uids.Add(1))))
	}
	return Change{Decide: func(_ writ.Request, f writ.Facts) ([]writ.Event, error) {
		f.Actor, f.Authority.Administer = writ.System, true
		events, _, err := writ.DecidePut(c, f)
		return events, err
	}}
}

const subjects = 40

// worldDocuments describes a small company: people who answer and approve,
// machines that ask, two targets.
func worldDocuments() []writ.Document {
	identity := func(name, owner string) writ.Identity {
		return writ.Identity{Header: writ.Header{Kind: "identity", Name: name}, Owner: writ.Ref(owner)}
	}
	var docs []writ.Document
	for _, name := range []string{"ann", "bob", "cyd", "dan", "eve", "fay", "gil"} {
		docs = append(docs, identity("human/"+name, ""))
	}
	for i := range subjects {
		docs = append(docs, identity(fmt.Sprintf("service/ci-%02d", i), "human/ann"))
	}
	for _, name := range []string{"orders", "billing"} {
		docs = append(docs, writ.Target{Header: writ.Header{Kind: "target", Name: name}, Connector: "postgres", Environment: "production", Config: json.RawMessage(`{"host":"db.example"}`)})
	}
	for _, e := range []struct{ target, name, credential string }{
		{"orders", "read", "password"}, {"orders", "admin", "membership"}, {"billing", "read", "password"},
	} {
		docs = append(docs, writ.Entitlement{
			Header: writ.Header{Kind: "entitlement", Name: e.target + "/" + e.name}, Target: e.target, Credential: e.credential,
			Grant: json.RawMessage(`{"role":"` + e.name + `"}`), MaxFor: writ.Of(90 * 24 * time.Hour),
			Scope: map[string]writ.Param{"schema": {OneOf: []string{"public", "audit"}, Default: "public", Covers: writ.Covers{"public": {"audit"}}}},
		})
	}
	return append(docs, writ.Group{Header: writ.Header{Kind: "group", Name: "security"}, Members: []writ.Ref{"human/dan", "human/eve"}})
}

// verdict is what a policy with a manager and a security stage answers.
func verdict(d *writ.Directory) writ.Verdict {
	people := func(as string, names ...writ.Ref) (out []writ.Approver) {
		for _, n := range names {
			out = append(out, writ.Approver{Party: d.Identities[n].Party(), As: as})
		}
		return out
	}
	return writ.Verdict{
		Policy: "sha256:2f0c1f2b6a3a6a2f7d1f2e3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f", Allowed: true, Route: "production",
		Reasons: []writ.Reason{
			{Rule: "guardrail/production-hours", Text: "production access is asked for a named change"},
			{Rule: "route/production", Text: "production needs the manager of the owner and then security"},
		},
		Stages: []writ.Stage{
			{Name: "manager", Quorum: 1, Approvers: people("manager of human/ann", "human/bob", "human/cyd")},
			{Name: "security", Quorum: 1, Approvers: people("group security", "human/dan", "human/eve", "human/fay")},
		},
		MaxFor: writ.Of(30 * 24 * time.Hour),
	}
}

var newest atomic.Int64

// newID returns sortable ids.
func newID() writ.ID {
	return writ.ID(fmt.Sprintf("req-%013x%07x", time.Now().UnixMicro(), newest.Add(1)&0xfffffff))
}

func asking(id writ.ID, subject writ.Ref, entitlement string, ends ...string) Change {
	return askingUnder(verdict, id, subject, entitlement, ends...)
}

func askingUnder(policy func(*writ.Directory) writ.Verdict, id writ.ID, subject writ.Ref, entitlement string, ends ...string) Change {
	return Change{ID: id, Subject: subject, Decide: func(r writ.Request, f writ.Facts) ([]writ.Event, error) {
		f.Actor = f.Directory.Identities[subject].Party()
		f.Verdict = policy(f.Directory)
		why, err := writ.Commit([]byte("0123456789abcdef"), "migrate orders to the new schema")
		if err != nil {
			return nil, err
		}
		terms, err := writ.Ask{
			Subject: subject, Entitlement: entitlement, For: writ.Of(24 * time.Hour), Ends: ends, Ticket: "CHG-1042", Why: why,
		}.Terms(id, f)
		if err != nil {
			return nil, err
		}
		return writ.Decide(r, id, writ.Submit{Terms: terms}, f)
	}}
}

// commanding is a change by a person, or by the system if who is "".
func commanding(id writ.ID, who writ.Ref, command func(writ.Request) writ.Command) Change {
	return Change{ID: id, Decide: func(r writ.Request, f writ.Facts) ([]writ.Event, error) {
		f.Actor = writ.System
		if who != "" {
			f.Actor = f.Directory.Identities[who].Party()
		}
		f.Verdict = verdict(f.Directory)
		return writ.Decide(r, id, command(r), f)
	}}
}

func approving(id writ.ID, who writ.Ref) Change {
	return commanding(id, who, func(r writ.Request) writ.Command { return writ.Approve{Digest: r.Digest} })
}

// must makes changes one after the other and returns the request after the last.
func must(t testing.TB, db *DB, changes ...Change) (r writ.Request) {
	t.Helper()
	for _, c := range changes {
		var err error
		if r, err = db.Update(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// submit asks for access for a service and returns the request.
func submit(t testing.TB, db *DB, n int) writ.Request {
	t.Helper()
	return must(t, db, asking(newID(), service(n), "orders/read", "incident/INC-7"))
}

func service(n int) writ.Ref { return writ.Ref(fmt.Sprintf("service/ci-%02d", n%subjects)) }

// authorized submits and approves a request.
func authorized(t testing.TB, db *DB, n int) writ.Request {
	t.Helper()
	r := submit(t, db, n)
	return must(t, db, approving(r.ID, "human/bob"), approving(r.ID, "human/dan"))
}

// active grants it, too.
func active(t testing.TB, db *DB, n int) writ.Request {
	t.Helper()
	r := authorized(t, db, n)
	return must(t, db, granting(r.ID), granted(r.ID))
}

func granting(id writ.ID) Change {
	return commanding(id, "", func(writ.Request) writ.Command { return writ.BeginGrant{Writ: "eyJhbGciOiJFZERTQSJ9.e30.c2ln"} })
}

func granted(id writ.ID) Change {
	return commanding(id, "", func(r writ.Request) writ.Command {
		return writ.ReportGrant{Attempt: r.Attempt, Receipt: writ.Receipt{External: "writ_" + string(id)}, Seen: writ.Observation{State: writ.Present}}
	})
}

func releasing(id writ.ID, who writ.Ref) Change {
	return commanding(id, who, func(writ.Request) writ.Command { return writ.Release{} })
}

// closing ends a request's access and proves it.
func closing(id writ.ID) []Change {
	return []Change{
		releasing(id, "human/ann"),
		commanding(id, "", func(writ.Request) writ.Command { return writ.BeginRevoke{} }),
		commanding(id, "", func(r writ.Request) writ.Command {
			return writ.ReportRevoke{Attempt: r.Attempt, Seen: writ.Observation{State: writ.Absent}}
		}),
	}
}

func count(t testing.TB, db *DB, text string, args ...any) (n int64) {
	t.Helper()
	if err := db.data.Read.QueryRowContext(context.Background(), text, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func diffRequests(want, got writ.Request) string { return cmp.Diff(want, got) }

// verify holds the whole database against its ledger.
func verify(t testing.TB, db *DB) {
	t.Helper()
	if err := db.Verify(context.Background(), Keys{LogKey: logSigner(t).VerifierKey()}, nil); err != nil {
		t.Errorf("verify: %v", err)
	}
}

// verifyAtEnd is the last step of every test, unless the test spoils its
// database on purpose and says so with tampered.
func verifyAtEnd(t testing.TB, db *DB) {
	t.Helper()
	if head, err := db.Head(context.Background()); err == nil && head.Size > 0 && !t.Failed() {
		verify(t, db)
	}
}

var spoiled sync.Map

func tampered(t testing.TB) { spoiled.Store(t.Name(), true) }

// sideways opens the database past the store, as somebody who tampers would.
func sideways(t testing.TB, db *DB) *sql.DB {
	t.Helper()
	driver, dsn := "sqlite", db.DSN
	if db.data.Shared {
		driver = "pgx"
	}
	raw, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	return raw
}

// The columns of what is derived, but for id and busy.
const (
	requestColumns = "subject, requester, entitlement, target, environment, fixed"
	stateColumns   = "seq, status, task, due, inflight, live, hold, moving"
)
