package auth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/writhq/writ/connector"
)

// A Client is what this server is at an issuer: a registered OpenID relying
// party that is given codes at URL + Back.
type Client struct {
	ID     string
	Secret string   // a reference; empty: a public client, held by PKCE alone
	Scopes []string // beside openid

	Groups  string // claim with the groups that a person is in; empty: it is not asked
	Manager string // claim with the subject of their manager; empty: it is not asked
}

// Back is the path to which issuers send people back.
const Back = "/sign-in/back"

// An entrance is an issuer at which people sign in.
type entrance struct {
	*trusted // of ID tokens: their audience is the client
	client   *http.Client
	secret   func(ref string) (connector.Secret, error)
	back     string

	mu   sync.Mutex
	meta metadata
	at   time.Time
}

// metadata is what an issuer says of itself: OpenID Connect Discovery 1.0, RFC
// 9207 and RP-Initiated Logout 1.0.
type metadata struct {
	endpoint oauth2.Endpoint
	SendsIss bool     `json:"authorization_response_iss_parameter_supported"`
	SignOut  string   `json:"end_session_endpoint"`
	PKCE     []string `json:"code_challenge_methods_supported"`
}

// metadataFor is how long what an issuer says of itself is believed.
const metadataFor = 10 * time.Minute

func newEntrance(i *trusted, client *http.Client, c Config) *entrance {
	ids := *i
	ids.Audience, ids.Typ = i.Client.ID, []string{"jwt", ""}
	return &entrance{trusted: &ids, client: client, secret: c.Secret, back: c.URL + Back}
}

// discover returns the issuer's metadata. Its issuer member is the configured
// URL exactly.
func (e *entrance) discover(ctx context.Context, now time.Time) (metadata, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.at.IsZero() && now.Sub(e.at) < metadataFor {
		return e.meta, nil
	}
	ctx, cancel := context.WithTimeout(ctx, fetchLimit)
	defer cancel()
	found, err := oidc.NewProvider(oidc.ClientContext(ctx, e.client), e.URL)
	if err != nil {
		return metadata{}, err
	}
	m := metadata{endpoint: found.Endpoint()}
	if err := found.Claims(&m); err != nil {
		return metadata{}, err
	}
	for _, to := range []string{m.endpoint.AuthURL, m.endpoint.TokenURL} {
		if err := checkEndpoint(to); err != nil {
			return metadata{}, err
		}
	}
	if len(m.PKCE) > 0 && !slices.Contains(m.PKCE, "S256") {
		return metadata{}, errors.New("it offers PKCE without S256")
	}
	if checkEndpoint(m.SignOut) != nil {
		m.SignOut = ""
	}
	e.meta, e.at = m, now
	return m, nil
}

// checkEndpoint accepts what a browser or we may be sent to: an issuer's
// endpoint may have a query, unlike the issuer itself.
func checkEndpoint(raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return err
	}
	u.RawQuery = ""
	return checkURL(u.String())
}

func (e *entrance) config(m metadata, secret string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: e.Audience, ClientSecret: secret, Endpoint: m.endpoint, RedirectURL: e.back,
		Scopes: append([]string{oidc.ScopeOpenID}, e.Client.Scopes...),
	}
}

// exchange gets the ID token for a code.
func (e *entrance) exchange(ctx context.Context, m metadata, code, verifier string) (string, error) {
	var secret connector.Secret
	if e.Client.Secret != "" {
		var err error
		if secret, err = e.secret(e.Client.Secret); err != nil {
			return "", err
		}
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, e.client), fetchLimit)
	defer cancel()
	got, err := e.config(m, secret.Reveal()).Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if failed, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return "", errors.New("the issuer does not take the code: " + failed.ErrorCode) // the rest of its answer may repeat secrets
	}
	if err != nil {
		return "", err
	}
	raw, _ := got.Extra("id_token").(string)
	if raw == "" {
		return "", errors.New("the issuer gave no ID token")
	}
	return raw, nil
}

// SignOutURL returns where a browser is to go to end the session at the issuer,
// too, and "" if that is not offered: OpenID Connect RP-Initiated Logout 1.0.
func (a *Authenticator) SignOutURL(ctx context.Context, who Person, home string) string {
	e, ok := a.entrances[who.Issuer]
	if !ok {
		return ""
	}
	m, err := e.discover(ctx, a.now())
	if err != nil || m.SignOut == "" {
		return ""
	}
	u, err := url.Parse(m.SignOut)
	if err != nil {
		return ""
	}
	q := u.Query()
	q.Set("id_token_hint", who.IDToken)
	q.Set("client_id", e.Audience)
	q.Set("post_logout_redirect_uri", home)
	u.RawQuery = q.Encode()
	return u.String()
}
