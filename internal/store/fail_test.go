package store

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/realtest"
	"github.com/writhq/writ/internal/realtest/server"
)

// unavailable wants an error that an operator understands.
func unavailable(t testing.TB, err error, words string) {
	t.Helper()
	if !errors.Is(err, writ.Unavailable) || !strings.Contains(err.Error(), words) {
		t.Errorf("%v; want writ.Unavailable with %q", err, words)
	}
}

// disk mounts a small file system of its own, or skips the test where that is
// not allowed.
func disk(t testing.TB, size string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("no small disk can be mounted here: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	return dir
}

// L11: what cannot be recorded does not happen, and nobody is told otherwise.
func TestFullDiskRefusesAndLosesNothing(t *testing.T) {
	dir := disk(t, "4m")
	if err := os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	fillUp(t, openWorld(t, filepath.Join(dir, "writ.db")), func(*DB) {
		if err := os.Remove(filepath.Join(dir, "ballast")); err != nil { // somebody makes room
			t.Fatal(err)
		}
	})
}

func TestFullDatabaseRefusesAndLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "writ.db")
	pages := func(db *DB, n int) {
		t.Helper()
		_, err := db.do(&work{ctx: t.Context(), direct: func(b *batch) error {
			b.conn.Exec(fmt.Sprintf("PRAGMA max_page_count = %d", n))
			b.wrote = true
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	db := openWorld(t, path)
	pages(db, 200)
	fillUp(t, db, func(db *DB) { pages(db, 1<<30) })
}

// fillUp asks until nothing fits any more, and then makes room.
func fillUp(t *testing.T, db *DB, room func(*DB)) {
	t.Helper()
	acknowledged := map[writ.ID]bool{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	full := make(chan error, 100)
	for n := range 8 {
		wg.Go(func() {
			for {
				r, err := db.Update(t.Context(), asking(newID(), service(n), "orders/read"))
				if err != nil && errors.Is(err, writ.Conflict) { // as many as one may have
					return
				}
				if err != nil {
					full <- err
					return
				}
				mu.Lock()
				acknowledged[r.ID] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	close(full)
	n := 0
	for err := range full {
		unavailable(t, err, "disk")
		n++
	}
	if n == 0 || len(acknowledged) == 0 {
		t.Fatalf("%d acknowledged, %d refused; the test says nothing", len(acknowledged), n)
	}
	room(db)
	submit(t, db, 20)
	if got := count(t, db, "SELECT count(*) FROM requests"); got != int64(len(acknowledged))+1 {
		t.Errorf("%d requests, %d were acknowledged", got, len(acknowledged)+1)
	}
}

func TestReadOnlyDiskRefuses(t *testing.T) {
	dir := disk(t, "8m")
	path := filepath.Join(dir, "writ.db")
	db := openWorld(t, path)
	r := submit(t, db, 1)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-o", "remount,ro", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_, err := Open(t.Context(), Config{DSN: path, Log: logSigner(t)})
	unavailable(t, err, "cannot be locked")
	reader, err := Open(t.Context(), Config{DSN: path, ReadOnly: true}) // but it can be read
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	verify(t, reader)
	if _, err := reader.Update(t.Context(), approving(r.ID, "human/bob")); !errors.Is(err, writ.Unavailable) {
		t.Errorf("a change of what is open for reading: %v", err)
	}
}

func TestServerThatGoesAwayIsFoundAgain(t *testing.T) {
	p := realtest.OwnPostgres(t, server.PostgresConfig{})
	dsn, err := p.CreateDatabase(t.Context(), "writ")
	if err != nil {
		t.Fatal(err)
	}
	db := openWorld(t, dsn)
	r := submit(t, db, 1)
	cut := func() {
		t.Helper()
		raw := sideways(t, db)
		if _, err := raw.Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'writ' AND pid <> pg_backend_pid()"); err != nil {
			t.Fatal(err)
		}
		raw.Close()
	}
	cut() // nothing was under way: nobody notices
	must(t, db, approving(r.ID, "human/bob"))

	cutting := approving(r.ID, "human/dan")
	decide := cutting.Decide
	cutting.Decide = func(r writ.Request, f writ.Facts) ([]writ.Event, error) {
		cut()
		return decide(r, f)
	}
	_, err = db.Update(t.Context(), cutting)
	unavailable(t, err, "connection")
	if got, err := db.Get(t.Context(), r.ID); err != nil || got.Status != writ.StatusPending {
		t.Errorf("%s, %v", got.Status, err)
	}
	must(t, db, approving(r.ID, "human/dan"))
	verify(t, db)
	p.Stop()
	tampered(t) // there is nothing left to verify
	start := time.Now()
	_, err = db.Update(t.Context(), approving(r.ID, "human/eve"))
	unavailable(t, err, "cannot be reached")
	if took := time.Since(start); took > patience+5*time.Second {
		t.Errorf("that took %s", took)
	}
}
