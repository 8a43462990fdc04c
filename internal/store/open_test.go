package store

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/ledger"
)

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "notes.txt"), []byte(strings.Repeat("not a database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		dsn   string
		words string
	}{
		"a missing folder":    {filepath.Join(dir, "none", "writ.db"), "make its folder"},
		"another file":        {filepath.Join(dir, "notes.txt"), "not a SQLite database"},
		"a folder":            {dir, "cannot be opened"},
		"nothing":             {"", "which file"},
		"a bad URL":           {"postgres://writ:s3cret@host:port/db", "cannot be read; write it as"},
		"a host that is away": {"postgres://writ:s3cret@127.0.0.1:1/db", "127.0.0.1 cannot be reached"},
	} {
		db, err := Open(t.Context(), Config{DSN: c.dsn, Log: logSigner(t)})
		if err == nil {
			db.Close()
			t.Errorf("%s was opened", name)
			continue
		}
		if !strings.Contains(err.Error(), c.words) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(t.Context(), Config{DSN: filepath.Join(dir, "writ.db")}); err == nil {
		t.Error("opened for writing without a key")
	}
}

func TestOpenRefusesASchemaFromTheFuture(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		if _, err := sideways(t, db).Exec("INSERT INTO schema_versions (version_id, is_applied) VALUES (99, $1)", true); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		for _, readOnly := range []bool{false, true} {
			db, err := Open(t.Context(), Config{DSN: dsn, Log: logSigner(t), ReadOnly: readOnly})
			if err == nil {
				db.Close()
				t.Fatal("opened a database of a newer program")
			}
			if !strings.Contains(err.Error(), "upgrade the program") {
				t.Error(err)
			}
		}
	})
}

func TestOpenRefusesAnothersLedger(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		openWorld(t, dsn).Close()
		seed := sha256.Sum256([]byte("another"))
		other, err := ledger.NewSigner(origin, seed[:])
		if err != nil {
			t.Fatal(err)
		}
		if db, err := Open(t.Context(), Config{DSN: dsn, Log: other}); err == nil {
			db.Close()
			t.Error("opened with another key")
		} else if !strings.Contains(err.Error(), "configure the key") {
			t.Error(err)
		}
	})
}

func TestOpenRefusesALedgerThatDoesNotHold(t *testing.T) {
	for _, spoil := range []string{"UPDATE tiles SET hashes = $1", "DELETE FROM tiles WHERE hashes <> $1", "UPDATE head SET checkpoint = '' WHERE checkpoint <> $1"} {
		each(t, func(t *testing.T, dsn string) {
			tampered(t)
			db := openWorld(t, dsn)
			arg := any(make([]byte, 32*count(t, db, "SELECT size FROM head")))
			if strings.Contains(spoil, "head") {
				arg = "x"
			}
			if _, err := sideways(t, db).Exec(spoil, arg); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			db, err := Open(t.Context(), Config{DSN: dsn, Log: logSigner(t)})
			if err == nil {
				db.Close()
				t.Fatalf("%s: opened to go on with a ledger that does not hold", spoil)
			}
			if !strings.Contains(err.Error(), "run 'writ verify'") {
				t.Error(err)
			}
		})
	}
}

func TestSecondProcessOnOneFileIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a strange?name#of %41 file.db")
	db := openWorld(t, path)
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), Config{DSN: "sqlite:" + path, Log: logSigner(t)})
	unavailable(t, err, "in use by another process")
	reader, err := Open(t.Context(), Config{DSN: path, ReadOnly: true}) // who only reads may look
	if err != nil {
		t.Fatal(err)
	}
	submit(t, db, 1)
	verify(t, reader)
	if err := reader.Close(); err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}

func TestReadOnlyNeedsADatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "writ.db")
	db, err := Open(t.Context(), Config{DSN: path, ReadOnly: true})
	if err == nil {
		db.Close()
		t.Fatal("opened what is not there")
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("looking made a file: %v", err)
	}
}

func TestLostHeadRowIsNoticed(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		tampered(t)
		db := openWorld(t, dsn)
		if _, err := sideways(t, db).Exec("DELETE FROM head"); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Update(t.Context(), asking(newID(), service(1), "orders/read")); err == nil || !strings.Contains(err.Error(), "lost the row") {
			t.Error(err)
		}
	})
}

// T9: a clock that goes back decides nothing.
func TestClockThatWentBackDecidesNothing(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		ahead := func(d time.Duration) {
			t.Helper()
			if _, err := sideways(t, db).Exec("UPDATE head SET at = $1", now().Add(d).UnixMicro()); err != nil {
				t.Fatal(err)
			}
		}
		ahead(30 * time.Second) // another server's clock
		r := submit(t, db, 1)
		if until := time.Until(r.At); until < 20*time.Second {
			t.Errorf("an event is older than the one before it: %s", r.At)
		}
		ahead(time.Hour)
		_, err := db.Update(t.Context(), asking(newID(), service(1), "orders/read"))
		unavailable(t, err, "clock")
		ahead(-time.Hour)
		if r := submit(t, db, 1); time.Since(r.At).Abs() > 10*time.Second {
			t.Errorf("the right time is not taken up again: %s", r.At)
		}
	})
}

func TestLogSignerIsAsked(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		note, err := db.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if c, err := ledger.OpenCheckpoint(note, db.Log.VerifierKey()); err != nil || c.Size != 0 || c.Origin != origin {
			t.Errorf("the empty log: %v, %v", c, err)
		}
		if h, err := db.Head(t.Context()); err != nil || h.Size != 0 || !h.At.IsZero() {
			t.Errorf("%v, %v", h, err)
		}
		if _, err := db.Get(t.Context(), "req-none"); !errors.Is(err, writ.NotFound) {
			t.Error(err)
		}
	})
}
