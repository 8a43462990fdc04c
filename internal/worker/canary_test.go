package worker

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"filippo.io/age"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/door"
	"github.com/writhq/writ/internal/realtest"
	"github.com/writhq/writ/internal/seal"
)

// public are the names in a credential that are no secret.
var public = []string{"PGHOST", "PGPORT", "PGDATABASE", "PGUSER"}

// secrets are all that was handed out.
type secrets struct {
	mu   sync.Mutex
	text []string
}

func (s *secrets) add(env map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, value := range env {
		if !slices.Contains(public, name) {
			s.text = append(s.text, value)
		}
	}
}

// in returns how often a secret stands in data, in any form that it could have
// been written in.
func (s *secrets) in(data []byte) (n int) {
	for _, secret := range s.text {
		for _, form := range []string{
			secret, base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)), hex.EncodeToString([]byte(secret)),
		} {
			n += bytes.Count(data, []byte(form))
		}
	}
	return n
}

// TestNoSecretIsKept issues many credentials, over a target that fails now and
// then, and looks for them wherever something is kept or told.
func TestNoSecretIsKept(t *testing.T) {
	issued := 200
	if raced || testing.Short() {
		issued = 40
	}
	for name, dsn := range map[string]func(testing.TB) string{
		"sqlite":   func(testing.TB) string { return "" },
		"postgres": realtest.Database,
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			var n int
			var mu sync.Mutex
			w := newWorld(t, setup{Dir: t.TempDir(), DSN: dsn(t), Target: s.dsn(s.addr)}, faults{call: func(c *call) error {
				mu.Lock()
				defer mu.Unlock()
				if n++; n%100 == 0 {
					return fmt.Errorf("%s of %s: the answer was lost", c.op, c.order.Request)
				}
				return nil
			}})
			w.work(t)
			var known secrets
			told := w.issue(t, issued, &known)
			if len(known.text) < issued {
				t.Fatalf("%d secrets of %d credentials", len(known.text), issued)
			}
			canary := known.text[0]
			if known.in([]byte("before "+canary+" after")) == 0 || known.in(asJSON(t, []byte(canary))) == 0 {
				t.Fatal("this test would not see a secret")
			}
			for place, data := range w.places(t, told) {
				if found := known.in(data); found > 0 {
					t.Errorf("%s: %d times a secret in %d bytes", place, found, len(data))
				}
			}
		})
	}
}

// issue has credentials of every kind made, claims them, and returns all that
// anybody was told meanwhile but those.
func (w *world) issue(t *testing.T, n int, known *secrets) []byte {
	var mu sync.Mutex
	var told bytes.Buffer
	tell := func(v any, err error) {
		mu.Lock()
		defer mu.Unlock()
		told.Write(asJSON(t, v))
		fmt.Fprintln(&told, err)
	}
	var all sync.WaitGroup
	const lanes = 16
	for lane := range lanes {
		all.Go(func() {
			for i := lane; i < n; i += lanes {
				if err := w.issueOne(t.Context(), i, known, tell); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	return told.Bytes()
}

func (w *world) issueOne(ctx context.Context, i int, known *secrets, tell func(any, error)) error {
	who := machine(i)
	r, err := w.ask(ctx, who, []string{someKey, someToken, someLogin}[i%3], time.Hour)
	if err != nil {
		return err
	}
	if r, err = w.await(r.ID, func(r writ.Request) bool { return r.Status == writ.StatusActive }); err != nil {
		return err
	}
	d, err := w.door.Claim(ctx, w.as(who), r.ID)
	if err != nil {
		return err
	}
	known.add(d.Credential.Env)
	tell(w.door.Claim(ctx, w.as(who), r.ID)) // refused
	if i%2 == 0 {
		tell(w.door.Release(ctx, w.as(who), r.ID))
	}
	tell(w.door.Show(ctx, w.as(who), r.ID))
	return nil
}

// places returns the bytes of everything that is kept, logged, counted or told.
func (w *world) places(t *testing.T, told []byte) map[string][]byte {
	t.Helper()
	places := map[string][]byte{"answers": told, "log": []byte(w.log.String()), "metrics": w.exposed()}
	for _, r := range w.all(t) {
		entries, err := w.store.Events(t.Context(), string(r.ID))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			places["ledger"] = append(places["ledger"], e.Record...)
		}
		places["requests"] = append(places["requests"], asJSON(t, r)...)
	}
	err := filepath.WalkDir(w.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "keys" {
			return err
		}
		places[d.Name()], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if w.DSN != "" {
		places["database"] = dump(t, w.DSN)
	}
	kept := "writ.db-wal"
	if w.DSN != "" {
		kept = "database"
	}
	for _, place := range []string{"answers", "log", "metrics", "ledger", "requests", kept} {
		if len(places[place]) < 200 {
			t.Errorf("of %s only %d bytes were read", place, len(places[place]))
		}
	}
	return places
}

// exposed returns the metrics as they are shown.
func (w *world) exposed() []byte {
	answer := httptest.NewRecorder()
	promhttp.HandlerFor(w.metrics, promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	return answer.Body.Bytes()
}

func asJSON(t testing.TB, v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		t.Error(err)
	}
	return data
}

// dump returns every value of every table of a PostgreSQL database.
func dump(t *testing.T, dsn string) []byte {
	t.Helper()
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	tables, err := textColumn(ctx, conn, "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname not in ('pg_catalog', 'information_schema')")
	if err != nil || len(tables) < 5 {
		t.Fatalf("%v: %v", tables, err)
	}
	var out bytes.Buffer
	for _, table := range tables {
		rows, err := textColumn(ctx, conn, "select t::text from "+table+" t")
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			out.WriteString(row + "\n")
		}
		raw, err := bytesColumns(ctx, conn, table)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(raw)
	}
	return out.Bytes()
}

// bytesColumns returns the content of a table's columns of bytes, which text
// shows in hexadecimal.
func bytesColumns(ctx context.Context, conn *pgx.Conn, table string) (out []byte, err error) {
	names, err := textColumn(ctx, conn, "select format('%I', attname) from pg_attribute where atttypid = 'bytea'::regtype and attrelid = '"+table+"'::regclass")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		rows, err := conn.Query(ctx, "select "+name+" from "+table+" where "+name+" is not null")
		if err != nil {
			return nil, err
		}
		values, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
		if err != nil {
			return nil, err
		}
		out = append(out, bytes.Join(values, []byte("\n"))...)
	}
	return out, nil
}

// TestCredentialForItsHolderAlone has a credential sealed to a key of whoever
// asks: Writ can hand it on, and cannot open it.
func TestCredentialForItsHolderAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		holder, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, setup{}, faults{})
		w.work(t)
		r := w.active(t, machine(1), someKey, time.Hour, func(a *door.Ask) { a.Recipient = holder.Recipient().String() })
		d, err := w.door.Claim(t.Context(), w.as(machine(1)), r.ID)
		if err != nil || d.Credential != nil {
			t.Fatalf("claimed %+v: %v", d.Credential, err)
		}
		if _, err := seal.Open(d.Sealed, w.keys.Claims); err == nil {
			t.Error("the server can open it")
		}
		c, err := seal.Open(d.Sealed, holder)
		if err != nil || !w.works(t, c.Env[envKey]) {
			t.Errorf("the holder has no key that works: %v", err)
		}
	})
}
