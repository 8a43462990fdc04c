package issuer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/writhq/writ/connector/issuer/mint"
)

const (
	bodyMax  = 64 << 10 // bytes
	inactive = `{"active":false}`
)

// Handler serves the authority over HTTP:
//
//	GET  /jwks.json   public token keys (RFC 7517)
//	GET  /ca.pem      X.509 certificates to trust, the current one first
//	GET  /ssh_ca.pub  SSH keys to trust, for TrustedUserCAKeys
//	GET  /ssh_krl     SSH certificates that ended early, for RevokedKeys
//	POST /introspect  RFC 7662
//	POST /verify      {"token", "audience"?, "scope"?} as JSON
//
// The two POSTs answer authenticated callers only. A credential that is not
// active is {"active":false}, always with status 200 and nothing else; where
// nothing is known the status is 503.
func (i *Issuer) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /jwks.json", public("application/jwk-set+json", i.mint.JWKS()))
	mux.HandleFunc("GET /ca.pem", public("application/pem-certificate-chain", i.mint.CA()))
	mux.HandleFunc("GET /ssh_ca.pub", public("text/plain; charset=utf-8", sshLines(i.mint.SSHCAs())))
	mux.HandleFunc("GET /ssh_krl", i.serveKRL)
	mux.HandleFunc("POST /introspect", i.known(i.introspect))
	mux.HandleFunc("POST /verify", i.known(i.verify))
	return mux
}

func public(kind string, content []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Cache-Control", "public, max-age=300")
		_, _ = w.Write(content) // a caller that is gone wants no answer
	}
}

func sshLines(keys []ssh.PublicKey) (lines []byte) {
	for _, key := range keys {
		lines = append(lines, ssh.MarshalAuthorizedKey(key)...)
	}
	return lines
}

// known lets authenticated callers through, with a bounded body.
func (i *Issuer) known(serve func(w http.ResponseWriter, r *http.Request, caller string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if i.cfg.Caller == nil {
			problem(w, http.StatusUnauthorized, "this server lets nobody verify credentials; configure how callers are authenticated")
			return
		}
		caller, err := i.cfg.Caller(r)
		if err != nil || caller == "" {
			w.Header().Set("WWW-Authenticate", "Bearer")
			problem(w, http.StatusUnauthorized, "authenticate to verify credentials")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, bodyMax)
		serve(w, r, caller)
	}
}

func (i *Issuer) verify(w http.ResponseWriter, r *http.Request, caller string) {
	var ask struct {
		Token    string            `json:"token"`
		Audience string            `json:"audience"`
		Scope    map[string]string `json:"scope"`
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = mint.Decode(body, &ask)
	}
	if err != nil || ask.Token == "" {
		malformed(w, err, `send {"token": "…"} with, if wanted, "audience" and "scope", and nothing else`)
		return
	}
	e, _, err := i.judge(r.Context(), ask.Token, question{caller, ask.Audience, ask.Scope})
	i.answer(w, e, err, func() []byte { return e.reply })
}

func (i *Issuer) introspect(w http.ResponseWriter, r *http.Request, caller string) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != "application/x-www-form-urlencoded" {
		problem(w, http.StatusUnsupportedMediaType, "send a form: application/x-www-form-urlencoded")
		return
	}
	err := r.ParseForm()
	if tokens := r.PostForm["token"]; err != nil || len(tokens) != 1 || tokens[0] == "" {
		malformed(w, err, "send a form with one token and, if wanted, a token_type_hint")
		return
	}
	e, _, err := i.judge(r.Context(), r.PostForm.Get("token"), question{caller: caller})
	i.answer(w, e, err, func() []byte { return e.introspection(i.cfg.URL) })
}

// answer writes what is known of a credential.
func (i *Issuer) answer(w http.ResponseWriter, e *entry, err error, active func() []byte) {
	switch {
	case err != nil:
		i.cfg.Log.Error("issuer cannot verify", "error", err)
		problem(w, http.StatusServiceUnavailable, "nothing is known of the credential at the moment; refuse access and try again")
	case e == nil:
		reply(w, []byte(inactive))
	default:
		reply(w, active())
	}
}

// Shared by all replies, so that the hot path makes none.
var (
	jsonType = []string{"application/json"}
	noStore  = []string{"no-store"}
)

func reply(w http.ResponseWriter, content []byte) {
	h := w.Header()
	h["Content-Type"], h["Cache-Control"] = jsonType, noStore
	_, _ = w.Write(content) // a caller that is gone wants no answer
}

// verification is what POST /verify says of an active credential.
type verification struct {
	Active      bool              `json:"active"`
	Subject     string            `json:"subject"`
	UID         string            `json:"uid"`
	Entitlement string            `json:"entitlement"`
	Request     string            `json:"request"`
	Audience    string            `json:"audience,omitempty"`
	Scopes      []string          `json:"scopes,omitempty"`
	Scope       map[string]string `json:"scope"`
	Until       time.Time         `json:"until"`
}

func (r *row) answer() verification {
	scope := r.scope
	if scope == nil {
		scope = map[string]string{}
	}
	return verification{true, r.subject, r.uid, r.entitlement, r.request, r.section.Audience, r.section.Scopes, scope, at(r.until)}
}

// introspection is what RFC 7662 section 2.2 says of an active credential.
func (r *row) introspection(issuer string) []byte {
	return []byte(text(struct {
		Active    bool   `json:"active"`
		TokenType string `json:"token_type"`
		mint.Claims
	}{true, "Bearer", mint.Claims{
		Issuer: issuer, Subject: r.subject, Audience: r.section.Audience,
		Expires: at(r.until).Unix(), IssuedAt: at(r.starts).Unix(), NotBefore: at(r.starts).Unix(), ID: r.id,
		Client: r.subject, Scope: strings.Join(r.section.Scopes, " "),
		Writ: mint.WritClaims{Request: r.request, Entitlement: r.entitlement, UID: r.uid, Scope: r.scope},
	}}))
}

func malformed(w http.ResponseWriter, err error, hint string) {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		problem(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d bytes", bodyMax))
		return
	}
	problem(w, http.StatusBadRequest, hint) // not err: it may quote a token
}

// problem answers with an RFC 9457 problem document.
func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct { // a caller that is gone wants no answer
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{"about:blank", http.StatusText(status), status, detail})
}
