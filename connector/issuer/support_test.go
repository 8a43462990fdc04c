package issuer

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"golang.org/x/crypto/ssh"
	_ "modernc.org/sqlite"

	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/connector/issuer/mint"
	"github.com/writhq/writ/internal/realtest"
)

const testURL = "https://writ.example/issuer"

// openSQLite opens a fresh database file as a server would.
func openSQLite(t testing.TB, path string) *sql.DB {
	t.Helper()
	pragmas := url.Values{"_pragma": {"journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(10000)"}}
	db, err := sql.Open("sqlite", "file:"+path+"?"+pragmas.Encode())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func sqliteDB(t testing.TB) *sql.DB {
	return openSQLite(t, filepath.Join(t.TempDir(), "issuer.db"))
}

func openPostgres(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// onBoth runs f on a fresh database of each engine.
func onBoth(t *testing.T, f func(t *testing.T, db *sql.DB)) {
	t.Run("sqlite", func(t *testing.T) { f(t, sqliteDB(t)) })
	t.Run("postgres", func(t *testing.T) { f(t, openPostgres(t, realtest.Database(t))) })
}

var testKeys = sync.OnceValue(func() mint.Keys {
	keys, err := mint.NewKeys("Writ test CA", rand.Reader, time.Now())
	if err != nil {
		panic(err)
	}
	return keys
})

// A clock is moved by hand.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(time.Now().UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.at.Load()).UTC() }
func (c *clock) forward(d time.Duration) { c.at.Add(int64(d)) }

// open opens an Issuer that ends with the test, and a target of it.
func open(t testing.TB, cfg Config) (*Issuer, connector.Connector) {
	t.Helper()
	if cfg.Keys.Pepper == nil {
		cfg.Keys = testKeys()
	}
	if cfg.URL == "" {
		cfg.URL = testURL
	}
	if cfg.Caller == nil {
		cfg.Caller = func(r *http.Request) (string, error) { return r.Header.Get("Caller"), nil }
	}
	i, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Close(); err != nil {
			t.Logf("close: %v", err)
		}
	})
	return i, targetOf(t, i, `{}`)
}

func targetOf(t testing.TB, i *Issuer, config string) connector.Connector {
	t.Helper()
	c, err := Driver{i}.Open(t.Context(), json.RawMessage(config), connector.Env{Target: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// logged returns a logger and what it wrote.
func logged() (*slog.Logger, *syncBuffer) {
	b := &syncBuffer{}
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug})), b
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

var grants = map[connector.Kind]string{
	connector.APIKey:      `{"audience":"billing-api","scopes":["read","write"]}`,
	connector.AccessToken: `{"audience":"billing-api","scopes":["read","write"]}`,
	connector.Certificate: `{}`,
	connector.SSHCert:     `{"principals":["deploy"],"extensions":["permit-pty"]}`,
}

// order returns an order of the kind for an hour from now.
func order(t testing.TB, request string, kind connector.Kind, now time.Time) connector.Order {
	t.Helper()
	o := connector.Order{
		Request: request, Serial: "writ-1", Subject: "ci-deploy", SubjectUID: "uid-7", Entitlement: "billing",
		Environment: "production", Kind: kind, Grant: json.RawMessage(grants[kind]),
		Scope: map[string]string{"service": "billing"}, From: now.UTC(), Until: now.UTC().Add(time.Hour),
	}
	switch kind {
	case connector.Certificate:
		o.PublicKey = csrOf(t, clientKey)
	case connector.SSHCert:
		o.PublicKey = string(ssh.MarshalAuthorizedKey(sshKey().PublicKey()))
	}
	return o
}

var clientKey = func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}()

var sshKey = sync.OnceValue(func() ssh.Signer {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err)
	}
	signer, err := ssh.NewSignerFromSigner(key)
	if err != nil {
		panic(err)
	}
	return signer
})

// csrOf asks for more than anybody should get.
func csrOf(t testing.TB, key any) string {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject:  pkix.Name{CommonName: "root", Organization: []string{"admins"}},
		DNSNames: []string{"admin.example"}, EmailAddresses: []string{"root@example"},
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// grant carries out an order and returns what it issued.
func grant(t testing.TB, c connector.Connector, o connector.Order) (connector.Receipt, string) {
	t.Helper()
	r, err := c.Grant(t.Context(), o)
	if err != nil {
		t.Fatalf("grant: %v", err)
	}
	for _, part := range []map[string]connector.Secret{r.Credential.Env, r.Credential.Files} {
		for name, value := range part {
			if name != "ca.crt" {
				return r, value.Reveal()
			}
		}
	}
	t.Fatal("nothing was issued")
	return r, ""
}

func revoke(t testing.TB, c connector.Connector, o connector.Order) {
	t.Helper()
	if err := c.Revoke(t.Context(), o, connector.Receipt{}); err != nil {
		t.Fatalf("revoke: %v", err)
	}
}

// judged fails the test unless the token is judged so.
func judged(t testing.TB, i *Issuer, token string, want Reason) Verdict {
	t.Helper()
	v, err := i.Verify(context.Background(), token, nil)
	if err != nil || v.Reason != want || v.Active != (want == Active) {
		t.Fatalf("verified: %+v, %v; want %s", v, err, want)
	}
	return v
}
