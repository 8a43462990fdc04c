package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func startOne(t *testing.T, c PostgresConfig) *Postgres {
	t.Helper()
	p, err := StartPostgres(t.Context(), c)
	if errors.Is(err, ErrMissing) && os.Getenv("CI") == "" {
		t.Skipf("not tested here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

func setting(t *testing.T, p *Postgres, name string) (value string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), p.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), "select current_setting($1)", name).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestPostgresKeepsItsDirectory(t *testing.T) {
	dir, err := os.MkdirTemp("", "writ-test-") // t.TempDir lies below a folder that only we may enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	c := PostgresConfig{Dir: dir, Sync: true, Settings: map[string]string{"log_statement": "all"}}

	first := startOne(t, c)
	if got := setting(t, first, "fsync") + setting(t, first, "log_statement"); got != "onall" {
		t.Errorf("fsync and log_statement are %s", got)
	}
	if _, err := first.CreateDatabase(t.Context(), "kept"); err != nil {
		t.Fatal(err)
	}
	first.Stop()
	first.Stop()

	second := startOne(t, c)
	if second.Password != first.Password {
		t.Error("the password changed")
	}
	if err := second.exec(t.Context(), "alter database kept rename to found"); err != nil {
		t.Error(err)
	}
}

func TestPostgresAsksForThePassword(t *testing.T) {
	p := startOne(t, PostgresConfig{})
	conn, err := pgx.Connect(t.Context(), strings.Replace(p.DSN, p.Password, "wrong", 1))
	if err == nil {
		conn.Close(t.Context())
		t.Fatal("a wrong password was accepted")
	}
}

func TestStartSaysWhyItCannot(t *testing.T) {
	startOne(t, PostgresConfig{}).Stop() // skips where there is none
	p, err := StartPostgres(t.Context(), PostgresConfig{Settings: map[string]string{"no_such_setting": "1"}})
	if err == nil {
		p.Stop()
		t.Fatal("it started")
	}
	if !strings.Contains(err.Error(), "no_such_setting") {
		t.Errorf("the error does not say why: %v", err)
	}
	if os.Geteuid() != 0 {
		return
	}
	if p, err := StartPostgres(t.Context(), PostgresConfig{Dir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "chmod") {
		t.Errorf("a directory out of reach: %v, %v", p, err)
	}
}

// TestServerEndsWithUs kills a process that started a server, as a crash or a
// CI timeout would, and wants both the server and its directory gone.
func TestServerEndsWithUs(t *testing.T) {
	if os.Getenv("WRIT_TEST_VICTIM") != "" {
		p := startOne(t, PostgresConfig{})
		fmt.Printf("\n%s %s\n", p.DSN, p.process.spec.dir)
		select {}
	}
	startOne(t, PostgresConfig{}).Stop() // skips where there is none
	victim := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestServerEndsWithUs$")
	victim.Env = append(os.Environ(), "WRIT_TEST_VICTIM=1")
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	var dsn, dir string
	if _, err := fmt.Fscan(out, &dsn, &dir); err != nil {
		t.Fatal(err)
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, out)
	_ = victim.Wait()
	deadline := time.Now().Add(15 * time.Second)
	for serves(dsn) || exists(dir) {
		if time.Now().After(deadline) {
			t.Fatalf("15 s later: serves %t, %s exists %t", serves(dsn), dir, exists(dir))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func serves(dsn string) bool {
	conn, err := pgx.Connect(context.Background(), dsn)
	if err == nil {
		conn.Close(context.Background())
	}
	return err == nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
