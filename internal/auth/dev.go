package auth

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/writhq/writ"
)

// devFor is how long a dev token lives: one working day.
const devFor = 8 * time.Hour

// Dev makes the server its own issuer, for trying Writ out and for tests:
// whoever can open a connection from this machine can be any identity. It is
// not for machines that others can log in to.
type Dev struct {
	url       string
	key       ed25519.PrivateKey
	kid       string
	directory func() *writ.Directory
}

// NewDev returns an issuer at url, the server's own, with a loopback host and
// no path. It signs with key, and only for identities of the directory.
func NewDev(key ed25519.PrivateKey, url string, directory func() *writ.Directory) (*Dev, error) {
	host, err := hostOf(url)
	switch {
	case err != nil || !loopback(host):
		return nil, writ.Errorf(writ.Invalid, "dev issuer %q: dev mode is for this machine alone; use a URL such as http://127.0.0.1:8080, without a path", url)
	case len(key) != ed25519.PrivateKeySize || directory == nil:
		return nil, errors.New("auth: dev issuer: an Ed25519 key and a directory are required")
	}
	sum, err := (&jose.JSONWebKey{Key: key.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, err
	}
	return &Dev{url, key, base64.RawURLEncoding.EncodeToString(sum), directory}, nil
}

// hostOf returns the host, without port, of a URL that is only an origin.
func hostOf(raw string) (string, error) {
	if err := checkURL(raw); err != nil {
		return "", err
	}
	u, err := url.Parse(raw)
	if err != nil || u.Path != "" {
		return "", errors.New("it has a path")
	}
	return u.Hostname(), nil
}

// devClaims are those of a dev token. Sub is the identity's UID, so that a
// token does not outlive the identity under a name that was given anew.
type devClaims struct {
	Iss  string   `json:"iss"`
	Aud  string   `json:"aud"`
	Sub  writ.UID `json:"sub"`
	Name writ.Ref `json:"name"`
	Iat  int64    `json:"iat"`
	Exp  int64    `json:"exp"`
}

// Login returns a token that speaks for the identity of this name until
// expires. writ.Forbidden, if there is none or it is not active.
func (d *Dev) Login(as writ.Ref) (token string, expires time.Time, err error) {
	i, err := d.identity(as)
	if err != nil {
		return "", expires, err
	}
	now := time.Now().Truncate(time.Second)
	expires = now.Add(devFor).UTC()
	data, err := json.Marshal(devClaims{d.url, d.url, i.UID, as, now.Unix(), expires.Unix()})
	if err != nil {
		return "", expires, err
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: d.key, KeyID: d.kid}},
		(&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", expires, err
	}
	signed, err := signer.Sign(data)
	if err != nil {
		return "", expires, err
	}
	token, err = signed.CompactSerialize()
	return token, expires, err
}

// identity returns whom somebody wants to be, if they can.
func (d *Dev) identity(as writ.Ref) (writ.Identity, error) {
	i, ok := d.directory().Identities[as]
	switch {
	case !ok || i.UID == "":
		return i, writ.Errorf(writ.Forbidden, "there is no identity %q; apply it first", as)
	case !i.Active():
		return i, writ.Errorf(writ.Forbidden, "%s is %s; only an active identity can sign in", as, i.State)
	}
	return i, nil
}

// trusted returns the issuer as the authenticator sees it.
func (d *Dev) trusted() *trusted {
	return &trusted{
		Issuer: Issuer{URL: d.url, Audience: d.url, Algorithms: []string{"EdDSA"}, MaxAge: devFor, Typ: []string{"jwt"}},
		keys: func(context.Context, header) ([]crypto.PublicKey, error) {
			return []crypto.PublicKey{d.key.Public()}, nil
		},
		who: byUID,
	}
}

// byUID finds the identity of a dev token, if the name still is that identity's.
func byUID(d *writ.Directory, t *token) (writ.Identity, error) {
	p := writ.Party{Name: writ.Ref(claim(t.claims, "name")), UID: writ.UID(t.subject)}
	i, ok := d.Who(p)
	switch {
	case !ok:
		return i, writ.Errorf(writ.Unauthenticated, "the identity %s that signed in is no more; sign in again", p.Name)
	case !i.Active():
		return i, writ.Errorf(writ.Unauthenticated, "%s is %s", p.Name, i.State)
	}
	return i, nil
}

// Handler serves the dev issuer to this machine alone: its discovery document,
// its keys, and POST /dev/login {"as":"human/ann"}, which answers
// {"token":…,"expires":…}. Refusals are problem documents (RFC 9457).
func (d *Dev) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, "application/json", map[string]any{
			"issuer": d.url, "jwks_uri": d.url + "/dev/jwks.json",
			"response_types_supported": []string{"id_token"}, "subject_types_supported": []string{"public"},
			"id_token_signing_alg_values_supported": []string{"EdDSA"},
		})
	})
	mux.HandleFunc("GET /dev/jwks.json", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, "application/json", jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
			{Key: d.key.Public(), KeyID: d.kid, Algorithm: "EdDSA", Use: "sig"},
		}})
	})
	mux.HandleFunc("POST /dev/login", d.login)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := local(r); err != nil {
			problem(w, http.StatusForbidden, err)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (d *Dev) login(w http.ResponseWriter, r *http.Request) {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		problem(w, http.StatusForbidden, writ.Errorf(writ.Forbidden, "sign in with Content-Type: application/json, which no foreign page can send"))
		return
	}
	var body struct {
		As writ.Ref `json:"as"`
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&body); err != nil {
		problem(w, http.StatusBadRequest, writ.Errorf(writ.Invalid, `the body is not as expected; send {"as":"human/NAME"}`))
		return
	}
	token, expires, err := d.Login(body.As)
	switch {
	case errors.Is(err, writ.Forbidden):
		problem(w, http.StatusForbidden, err)
	case err != nil:
		problem(w, http.StatusInternalServerError, err)
	default:
		reply(w, http.StatusOK, "application/json", struct {
			Token   string    `json:"token"`
			Expires time.Time `json:"expires"`
		}{token, expires})
	}
}

// local refuses requests that this machine's own programs did not make: those
// from elsewhere, those a proxy passed on, and those of a web page, be it under
// a name that was bound to a loopback address.
func local(r *http.Request) error {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !from.Addr().IsLoopback() {
		return writ.Errorf(writ.Forbidden, "dev mode answers only requests from the machine it runs on")
	}
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if r.Header.Get(name) != "" {
			return writ.Errorf(writ.Forbidden, "dev mode does not stand behind a proxy, but %s was sent", name)
		}
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if !loopback(strings.Trim(host, "[]")) {
		return writ.Errorf(writ.Forbidden, "dev mode answers only as localhost or a loopback address, not as %.80q", r.Host)
	}
	for _, origin := range r.Header.Values("Origin") {
		if u, err := url.Parse(origin); err != nil || u.Host != r.Host {
			return writ.Errorf(writ.Forbidden, "dev mode does not answer pages of %.80q", origin)
		}
	}
	return nil
}

func problem(w http.ResponseWriter, status int, err error) {
	reply(w, status, "application/problem+json", map[string]any{
		"title": http.StatusText(status), "status": status, "detail": err.Error(),
	})
}

func reply(w http.ResponseWriter, status int, kind string, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		http.Error(w, "the answer could not be written", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(data) // whoever went away needs no answer
}
