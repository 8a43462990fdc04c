package database

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/realtest"
)

func TestStatementsForManyRows(t *testing.T) {
	table := Table{Name: "t", Columns: "a, b, c", After: "ON CONFLICT DO NOTHING"}
	if got, want := table.insert(2), "INSERT INTO t (a, b, c) VALUES ($1,$2,$3),($4,$5,$6) ON CONFLICT DO NOTHING"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	texts := map[int]bool{}
	for n := 1; n <= 1000; n++ {
		for left := n; left > 0; {
			next := chunk(left)
			texts[next] = true
			if left -= next; left < 0 {
				t.Fatalf("%d rows: a statement too wide", n)
			}
		}
	}
	if len(texts) != 7 { // 1, 2, 4, … 64
		t.Errorf("%d different statements: %v", len(texts), texts)
	}
}

func TestParametersWithoutNumbers(t *testing.T) {
	for text, want := range map[string]string{
		"VALUES ($1,$2),($3,$4)":               "VALUES (?,?),(?,?)",
		"SELECT 1":                             "SELECT 1",
		"a = $1 AND b = $2 AND c = $1":         "a = $1 AND b = $2 AND c = $1",
		"a = $2 AND b = $1":                    "a = $2 AND b = $1",
		"($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11)": "(?,?,?,?,?,?,?,?,?,?,?)",
	} {
		if got := unnumbered(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestRowsAreWrittenAndFound(t *testing.T) {
	for name, dsn := range map[string]string{"sqlite": filepath.Join(t.TempDir(), "writ.db"), "postgres": realtest.Database(t)} {
		t.Run(name, func(t *testing.T) { writtenAndFound(t, dsn) })
	}
}

func writtenAndFound(t *testing.T, dsn string) {
	ctx := t.Context()
	d, err := Open(ctx, dsn, false)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	c, err := d.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Exec("BEGIN")
	var values, pairs, names []any
	for n := range 150 {
		values = append(values, fmt.Sprintf("k%03d", n), "r", n%2)
		pairs = append(pairs, fmt.Sprintf("k%03d", n), []string{"r", "other"}[n%2])
		names = append(names, fmt.Sprintf("k%03d", n*2))
	}
	c.Insert(Table{Name: "links", Columns: "key, request, waits"}, values)
	for name, find := range map[string]func(func(Scanner) error) error{
		"names": func(f func(Scanner) error) error {
			return ScanIn(ctx, c, "SELECT key FROM links WHERE key IN ", 1, names, f)
		},
		"pairs": func(f func(Scanner) error) error {
			return ScanIn(ctx, c, "SELECT key FROM links WHERE (key, request) IN ", 2, pairs, f)
		},
	} {
		seen := map[string]bool{}
		err := find(func(scan Scanner) error {
			var key string
			err := scan(&key)
			seen[key] = true
			return err
		})
		if err != nil || len(seen) != 75 { // every second one is there
			t.Errorf("%s: %d found, want 75: %v", name, len(seen), err)
		}
	}
	if err := c.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := ScanOne(ctx, d.Read, "SELECT count(*) FROM links", nil, &n); err != nil || n != 150 {
		t.Errorf("%d rows, %v", n, err)
	}
}

func TestErrorsAreExplained(t *testing.T) {
	for want, err := range map[string]error{
		"the disk is full; nothing was changed":      &pgconn.PgError{Code: "53100", Message: "could not extend file"},
		"the user or password is wrong":              &pgconn.PgError{Code: "28P01"},
		"grant the user its own schema":              &pgconn.PgError{Code: "42501", Message: "permission denied for schema public"},
		"is busy; try again":                         &pgconn.PgError{Code: "55P03"},
		"connection to the database was lost":        fmt.Errorf("read: %w", io.ErrUnexpectedEOF),
		"look before asking again":                   uncertain{net.ErrClosed},
		"the server ended the connection; try again": &pgconn.PgError{Code: "57P01"},
		"the database failed. Whether":               uncertain{errors.New("who knows")},
		"try again. Whether":                         uncertain{&pgconn.PgError{Code: "57P01"}},
	} {
		got := Explain(fmt.Errorf("exec: %w", err))
		if !errors.Is(got, writ.Unavailable) || !strings.Contains(got.Error(), want) || !errors.Is(got, err) {
			t.Errorf("%v: %v, want %q", err, got, want)
		}
	}
	for _, err := range []error{nil, context.Canceled, context.DeadlineExceeded, errors.New("a bug"), writ.Errorf(writ.Conflict, "no"), &pgconn.PgError{Code: "23505"}, uncertain{&pgconn.PgError{Code: "22021"}}} {
		if got := Explain(err); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
}

// TestCountingReadsWhatIsLive: what is over is never forgotten, and a look at the
// metrics must not go through all of it.
func TestCountingReadsWhatIsLive(t *testing.T) {
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "writ.db"), false)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var plan []string
	err = Scan(t.Context(), db.Read, "EXPLAIN QUERY PLAN "+countLive, nil, func(scan Scanner) error {
		var id, parent, unused int
		var step string
		err := scan(&id, &parent, &unused, &step)
		plan = append(plan, step)
		return err
	})
	if err != nil || len(plan) == 0 || !strings.Contains(plan[0], "states_live") {
		t.Errorf("%q: %v", plan, err)
	}
}
