// Package realtest gives tests real systems. A test names what it needs; what
// was started for it ends by itself. Where a system is not installed the test is
// skipped, except under CI (environment variable CI set), where it fails: a
// check that did not run must not look like one that passed.
package realtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/writhq/writ/internal/realtest/server"
)

var (
	shared    = sync.OnceValues(startShared)
	databases atomic.Int64
)

func startShared() (*server.Postgres, error) {
	return server.StartPostgres(context.Background(), server.PostgresConfig{})
}

// Postgres returns the PostgreSQL server that all tests of this binary share. It
// starts on first use and ends with the binary. Roles belong to the whole
// server: tests that look at all of them must not run in parallel.
func Postgres(t testing.TB) *server.Postgres {
	t.Helper()
	p, err := shared()
	need(t, err)
	return p
}

// Database returns the DSN of a fresh, empty database on the shared server, as
// its superuser. It is dropped after the test.
func Database(t testing.TB) (dsn string) {
	t.Helper()
	p := Postgres(t)
	name := fmt.Sprintf("test%d", databases.Add(1))
	dsn, err := p.CreateDatabase(t.Context(), name)
	need(t, err)
	t.Cleanup(func() {
		if err := p.DropDatabase(context.Background(), name); err != nil {
			t.Errorf("database %s stays behind: %v", name, err)
		}
	})
	return dsn
}

// OwnPostgres starts a PostgreSQL server for this test alone.
func OwnPostgres(t testing.TB, c server.PostgresConfig) *server.Postgres {
	t.Helper()
	p, err := server.StartPostgres(t.Context(), c)
	need(t, err)
	t.Cleanup(p.Stop)
	return p
}

// Redis starts a Redis server for this test alone.
func Redis(t testing.TB, c server.RedisConfig) *server.Redis {
	t.Helper()
	r, err := server.StartRedis(t.Context(), c)
	need(t, err)
	t.Cleanup(r.Stop)
	return r
}

var vault = sync.OnceValues(func() (*server.Vault, error) { return server.StartVault(context.Background()) })

// Vault returns the Vault server that all tests of this binary share. It starts on
// first use and ends with the binary.
func Vault(t testing.TB) *server.Vault {
	t.Helper()
	v, err := vault()
	need(t, err)
	return v
}

// LDAP starts an OpenLDAP server for this test alone.
func LDAP(t testing.TB, c server.LDAPConfig) *server.LDAP {
	t.Helper()
	l, err := server.StartLDAP(t.Context(), c)
	need(t, err)
	t.Cleanup(l.Stop)
	return l
}

// need stops the test unless its system is there.
func need(t testing.TB, err error) {
	t.Helper()
	switch {
	case errors.Is(err, server.ErrMissing) && os.Getenv("CI") == "":
		t.Skipf("not tested here: %v", err)
	case err != nil:
		t.Fatal(err)
	}
}
