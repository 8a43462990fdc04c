package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/writhq/writ"
)

// audience is this server's, in every test but those of dev mode.
const audience = "https://writ.example.com"

// A key signs tokens byte by byte, without a JOSE library: what we refuse must
// not depend on what such a library would agree to make.
type key struct {
	kid, alg string
	private  crypto.Signer
}

var (
	rsaKey     = key{"rsa-1", "RS256", must(rsa.GenerateKey(rand.Reader, 2048))}
	rsaKey2    = key{"rsa-2", "RS256", must(rsa.GenerateKey(rand.Reader, 2048))}
	ecKey      = key{"ec-1", "ES256", must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))}
	edKey      = key{"ed-1", "EdDSA", ed25519.NewKeyFromSeed(make([]byte, 32))}
	strangeKey = key{"rsa-1", "RS256", must(rsa.GenerateKey(rand.Reader, 2048))} // a stranger's, under a known kid
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func encode(v any) string { return b64(must(json.Marshal(v))) }

func (k key) jwk() jose.JSONWebKey {
	return jose.JSONWebKey{Key: k.private.Public(), KeyID: k.kid, Algorithm: k.alg, Use: "sig"}
}

// sign returns the compact JWS over header and payload, both already base64url.
func (k key) sign(head, payload string) string {
	text := head + "." + payload
	sum := sha256.Sum256([]byte(text))
	switch private := k.private.(type) {
	case *rsa.PrivateKey:
		return text + "." + b64(must(rsa.SignPKCS1v15(nil, private, crypto.SHA256, sum[:])))
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, private, sum[:])
		if err != nil {
			panic(err)
		}
		return text + "." + b64(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
	case ed25519.PrivateKey:
		return text + "." + b64(ed25519.Sign(private, []byte(text)))
	}
	panic("no such key")
}

func hs256(secret []byte, head, payload string) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(head + "." + payload))
	return head + "." + payload + "." + b64(mac.Sum(nil))
}

type fields = map[string]any

func (k key) head(more fields) string {
	h := fields{"alg": k.alg, "kid": k.kid, "typ": "JWT"}
	maps.Copy(h, more)
	maps.DeleteFunc(h, func(_ string, v any) bool { return v == nil })
	return encode(h)
}

func (k key) token(claims fields) string { return k.sign(k.head(nil), encode(claims)) }

// A provider is an OpenID provider over real HTTP, with just what verifying needs.
type provider struct {
	*httptest.Server
	mu      sync.Mutex
	keys    []any // what its JWK set holds
	fetches atomic.Int64
	answer  atomic.Pointer[http.HandlerFunc] // instead of its own, if set
}

func newProvider(t testing.TB, signers ...key) *provider {
	p := &provider{}
	p.publish(signers...)
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

// fresh returns a token that nobody has seen yet.
func (p *provider) fresh(k key, now time.Time) string {
	return k.token(p.claims(now, fields{"jti": rand.Text()}))
}

func (p *provider) publish(signers ...key) {
	var list []any
	for _, s := range signers {
		list = append(list, s.jwk())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = list
}

func (p *provider) instead(h http.HandlerFunc) {
	if h == nil {
		p.answer.Store(nil)
		return
	}
	p.answer.Store(&h)
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := p.answer.Load(); h != nil {
		p.fetches.Add(1)
		(*h)(w, r)
		return
	}
	p.own(w, r)
}

// own is what the provider answers when nobody tells it otherwise.
func (p *provider) own(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(fields{"issuer": p.URL, "jwks_uri": p.URL + "/keys"})
	case "/keys":
		p.fetches.Add(1)
		p.mu.Lock()
		defer p.mu.Unlock()
		_ = json.NewEncoder(w).Encode(fields{"keys": p.keys})
	default:
		http.NotFound(w, r)
	}
}

// claims returns those of a token of this provider for us, valid at now.
func (p *provider) claims(now time.Time, more fields) fields {
	c := fields{
		"iss": p.URL, "aud": audience, "sub": "ann-7f3a",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	}
	maps.Copy(c, more)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// A clock stands still until it is told to move.
type clock struct{ at atomic.Pointer[time.Time] }

func newClock() *clock {
	c, now := &clock{}, time.Now().Truncate(time.Second)
	c.at.Store(&now)
	return c
}

func (c *clock) now() time.Time { return *c.at.Load() }

func (c *clock) move(d time.Duration) {
	next := c.now().Add(d)
	c.at.Store(&next)
}

// A server is an authenticator with what surrounds it.
type server struct {
	*Authenticator
	*clock
	docs atomic.Pointer[writ.Directory]
	log  *lockedBuffer
}

func newServer(t testing.TB, issuers []Issuer, docs ...writ.Document) *server {
	t.Helper()
	return newServerOf(t, Config{Issuers: issuers}, docs...)
}

func newServerOf(t testing.TB, cfg Config, docs ...writ.Document) *server {
	t.Helper()
	s := &server{clock: newClock(), log: &lockedBuffer{}}
	s.apply(docs...)
	cfg.Directory, cfg.Logger = s.docs.Load, slog.New(slog.NewTextHandler(s.log, nil))
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	a.now = s.clock.now
	s.Authenticator = a
	return s
}

func (s *server) now() time.Time { return s.clock.now() }

func (s *server) apply(docs ...writ.Document) { s.docs.Store(writ.NewDirectory(docs...)) }

type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func identity(name string, accounts ...writ.Account) writ.Identity {
	return writ.Identity{
		Header:   writ.Header{Kind: "identity", Name: name, UID: writ.UID("uid-of-" + name)},
		Accounts: accounts,
	}
}

func ann(p *provider) writ.Identity {
	return identity("human/ann", writ.Account{Issuer: p.URL, Subject: "ann-7f3a"})
}

func with(state string, i writ.Identity) writ.Identity { i.State = state; return i }

func (s *server) accepts(t testing.TB, token string, who writ.Ref) Caller {
	t.Helper()
	c, err := s.Token(t.Context(), token)
	if err != nil {
		t.Fatalf("refused: %v\nlog: %s", err, s.log)
	}
	if c.Party.Name != who {
		t.Fatalf("it is %s, not %s", c.Party.Name, who)
	}
	return c
}

// refuses checks that a token is refused as fault, and that neither the error
// nor the log gives the token away.
func (s *server) refuses(t testing.TB, token string, as writ.Fault) error {
	t.Helper()
	c, err := s.Token(t.Context(), token)
	if !errors.Is(err, as) {
		t.Fatalf("error %v, not %s; caller %+v", err, as, c)
	}
	if c.Party != (writ.Party{}) || c.Issuer != "" {
		t.Fatalf("refused, but as %+v", c)
	}
	signature := token[strings.LastIndex(token, ".")+1:]
	for _, text := range []string{err.Error(), s.log.String()} {
		if len(token) > 20 && strings.Contains(text, token) || len(signature) > 20 && strings.Contains(text, signature) {
			t.Fatalf("the token shows in %q", text)
		}
	}
	return err
}

func trust(p *provider) Issuer {
	return Issuer{URL: p.URL, Audience: audience, MaxAge: 10 * time.Minute}
}
