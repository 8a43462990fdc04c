package issuer

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"modernc.org/sqlite"

	"github.com/writhq/writ/connector"
)

var errStruck = errors.New("the database broke off")

// A faulty database fails once, at the call whose turn it is: before doing it, or
// after, when it is done and only the answer is lost.
type faulty struct {
	dsn    string
	at     int // which call fails, from 1; 0: none
	after  bool
	seen   int
	struck bool
}

func (f *faulty) arm(at int, after bool) { f.at, f.after, f.seen, f.struck = at, after, 0, false }

func (f *faulty) Driver() driver.Driver { return &sqlite.Driver{} }

func (f *faulty) Connect(context.Context) (driver.Conn, error) {
	c, err := f.Driver().Open(f.dsn)
	return &faultyConn{f, c}, err
}

// call does one call, or fails it. Undo is what a broken connection does by itself.
func (f *faulty) call(do func() error, undo func()) error {
	f.seen++
	strikes := f.seen == f.at
	f.struck = f.struck || strikes
	if strikes && !f.after {
		undo()
		return errStruck
	}
	err := do()
	if strikes && err == nil {
		return errStruck
	}
	return err
}

func nothing() {}

type faultyConn struct {
	*faulty
	driver.Conn
}

func (c *faultyConn) BeginTx(ctx context.Context, o driver.TxOptions) (tx driver.Tx, err error) {
	err = c.call(func() (err error) {
		tx, err = c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
		return err
	}, nothing)
	if err != nil && tx != nil {
		_ = tx.Rollback()
	}
	return &faultyTx{c.faulty, tx}, err
}

func (c *faultyConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (r driver.Result, err error) {
	err = c.call(func() (err error) {
		r, err = c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
		return err
	}, nothing)
	return r, err
}

func (c *faultyConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (r driver.Rows, err error) {
	err = c.call(func() (err error) {
		r, err = c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
		return err
	}, nothing)
	if err != nil && r != nil {
		_ = r.Close()
	}
	return r, err
}

type faultyTx struct {
	*faulty
	tx driver.Tx
}

func (t *faultyTx) Commit() error {
	return t.call(t.tx.Commit, func() { _ = t.tx.Rollback() })
}

func (t *faultyTx) Rollback() error { return t.tx.Rollback() }

// Each call of the database fails in turn, done and not done, during a first
// grant, a repeated grant and a revocation. Whatever is verified afterwards is
// what the database says, also before anything is repeated; and repeating leads
// to the end that was wanted.
func TestEveryDatabaseCallMayFail(t *testing.T) {
	t.Parallel()
	steps := map[string]func(connector.Connector, connector.Order) (string, error){
		"grant": func(c connector.Connector, o connector.Order) (string, error) {
			r, err := c.Grant(context.Background(), o)
			if err != nil {
				return "", err
			}
			return r.Credential.Env["WRIT_API_KEY"].Reveal(), nil
		},
		"revoke": func(c connector.Connector, o connector.Order) (string, error) {
			return "", c.Revoke(context.Background(), o, connector.Receipt{})
		},
	}
	for _, granted := range []bool{false, true} {
		for name, step := range steps {
			for _, after := range []bool{false, true} {
				at := 1
				for strike(t, granted, name, at, after, step) {
					at++
				}
				if at < 4 {
					t.Errorf("%s: only %d calls of the database failed", name, at-1)
				}
			}
		}
	}
}

func strike(t *testing.T, granted bool, name string, at int, after bool, step func(connector.Connector, connector.Order) (string, error)) bool {
	t.Helper()
	pragmas := "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(10000)"
	f := &faulty{dsn: "file:" + filepath.Join(t.TempDir(), "issuer.db") + pragmas}
	db := sql.OpenDB(f)
	defer db.Close()
	i, target := open(t, Config{DB: db, Sole: true, poll: time.Hour})
	defer i.Close()
	o := order(t, "req-1", connector.APIKey, time.Now())
	var keys []string
	if granted {
		_, key := grant(t, target, o)
		keys = append(keys, key)
	}
	what := fmt.Sprintf("%s, granted before: %t, call %d, done: %t", name, granted, at, after)
	f.arm(at, after)
	key, err := step(target, o)
	f.at = 0
	if key != "" {
		keys = append(keys, key)
	}
	agree(t, what, i, db, keys)
	if err == nil && name == "revoke" && live(t, db) != 0 {
		t.Errorf("%s: said to be revoked, and lives", what)
	}
	again, err := step(target, o)
	if err != nil {
		t.Fatalf("%s: repeated: %v", what, err)
	}
	agree(t, what+", repeated", i, db, append(keys, again))
	want := 0
	if name == "grant" {
		want = 1
		judged(t, i, again, Active)
	}
	if live(t, db) != want {
		t.Errorf("%s: %d live credentials, want %d", what, live(t, db), want)
	}
	return f.struck
}

func live(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	if err := db.QueryRow(`SELECT count(*) FROM issuer_credential WHERE ended = 0`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// agree fails the test unless each key is active just where its row lives.
func agree(t *testing.T, what string, i *Issuer, db *sql.DB, keys []string) {
	t.Helper()
	for _, key := range keys {
		if key == "" {
			continue
		}
		var n int
		if err := db.QueryRow(`SELECT count(*) FROM issuer_credential WHERE ended = 0 AND id = $1`, key[keyAt:keyAt+10]).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if v, err := i.Verify(t.Context(), key, nil); err != nil || v.Active != (n == 1) {
			t.Errorf("%s: the database has %d live rows, verified is %+v, %v", what, n, v, err)
		}
	}
}
