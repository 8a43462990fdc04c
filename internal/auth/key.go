package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/writhq/writ"
)

const (
	keysRefresh = 10 * time.Minute // keys older than this are fetched again, if that is possible
	keysMaxAge  = time.Hour        // keys older than this are not believed
	fetchPause  = 5 * time.Second  // between two fetches, whatever tokens ask for
	fetchLimit  = 5 * time.Second  // for one fetch, in all
	maxAnswer   = 512 << 10        // bytes of one answer of an issuer
	maxKeys     = 64
)

// keys are those of one issuer, fetched when they are first needed.
type keys struct {
	issuer string
	client *http.Client
	log    *slog.Logger
	now    func() time.Time
	turn   chan struct{} // of capacity one: whoever fetches holds it
	have   atomic.Pointer[keySet]
}

// A keySet is what the last fetches left. It is never changed.
type keySet struct {
	keys  []jose.JSONWebKey
	at    time.Time // when the keys were fetched
	tried time.Time
	down  bool // the last fetch got nothing
}

// find returns the keys that may have signed a token with this header. Errors
// other than faults are for the log.
func (k *keys) find(ctx context.Context, h header) ([]crypto.PublicKey, error) {
	found, s := k.held(h)
	age := k.now().Sub(s.at)
	switch {
	case len(found) > 0 && age < keysRefresh:
		return found, nil
	case len(found) > 0 && age < keysMaxAge:
		select { // whoever comes first fetches; the others go on with what there is
		case k.turn <- struct{}{}:
			k.fetchInTurn(ctx)
		default:
		}
	default:
		select {
		case k.turn <- struct{}{}:
			k.fetchInTurn(ctx)
		case <-ctx.Done():
			return nil, k.unavailable()
		}
	}
	found, s = k.held(h)
	switch {
	case k.now().Sub(s.at) >= keysMaxAge, len(found) == 0 && s.down:
		return nil, k.unavailable()
	case len(found) == 0:
		return nil, fmt.Errorf("%s: it has no %s key %q", k.issuer, h.alg, h.kid)
	}
	return found, nil
}

func (k *keys) unavailable() error {
	return writ.Errorf(writ.Unavailable, "the keys of issuer %s cannot be fetched; try again in %s", k.issuer, fetchPause)
}

// held returns the keys we have for a header. A token without a kid can mean
// an only key, and no other.
func (k *keys) held(h header) (found []crypto.PublicKey, s *keySet) {
	if s = k.have.Load(); s == nil {
		return nil, &keySet{}
	}
	if h.kid == "" && len(s.keys) > 1 {
		return nil, s
	}
	for _, key := range s.keys {
		if (h.kid == "" || key.KeyID == h.kid) && (key.Algorithm == "" || key.Algorithm == h.alg) {
			found = append(found, key.Key)
		}
	}
	return found, s
}

// fetchInTurn fetches the keys, unless that was tried just now, and gives the
// turn back. A caller that goes away does not end it: others wait for it.
func (k *keys) fetchInTurn(ctx context.Context) {
	defer func() { <-k.turn }()
	old := k.have.Load()
	if old == nil {
		old = &keySet{}
	}
	if k.now().Sub(old.tried) < fetchPause {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchLimit)
	defer cancel()
	next := &keySet{}
	var err error
	if next.keys, err = k.fetch(ctx); err != nil {
		k.log.Warn("keys of issuer not fetched", "issuer", k.issuer, "reason", brief(err))
		next.keys, next.at, next.down = old.keys, old.at, true
	} else {
		next.at = k.now()
	}
	next.tried = k.now()
	k.have.Store(next)
}

// fetch discovers the issuer and gets its JWK set (RFC 7517).
func (k *keys) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, k.client), k.issuer)
	if err != nil {
		return nil, err
	}
	var meta struct {
		JWKS string `json:"jwks_uri"`
	}
	if err := provider.Claims(&meta); err != nil {
		return nil, err
	}
	if err := checkJWKS(k.issuer, meta.JWKS); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, meta.JWKS, nil)
	if err != nil {
		return nil, err
	}
	res, err := k.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", meta.JWKS, res.Status)
	}
	return readKeys(data)
}

// checkJWKS keeps an issuer elsewhere from sending us to this very machine.
func checkJWKS(issuer, jwks string) error {
	if strings.HasPrefix(issuer, "https:") && !strings.HasPrefix(jwks, "https:") {
		return fmt.Errorf("its jwks_uri %q is not https", jwks)
	}
	return nil
}

// readKeys returns the keys of a JWK set that can verify a signature. Others
// may stand beside them (RFC 7517, section 5).
func readKeys(data []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("JWK set: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("JWK set: %d keys; at most %d are read", len(set.Keys), maxKeys)
	}
	var out []jose.JSONWebKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(raw, &key) == nil && verifies(key) {
			out = append(out, key)
		}
	}
	return out, nil
}

// verifies reports whether a key is public, for signatures, and strong enough.
func verifies(k jose.JSONWebKey) bool {
	if k.Use != "" && k.Use != "sig" || !k.Valid() {
		return false
	}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen() >= 2048 && key.N.BitLen() <= 8192
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false
}

// guarded returns a client that reaches issuers through c's transport: without
// redirects, answers bounded, and in clear text only on this very machine.
func guarded(c *http.Client) *http.Client {
	through := http.DefaultTransport
	if c != nil && c.Transport != nil {
		through = c.Transport
	}
	return &http.Client{
		Transport:     guard{through},
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("an issuer may not redirect") },
	}
}

type guard struct{ through http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (g guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !loopback(r.URL.Hostname()) {
		return nil, errors.New("only https is used beyond this machine")
	}
	res, err := g.through.RoundTrip(r)
	if err == nil {
		res.Body = http.MaxBytesReader(nil, res.Body, maxAnswer)
	}
	return res, err
}
