package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writhq/writ"
)

func TestIssuerDownAtTheStart(t *testing.T) {
	p := newProvider(t, rsaKey)
	s := newServer(t, []Issuer{trust(p)}, ann(p))
	p.instead(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusBadGateway) })
	err := s.refuses(t, p.fresh(rsaKey, s.now()), writ.Unavailable)
	if !strings.Contains(err.Error(), p.URL) || strings.Contains(err.Error(), "502") || !strings.Contains(s.log.String(), "502") {
		t.Errorf("error %q, log %q", err, s.log)
	}
	p.instead(nil)
	s.refuses(t, p.fresh(rsaKey, s.now()), writ.Unavailable) // not asked again within the pause
	s.move(fetchPause)
	s.accepts(t, p.fresh(rsaKey, s.now()), "human/ann")
}

func TestIssuerThatIsNotThere(t *testing.T) {
	p := newProvider(t, rsaKey)
	s := newServer(t, []Issuer{trust(p)}, ann(p))
	token := p.fresh(rsaKey, s.now())
	p.Close()
	if err := s.refuses(t, token, writ.Unavailable); strings.Contains(err.Error(), "dial") {
		t.Errorf("%v tells strangers about our network", err)
	}
}

func TestOneIssuerDownLeavesTheOthers(t *testing.T) {
	p, down := newProvider(t, rsaKey), newProvider(t, rsaKey2)
	s := newServer(t, []Issuer{trust(p), trust(down)}, ann(p))
	down.Close()
	s.refuses(t, down.fresh(rsaKey2, s.now()), writ.Unavailable)
	s.accepts(t, p.fresh(rsaKey, s.now()), "human/ann")
}

func TestIssuerDownLater(t *testing.T) {
	p := newProvider(t, rsaKey)
	s := newServer(t, []Issuer{trust(p)}, ann(p))
	s.accepts(t, p.fresh(rsaKey, s.now()), "human/ann")
	p.instead(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusBadGateway) })
	s.move(keysMaxAge - time.Second)
	s.accepts(t, p.fresh(rsaKey, s.now()), "human/ann")              // the keys we hold still count
	s.refuses(t, p.fresh(rsaKey2, s.now()), writ.Unavailable)        // they cannot be refused for good
	s.refuses(t, p.fresh(strangeKey, s.now()), writ.Unauthenticated) // that one can
	s.move(time.Second)
	s.refuses(t, p.fresh(rsaKey, s.now()), writ.Unavailable)
	p.instead(nil)
	s.move(fetchPause)
	s.accepts(t, p.fresh(rsaKey, s.now()), "human/ann")
}

func TestKeyRotation(t *testing.T) {
	p := newProvider(t, rsaKey)
	s := newServer(t, []Issuer{trust(p)}, ann(p))
	s.accepts(t, p.fresh(rsaKey, s.now()), "human/ann")
	p.publish(rsaKey, rsaKey2)
	s.move(fetchPause)
	s.accepts(t, p.fresh(rsaKey2, s.now()), "human/ann")
	s.accepts(t, p.fresh(rsaKey, s.now()), "human/ann")
	if n := p.fetches.Load(); n != 2 {
		t.Errorf("%d fetches; a new kid needs one more than the first", n)
	}
	p.publish(rsaKey2)
	s.move(keysRefresh)
	s.accepts(t, p.fresh(rsaKey2, s.now()), "human/ann")
	s.refuses(t, p.fresh(rsaKey, s.now()), writ.Unauthenticated)
}

func TestIssuerWithoutKeysTrustsNobody(t *testing.T) {
	p := newProvider(t, rsaKey)
	s := newServer(t, []Issuer{trust(p)}, ann(p))
	s.accepts(t, p.fresh(rsaKey, s.now()), "human/ann")
	p.publish()
	s.move(keysRefresh)
	s.refuses(t, p.fresh(rsaKey, s.now()), writ.Unauthenticated)
}

func TestFloodOfUnknownKeysAsksTheIssuerOnce(t *testing.T) {
	p := newProvider(t, rsaKey)
	s := newServer(t, []Issuer{trust(p)}, ann(p))
	s.accepts(t, p.fresh(rsaKey, s.now()), "human/ann")
	s.move(fetchPause)
	for n := range 200 {
		k := key{fmt.Sprintf("kid-%d", n), "RS256", strangeKey.private}
		s.refuses(t, p.fresh(k, s.now()), writ.Unauthenticated)
	}
	if n := p.fetches.Load(); n != 2 {
		t.Errorf("%d fetches", n)
	}
}

// TestSlowIssuer holds the issuer up: who knows a key goes on, who gives up is
// let go, and the fetch ends by itself.
func TestSlowIssuer(t *testing.T) {
	t.Parallel()
	p := newProvider(t, rsaKey)
	s := newServer(t, []Issuer{trust(p)}, ann(p))
	s.accepts(t, p.fresh(rsaKey, s.now()), "human/ann")
	entered, release := make(chan struct{}, 1), make(chan struct{})
	p.instead(func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-release
	})
	defer close(release)
	s.move(keysRefresh)
	began, slow := time.Now(), make(chan error)
	go func() {
		_, err := s.Token(t.Context(), p.fresh(rsaKey2, s.now()))
		slow <- err
	}()
	<-entered
	s.accepts(t, p.fresh(rsaKey, s.now()), "human/ann")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := s.Token(ctx, p.fresh(rsaKey2, s.now())); err == nil || time.Since(began) > fetchLimit {
		t.Errorf("who gave up got %v after %v", err, time.Since(began))
	}
	if err := <-slow; err == nil || time.Since(began) > 2*fetchLimit {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

func TestFetchRefuses(t *testing.T) {
	p := newProvider(t, rsaKey)
	elsewhere := newProvider(t, rsaKey)
	discovery := func(jwks string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/.well-known/") {
				_ = json.NewEncoder(w).Encode(fields{"issuer": p.URL, "jwks_uri": jwks})
				return
			}
			p.own(w, r)
		}
	}
	keys := func(answer http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/keys" {
				answer(w, r)
				return
			}
			discovery(p.URL+"/keys")(w, r)
		}
	}
	text := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, s) }
	}
	for name, answer := range map[string]http.HandlerFunc{
		"discovery that redirects": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusFound)
		},
		"keys that redirect": keys(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/keys", http.StatusTemporaryRedirect)
		}),
		"keys too large":          keys(text(`{"keys":[],"x":"` + strings.Repeat("x", maxAnswer) + `"}`)),
		"discovery too large":     text(`{"issuer":"` + p.URL + `","x":"` + strings.Repeat("x", maxAnswer) + `"}`),
		"too many keys":           keys(text(`{"keys":[` + strings.Repeat(`{},`, maxKeys) + `{}]}`)),
		"keys that are no json":   keys(text(`<html>`)),
		"keys that are not found": keys(http.NotFound),
		"keys of an error": keys(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			p.own(w, r)
		}),
		"no jwks_uri":                discovery(""),
		"keys of a file":             discovery("file:///etc/passwd"),
		"keys in clear text":         discovery("http://192.0.2.1/keys"),
		"keys at a name like ours":   discovery("http://localhost.example.com/keys"),
		"keys at a cloud's metadata": discovery("http://169.254.169.254/latest/meta-data/"),
	} {
		t.Run(name, func(t *testing.T) {
			p.instead(answer)
			elsewhere.fetches.Store(0)
			s := newServer(t, []Issuer{trust(p)}, ann(p))
			s.refuses(t, p.fresh(rsaKey, s.now()), writ.Unavailable)
			if n := elsewhere.fetches.Load(); n != 0 {
				t.Errorf("%d requests went elsewhere", n)
			}
		})
	}
}

// TestFetchOutlivesItsCaller: others are waiting for the keys too.
func TestFetchOutlivesItsCaller(t *testing.T) {
	p := newProvider(t, rsaKey)
	s := newServer(t, []Issuer{trust(p)}, ann(p))
	ctx, cancel := context.WithCancel(t.Context())
	p.instead(func(w http.ResponseWriter, r *http.Request) {
		p.instead(nil)
		cancel()
		p.ServeHTTP(w, r)
	})
	_, _ = s.Token(ctx, p.fresh(rsaKey, s.now()))
	s.accepts(t, p.fresh(rsaKey, s.now()), "human/ann")
}

// TestNothingIsSentInClearText beyond this machine, wherever an issuer points.
func TestNothingIsSentInClearText(t *testing.T) {
	p := newProvider(t, rsaKey)
	p.instead(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(fields{"issuer": p.URL, "jwks_uri": "http://192.0.2.1/keys"})
	})
	var sent []string
	client := &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		sent = append(sent, r.URL.Host)
		return http.DefaultTransport.RoundTrip(r)
	})}
	s := newServerOf(t, Config{Issuers: []Issuer{trust(p)}, Client: client}, ann(p))
	s.refuses(t, p.fresh(rsaKey, s.now()), writ.Unavailable)
	if len(sent) != 1 || "http://"+sent[0] != p.URL {
		t.Errorf("sent to %v", sent)
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestIssuerOverTLS(t *testing.T) {
	p := &provider{}
	p.publish(rsaKey)
	p.Server = httptest.NewTLSServer(p)
	t.Cleanup(p.Close)
	s := newServerOf(t, Config{Issuers: []Issuer{trust(p)}, Client: p.Client()}, ann(p))
	s.accepts(t, p.fresh(rsaKey, s.now()), "human/ann")

	s = newServer(t, []Issuer{trust(p)}, ann(p)) // nobody vouches for its certificate
	s.refuses(t, p.fresh(rsaKey, s.now()), writ.Unavailable)
}

func TestIssuerElsewhereCannotSendUsHere(t *testing.T) {
	var asked atomic.Int64
	here := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(here.Close)
	p := &provider{}
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(fields{"issuer": p.URL, "jwks_uri": here.URL + "/keys"})
	}))
	t.Cleanup(p.Close)
	s := newServerOf(t, Config{Issuers: []Issuer{trust(p)}, Client: p.Client()}, ann(p))
	s.refuses(t, p.fresh(rsaKey, s.now()), writ.Unavailable)
	if asked.Load() != 0 {
		t.Error("a server of this machine was asked")
	}
}

func FuzzReadKeys(f *testing.F) {
	f.Add(must(json.Marshal(fields{"keys": []any{rsaKey.jwk(), ecKey.jwk(), edKey.jwk()}})))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AAAA"},{"kty":"RSA","n":"AQ","e":"AQAB"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := readKeys(data)
		if err != nil && got != nil {
			t.Error("keys beside an error")
		}
		for _, k := range got {
			if !k.IsPublic() || !k.Valid() {
				t.Errorf("%T is no public key", k.Key)
			}
		}
	})
}
