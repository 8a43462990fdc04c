package auth

import (
	"crypto/ed25519"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/writhq/writ"
)

func devKey(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(n), 32)))
}

// newDevServer serves a dev issuer over real HTTP.
func newDevServer(t *testing.T, docs ...writ.Document) (*server, *Dev) {
	t.Helper()
	web := httptest.NewUnstartedServer(nil)
	var s *server
	dev, err := NewDev(devKey('a'), "http://"+web.Listener.Addr().String(), func() *writ.Directory { return s.docs.Load() })
	if err != nil {
		t.Fatal(err)
	}
	s = newServerOf(t, Config{Dev: dev}, docs...)
	web.Config.Handler = dev.Handler()
	web.Start()
	t.Cleanup(web.Close)
	return s, dev
}

func people() []writ.Document {
	return []writ.Document{identity("human/ann"), identity("service/ci"), with("disabled", identity("human/bob"))}
}

func login(t *testing.T, d *Dev, body string) (int, string, fields) {
	t.Helper()
	res, err := http.Post(d.url+"/dev/login", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var out fields
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("Content-Type"), out
}

func TestDevLogin(t *testing.T) {
	s, dev := newDevServer(t, people()...)
	for _, who := range []writ.Ref{"human/ann", "service/ci"} {
		status, kind, out := login(t, dev, `{"as":"`+string(who)+`"}`)
		if status != http.StatusOK || kind != "application/json" {
			t.Fatalf("%d %s %v", status, kind, out)
		}
		c := s.accepts(t, out["token"].(string), who)
		if c.Subject != string(c.Party.UID) || c.Issuer != dev.url || c.Expires.UTC().Format(time.RFC3339) != out["expires"] {
			t.Errorf("%+v %v", c, out["expires"])
		}
	}
}

func TestDevTokenIsAnOrdinaryOne(t *testing.T) {
	_, dev := newDevServer(t, people()...)
	token, expires, err := dev.Login("human/ann")
	if err != nil {
		t.Fatal(err)
	}
	p, err := oidc.NewProvider(t.Context(), dev.url)
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Verifier(&oidc.Config{ClientID: dev.url}).Verify(t.Context(), token)
	if err != nil || got.Subject != "uid-of-human/ann" || !got.Expiry.Equal(expires) || expires.Sub(got.IssuedAt) != 8*time.Hour {
		t.Errorf("%+v %v", got, err)
	}
}

func TestDevLoginRefuses(t *testing.T) {
	_, dev := newDevServer(t, people()...)
	for body, want := range map[string]int{
		`{"as":"human/eve"}`:               http.StatusForbidden,
		`{"as":"human/bob"}`:               http.StatusForbidden,
		`{"as":""}`:                        http.StatusForbidden,
		`{}`:                               http.StatusForbidden,
		`{"as":"human/ann","for":"9999h"}`: http.StatusBadRequest,
		`{"as":["human/ann"]}`:             http.StatusBadRequest,
		`as=human/ann`:                     http.StatusBadRequest,
		``:                                 http.StatusBadRequest,
		`{"as":"` + strings.Repeat("x", 5000) + `"}`: http.StatusBadRequest,
	} {
		status, kind, out := login(t, dev, body)
		if status != want || kind != "application/problem+json" || out["detail"] == "" || out["token"] != nil {
			t.Errorf("%.40s: %d %s %v", body, status, kind, out)
		}
	}
}

// sendAs sends a good login, but for one change.
func sendAs(dev *Dev, change func(*http.Request)) *http.Response {
	r := httptest.NewRequest(http.MethodPost, "/dev/login", strings.NewReader(`{"as":"human/ann"}`))
	r.RemoteAddr, r.Host = "127.0.0.1:50000", strings.TrimPrefix(dev.url, "http://")
	r.Header.Set("Content-Type", "application/json")
	change(r)
	w := httptest.NewRecorder()
	dev.Handler().ServeHTTP(w, r)
	return w.Result()
}

// TestDevIsForThisMachineAlone tries what a page, a neighbour or a proxy could send.
func TestDevIsForThisMachineAlone(t *testing.T) {
	_, dev := newDevServer(t, people()...)
	own := strings.TrimPrefix(dev.url, "http://")
	send := func(change func(*http.Request)) *http.Response { return sendAs(dev, change) }
	for name, change := range map[string]func(*http.Request){
		"as it is":          func(*http.Request) {},
		"ipv6":              func(r *http.Request) { r.RemoteAddr, r.Host = "[::1]:50000", "[::1]:8080" },
		"ipv4 in ipv6":      func(r *http.Request) { r.RemoteAddr = "[::ffff:127.0.0.1]:50000" },
		"localhost":         func(r *http.Request) { r.Host = "localhost:8080" },
		"without a port":    func(r *http.Request) { r.Host = "localhost" },
		"its own page":      func(r *http.Request) { r.Header.Set("Origin", dev.url) },
		"with a charset":    func(r *http.Request) { r.Header.Set("Content-Type", "application/json; charset=utf-8") },
		"content type case": func(r *http.Request) { r.Header.Set("Content-Type", "Application/JSON") },
	} {
		if res := send(change); res.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", name, res.Status)
		}
	}
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for name, change := range map[string]func(*http.Request){
		"from elsewhere":         func(r *http.Request) { r.RemoteAddr = "192.0.2.7:50000" },
		"from the local network": func(r *http.Request) { r.RemoteAddr = "10.0.0.7:50000" },
		"from a socket":          func(r *http.Request) { r.RemoteAddr = "@" },
		"from nowhere":           func(r *http.Request) { r.RemoteAddr = "" },
		"rebound name":           func(r *http.Request) { r.Host = "evil.example.com:8080" },
		"name like ours":         func(r *http.Request) { r.Host = "localhost.evil.example.com" },
		"address like ours":      func(r *http.Request) { r.Host = "127.0.0.1.nip.io" },
		"any address":            func(r *http.Request) { r.Host = "0.0.0.0:8080" },
		"no host":                func(r *http.Request) { r.Host = "" },
		"foreign page":           header("Origin", "https://evil.example.com"),
		"page of another port":   header("Origin", "http://127.0.0.1:1"),
		"page of no origin":      header("Origin", "null"),
		"page with an odd url":   header("Origin", "http://"+own+"@evil.example.com"),
		"proxied":                header("X-Forwarded-For", "192.0.2.7"),
		"proxied, by standard":   header("Forwarded", "for=192.0.2.7"),
		"proxied, named":         header("Via", "1.1 proxy"),
		"a form":                 header("Content-Type", "application/x-www-form-urlencoded"),
		"plain text":             header("Content-Type", "text/plain"),
		"no content type":        func(r *http.Request) { r.Header.Del("Content-Type") },
	} {
		res := send(change)
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode != http.StatusForbidden || res.Header.Get("Content-Type") != "application/problem+json" || strings.Contains(string(body), "token\":") {
			t.Errorf("%s: %s %s", name, res.Status, body)
		}
	}
	for _, path := range []string{"/.well-known/openid-configuration", "/dev/jwks.json"} {
		res := send(func(r *http.Request) { r.Method, r.URL.Path, r.RemoteAddr = http.MethodGet, path, "192.0.2.7:1" })
		if res.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
}

// TestDevTokenBelongsToOneIdentity: a name that is removed and made again is
// somebody else.
func TestDevTokenBelongsToOneIdentity(t *testing.T) {
	s, dev := newDevServer(t, people()...)
	token, _, err := dev.Login("human/ann")
	if err != nil {
		t.Fatal(err)
	}
	s.accepts(t, token, "human/ann")
	again := identity("human/ann")
	again.UID = "uid-of-another-ann"
	for name, docs := range map[string][]writ.Document{
		"made again": {again}, "removed": {}, "disabled": {with("disabled", identity("human/ann"))},
		"uid under another name": {func() writ.Identity { i := identity("human/amy"); i.UID = "uid-of-human/ann"; return i }()},
	} {
		s.apply(docs...)
		if err := s.refuses(t, token, writ.Unauthenticated); err == nil {
			t.Error(name)
		}
	}
	s.apply(people()...)
	s.accepts(t, token, "human/ann")
	s.move(devFor)
	s.refuses(t, token, writ.Unauthenticated)
}

func TestDevTokenElsewhere(t *testing.T) {
	s, dev := newDevServer(t, people()...)
	token, _, err := dev.Login("human/ann")
	if err != nil {
		t.Fatal(err)
	}
	s.accepts(t, token, "human/ann")
	newServer(t, nil, people()...).refuses(t, token, writ.Unauthenticated) // not in dev mode

	other, err := NewDev(devKey('b'), dev.url, s.docs.Load)
	if err != nil {
		t.Fatal(err)
	}
	newServerOf(t, Config{Dev: other}, people()...).refuses(t, token, writ.Unauthenticated) // another key

	forged := key{dev.kid, "EdDSA", devKey('b')}
	now := time.Now().Unix()
	claims := fields{"iss": dev.url, "aud": dev.url, "sub": "uid-of-human/ann", "name": "human/ann", "iat": now, "exp": now + 300}
	s.refuses(t, forged.token(claims), writ.Unauthenticated)
	right := key{dev.kid, "EdDSA", devKey('a')}
	s.accepts(t, right.token(claims), "human/ann")
	s.refuses(t, right.sign(right.head(fields{"typ": nil}), encode(claims)), writ.Unauthenticated)
}

func TestDevConfiguration(t *testing.T) {
	docs := func() *writ.Directory { return writ.NewDirectory() }
	for _, url := range []string{"", "https://writ.example.com", "http://0.0.0.0:8080", "http://127.0.0.1:8080/", "http://127.0.0.1:8080/x", "127.0.0.1:8080"} {
		if _, err := NewDev(devKey('a'), url, docs); err == nil {
			t.Errorf("%q is accepted", url)
		}
	}
	for name, make := range map[string]func() (*Dev, error){
		"no key":       func() (*Dev, error) { return NewDev(nil, "http://127.0.0.1:8080", docs) },
		"no directory": func() (*Dev, error) { return NewDev(devKey('a'), "http://127.0.0.1:8080", nil) },
	} {
		if _, err := make(); err == nil {
			t.Error(name)
		}
	}
	dev, err := NewDev(devKey('a'), "http://127.0.0.1:8080", docs)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Dev: dev, Directory: docs, Issuers: []Issuer{{URL: "http://127.0.0.1:8080", Audience: "x"}}}); err == nil {
		t.Error("an issuer of the dev issuer's name is accepted")
	}
}
