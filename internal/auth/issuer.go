package auth

import (
	"context"
	"crypto"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/writhq/writ"
)

// An Issuer is one whose tokens are believed. Its keys are found by OpenID
// Connect Discovery 1.0.
type Issuer struct {
	// URL is compared exactly with iss, also its last slash. It is https;
	// http only for a loopback host.
	URL string
	// Audience must be the token's only aud: a token that others would accept
	// too could be replayed here by any of them.
	Audience string
	// Algorithms are the accepted ones. Default: RS256, ES256, EdDSA.
	Algorithms []string
	// MaxAge ends a token this long after its iat, if its exp has not before.
	// Default: one hour. Pipelines get a token per job: 10 minutes suit them.
	MaxAge time.Duration
	// Typ are the accepted types (RFC 7515, section 4.1.9), without regard to
	// case and "application/"; "" stands for a token that has none. Default:
	// JWT, at+jwt and "", as Kubernetes and others send none.
	Typ []string
	// Client is what this server is at the issuer. Without an ID nobody signs in
	// there with a browser.
	Client Client
}

// The signature algorithms that can be configured, all asymmetric.
var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// checked returns the issuer with its defaults, or what is wrong with it.
func (i Issuer) checked() (Issuer, error) {
	if err := checkURL(i.URL); err != nil {
		return i, writ.Errorf(writ.Invalid, "issuer %q: %v", i.URL, err)
	}
	if i.Audience == "" || strings.ContainsAny(i.Audience, "*?") {
		return i, writ.Errorf(writ.Invalid, "issuer %s: audience %q must be exactly what this issuer's tokens for this server have as aud, usually the server's URL", i.URL, i.Audience)
	}
	if i.MaxAge < 0 {
		return i, writ.Errorf(writ.Invalid, "issuer %s: maximum age %v is negative", i.URL, i.MaxAge)
	}
	for _, alg := range i.Algorithms {
		if !slices.Contains(algorithms, alg) {
			return i, writ.Errorf(writ.Invalid, "issuer %s: algorithm %q is not one of %s", i.URL, alg, strings.Join(algorithms, ", "))
		}
	}
	if len(i.Algorithms) == 0 {
		i.Algorithms = []string{"RS256", "ES256", "EdDSA"}
	}
	if i.MaxAge == 0 {
		i.MaxAge = time.Hour
	}
	if len(i.Typ) == 0 {
		i.Typ = []string{"JWT", "at+jwt", ""}
	}
	typ := make([]string, len(i.Typ))
	for n, t := range i.Typ {
		typ[n] = mediaType(t)
	}
	i.Typ = typ
	return i, nil
}

// mediaType returns the one form of a typ that is compared.
func mediaType(typ string) string {
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}

// trusted is an issuer with its keys, and how its tokens name identities.
type trusted struct {
	Issuer
	keys func(context.Context, header) ([]crypto.PublicKey, error)
	who  func(*writ.Directory, *token) (writ.Identity, error)
}

// checkURL accepts https URLs, and http ones of this very machine.
func checkURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Hostname() == "":
		return fmt.Errorf("it must be a URL such as https://login.example.com")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return fmt.Errorf("it must have no user, query or fragment")
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	}
	return fmt.Errorf("it must start with https; http is for loopback hosts alone")
}

// loopback reports whether a host, without port, is this very machine.
func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
