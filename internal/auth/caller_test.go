package auth

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/writhq/writ"
)

func TestCallerOfEveryAlgorithm(t *testing.T) {
	p := newProvider(t, rsaKey, ecKey, edKey)
	s := newServer(t, []Issuer{trust(p)}, ann(p))
	for _, k := range []key{rsaKey, ecKey, edKey} {
		c := s.accepts(t, k.token(p.claims(s.now(), nil)), "human/ann")
		if c.Party.UID != "uid-of-human/ann" || c.Identity.Name != "human/ann" || c.Issuer != p.URL || c.Subject != "ann-7f3a" {
			t.Errorf("%s: caller %+v", k.alg, c)
		}
		if !c.Expires.Equal(s.now().Add(5 * time.Minute)) {
			t.Errorf("%s: expires %v", k.alg, c.Expires)
		}
	}
}

func TestAcceptedTypes(t *testing.T) {
	p := newProvider(t, rsaKey)
	s := newServer(t, []Issuer{trust(p)}, ann(p))
	for _, typ := range []any{"JWT", "jwt", "at+jwt", "application/at+jwt", nil} {
		s.accepts(t, rsaKey.sign(rsaKey.head(fields{"typ": typ}), encode(p.claims(s.now(), nil))), "human/ann")
	}
	only := trust(p)
	only.Typ = []string{"AT+JWT"}
	s = newServer(t, []Issuer{only}, ann(p))
	s.accepts(t, rsaKey.sign(rsaKey.head(fields{"typ": "at+jwt"}), encode(p.claims(s.now(), nil))), "human/ann")
	for _, typ := range []any{"JWT", nil} {
		s.refuses(t, rsaKey.sign(rsaKey.head(fields{"typ": typ}), encode(p.claims(s.now(), nil))), writ.Unauthenticated)
	}
}

func TestOneAudienceInAListIsOurs(t *testing.T) {
	p := newProvider(t, rsaKey)
	s := newServer(t, []Issuer{trust(p)}, ann(p))
	s.accepts(t, rsaKey.token(p.claims(s.now(), fields{"aud": []string{audience}})), "human/ann")
}

func TestTokenWithoutKidMeansAnOnlyKey(t *testing.T) {
	p := newProvider(t, rsaKey)
	s := newServer(t, []Issuer{trust(p)}, ann(p))
	s.accepts(t, rsaKey.sign(rsaKey.head(fields{"kid": nil}), encode(p.claims(s.now(), nil))), "human/ann")
}

func TestTokenEndsWithMaxAge(t *testing.T) {
	p := newProvider(t, rsaKey)
	s := newServer(t, []Issuer{trust(p)}, ann(p))
	token := rsaKey.token(p.claims(s.now().Add(-8*time.Minute), fields{"exp": s.now().Add(24 * time.Hour).Unix()}))
	if c := s.accepts(t, token, "human/ann"); !c.Expires.Equal(s.now().Add(2 * time.Minute)) {
		t.Errorf("expires %v", c.Expires)
	}
	s.move(2 * time.Minute)
	if err := s.refuses(t, token, writ.Unauthenticated); !strings.Contains(err.Error(), "get a new one") {
		t.Error(err)
	}
}

func TestCacheRespectsExp(t *testing.T) {
	p := newProvider(t, rsaKey)
	s := newServer(t, []Issuer{trust(p)}, ann(p))
	token := rsaKey.token(p.claims(s.now(), fields{"exp": s.now().Add(90 * time.Second).Unix()}))
	s.accepts(t, token, "human/ann")
	s.move(89 * time.Second)
	s.accepts(t, token, "human/ann")
	s.move(time.Second)
	if err := s.refuses(t, token, writ.Unauthenticated); !strings.Contains(err.Error(), "expired") {
		t.Error(err)
	}
}

func TestCacheForgetsAWithdrawnKey(t *testing.T) {
	p := newProvider(t, rsaKey)
	i := trust(p)
	i.MaxAge = 24 * time.Hour
	s := newServer(t, []Issuer{i}, ann(p))
	token := rsaKey.token(p.claims(s.now(), fields{"exp": s.now().Add(24 * time.Hour).Unix()}))
	s.accepts(t, token, "human/ann")
	p.publish(rsaKey2)
	s.move(keysRefresh)
	s.refuses(t, token, writ.Unauthenticated)
}

func TestCacheIsBounded(t *testing.T) {
	var c cache
	now := time.Now()
	for n := range 5 * cacheSize {
		c.put([32]byte{byte(n), byte(n >> 8), byte(n >> 16)}, &token{expires: now.Add(time.Hour)}, now)
	}
	if n := len(c.young) + len(c.old); n > 2*cacheSize {
		t.Errorf("%d tokens are kept", n)
	}
	last := 5*cacheSize - 1
	if c.get([32]byte{byte(last), byte(last >> 8), byte(last >> 16)}, now) == nil {
		t.Error("the newest token is forgotten")
	}
	c.put([32]byte{1, 2, 3, 4}, &token{expires: now.Add(time.Hour)}, now.Add(cacheFor))
	c.put([32]byte{1, 2, 3, 5}, &token{expires: now.Add(time.Hour)}, now.Add(2*cacheFor))
	if n := len(c.young) + len(c.old); n != 2 {
		t.Errorf("%d tokens are kept beyond their time", n)
	}
}

func TestRefusedTokensAreNotCached(t *testing.T) {
	p := newProvider(t, rsaKey)
	s := newServer(t, []Issuer{trust(p)}, ann(p))
	s.refuses(t, strangeKey.token(p.claims(s.now(), nil)), writ.Unauthenticated)
	if n := len(s.seen.young); n != 0 {
		t.Errorf("%d tokens cached", n)
	}
}

func TestDisabledIdentityIsRefusedAtOnce(t *testing.T) {
	p := newProvider(t, rsaKey)
	s := newServer(t, []Issuer{trust(p)}, ann(p))
	token := rsaKey.token(p.claims(s.now(), nil))
	s.accepts(t, token, "human/ann")
	for _, state := range []string{"disabled", "retired"} {
		s.apply(with(state, ann(p)))
		s.refuses(t, token, writ.Unauthenticated)
	}
	s.apply(ann(p))
	s.accepts(t, token, "human/ann")
	s.apply()
	s.refuses(t, token, writ.Unauthenticated)
	s.apply(identity("human/ann", writ.Account{Issuer: p.URL, Subject: "ann-0000"}))
	s.refuses(t, token, writ.Unauthenticated)
	if n := p.fetches.Load(); n != 1 {
		t.Errorf("keys were fetched %d times; the token itself was verified already", n)
	}
}

func TestTokenOfAnUnknownIdentityWorksOnceItIsApplied(t *testing.T) {
	p := newProvider(t, rsaKey)
	s := newServer(t, []Issuer{trust(p)})
	token := rsaKey.token(p.claims(s.now(), nil))
	if err := s.refuses(t, token, writ.Unauthenticated); !strings.Contains(err.Error(), "accounts") {
		t.Errorf("%v does not say what to do", err)
	}
	s.apply(ann(p))
	s.accepts(t, token, "human/ann")
}

func TestCallersUnderChange(t *testing.T) {
	p := newProvider(t, edKey)
	s := newServer(t, []Issuer{trust(p)}, ann(p))
	token := edKey.token(p.claims(s.now(), nil))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 200 {
				c, err := s.Token(t.Context(), token)
				if (err == nil) == (c.Party.Name == "") {
					t.Errorf("caller %v with error %v", c.Party, err)
				}
			}
		})
	}
	for n := range 100 {
		s.apply(with([]string{"active", "disabled"}[n%2], ann(p)))
	}
	all.Wait()
	s.apply(with("disabled", ann(p)))
	s.refuses(t, token, writ.Unauthenticated)
}

func TestAuthorizationHeader(t *testing.T) {
	p := newProvider(t, edKey)
	s := newServer(t, []Issuer{trust(p)}, ann(p))
	token := edKey.token(p.claims(s.now(), nil))
	call := func(values ...string) (Caller, error) {
		r := httptest.NewRequest(http.MethodGet, "/?access_token="+token, nil)
		r.AddCookie(&http.Cookie{Name: "access_token", Value: token})
		r.Header["Authorization"] = values
		return s.Caller(r)
	}
	for _, value := range []string{"Bearer " + token, "bearer " + token, "BEARER " + token} {
		if c, err := call(value); err != nil || c.Party.Name != "human/ann" {
			t.Errorf("%.10s: %v %v", value, c.Party, err)
		}
	}
	for name, values := range map[string][]string{
		"none":       nil,
		"empty":      {""},
		"scheme":     {"Bearer"},
		"no token":   {"Bearer "},
		"two":        {"Bearer " + token, "Bearer " + token},
		"basic":      {"Basic " + token},
		"dpop":       {"DPoP " + token},
		"no scheme":  {token},
		"two spaces": {"Bearer  " + token},
		"comma":      {"Bearer " + token + ", Bearer " + token},
		"long":       {"Bearer " + strings.Repeat("a", maxToken+1)},
	} {
		c, err := call(values...)
		if !errors.Is(err, writ.Unauthenticated) || c.Party.Name != "" {
			t.Errorf("%s: %v %v", name, c.Party, err)
		}
	}
}

func TestReasonGoesToTheLogAlone(t *testing.T) {
	p := newProvider(t, rsaKey)
	s := newServer(t, []Issuer{trust(p)}, ann(p))
	err := s.refuses(t, rsaKey.token(p.claims(s.now(), fields{"aud": "https://other.example.com"})), writ.Unauthenticated)
	if strings.Contains(err.Error(), "other") || !strings.Contains(s.log.String(), "other.example.com") {
		t.Errorf("error %q, log %q", err, s.log)
	}
	before := len(s.log.String())
	s.refuses(t, rsaKey.token(fields{"iss": strings.Repeat("x", 5000)}), writ.Unauthenticated)
	if n := len(s.log.String()) - before; n > 500 {
		t.Errorf("a stranger's token made us log %d bytes", n)
	}
}

func TestConfiguration(t *testing.T) {
	docs := func() *writ.Directory { return writ.NewDirectory() }
	good := Issuer{URL: "https://login.example.com", Audience: audience}
	change := func(f func(*Issuer)) []Issuer { i := good; f(&i); return []Issuer{i} }
	for _, issuers := range [][]Issuer{
		nil, {good},
		change(func(i *Issuer) { i.URL = "https://login.example.com/" }),
		change(func(i *Issuer) { i.URL = "https://login.example.com/tenant/v2.0" }),
		change(func(i *Issuer) { i.URL = "http://localhost:5556/dex" }),
		change(func(i *Issuer) { i.URL = "http://[::1]:5556" }),
		change(func(i *Issuer) { i.Algorithms = []string{"PS256", "ES384"} }),
	} {
		if _, err := New(Config{Issuers: issuers, Directory: docs}); err != nil {
			t.Errorf("%+v: %v", issuers, err)
		}
	}
	for name, issuers := range map[string][]Issuer{
		"twice":           {good, good},
		"no url":          change(func(i *Issuer) { i.URL = "" }),
		"no host":         change(func(i *Issuer) { i.URL = "https://" }),
		"clear text":      change(func(i *Issuer) { i.URL = "http://login.example.com" }),
		"loopback name":   change(func(i *Issuer) { i.URL = "http://localhost.example.com" }),
		"loopback prefix": change(func(i *Issuer) { i.URL = "http://127.0.0.1.example.com" }),
		"other scheme":    change(func(i *Issuer) { i.URL = "file:///etc/passwd" }),
		"user":            change(func(i *Issuer) { i.URL = "https://me:pw@login.example.com" }),
		"query":           change(func(i *Issuer) { i.URL = "https://login.example.com?a=b" }),
		"fragment":        change(func(i *Issuer) { i.URL = "https://login.example.com#a" }),
		"no audience":     change(func(i *Issuer) { i.Audience = "" }),
		"any audience":    change(func(i *Issuer) { i.Audience = "*" }),
		"none":            change(func(i *Issuer) { i.Algorithms = []string{"none"} }),
		"symmetric":       change(func(i *Issuer) { i.Algorithms = []string{"RS256", "HS256"} }),
		"negative age":    change(func(i *Issuer) { i.MaxAge = -1 }),
	} {
		if _, err := New(Config{Issuers: issuers, Directory: docs}); !errors.Is(err, writ.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(Config{Issuers: []Issuer{good}}); err == nil {
		t.Error("without a directory")
	}
}

func TestClaim(t *testing.T) {
	claims, err := object(encode(fields{
		"text": "a b", "number": 1234567890123456789, "yes": true, "no": false, "null": nil, "list": []string{"x"},
		"https://example.com/tenant": "t", "a.b": "dotted", "a": fields{"b": "nested"}, "/odd": "slash",
		"kubernetes.io": fields{"serviceaccount": fields{"uid": "u-1"}, "x/y": "s", "x~y": "w", "": "empty"},
	}))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"text": "a b", "number": "1234567890123456789", "yes": "true", "no": "false",
		"https://example.com/tenant": "t", "a.b": "dotted", "/a/b": "nested", "/~1odd": "slash",
		"/kubernetes.io/serviceaccount/uid": "u-1", "/kubernetes.io/x~1y": "s", "/kubernetes.io/x~0y": "w", "/kubernetes.io/": "empty",
		"null": "", "list": "", "/list/0": "", "a": "", "/a": "", "/a/b/c": "", "missing": "", "/odd": "", "": "", "/": "",
		"kubernetes.io.serviceaccount.uid": "", "/kubernetes.io/serviceaccount": "", "Text": "",
	} {
		if got := claim(claims, name); got != want {
			t.Errorf("%q: %q, not %q", name, got, want)
		}
	}
	written, err := object(b64([]byte(`{"n":1.50,"e":1E2}`)))
	if err != nil || claim(written, "n") != "1.50" || claim(written, "e") != "1E2" {
		t.Errorf("%v %v: numbers are not as written", written, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(rsaKey.token(fields{"iss": "x", "a": []any{1, nil, fields{"b": "c"}}}))
	f.Add("e30.e30.")
	f.Add(b64([]byte(`{"alg":"none","alg":"RS256"}`)) + ".e30.AA")
	f.Fuzz(func(t *testing.T, raw string) {
		h, claims, err := parse(raw)
		if err != nil {
			return
		}
		if claims == nil || strings.Count(raw, ".") != 2 || len(h.alg)+len(h.kid)+len(h.typ) > len(raw) {
			t.Errorf("%q: %+v %v", raw, h, claims)
		}
		for name := range claims {
			claim(claims, name)
			claim(claims, "/"+name)
		}
	})
}

func BenchmarkTokenCached(b *testing.B) {
	p := newProvider(b, rsaKey)
	more := fields{}
	for n := range 20 { // as long as a pipeline's
		more[fmt.Sprintf("claim_%d", n)] = "repo:acme@9001/shop@1234:environment"
	}
	s := newServer(b, []Issuer{trust(p)}, ann(p))
	s.Authenticator.now = time.Now
	token := rsaKey.token(p.claims(time.Now(), more))
	s.accepts(b, token, "human/ann")
	b.SetBytes(int64(len(token)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Token(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTokenVerified(b *testing.B) {
	p := newProvider(b, rsaKey)
	s := newServer(b, []Issuer{trust(p)}, ann(p))
	token := rsaKey.token(p.claims(s.now(), nil))
	for b.Loop() {
		if _, err := s.verify(b.Context(), token, s.now()); err != nil {
			b.Fatal(err)
		}
	}
}
