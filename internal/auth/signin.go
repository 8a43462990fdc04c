package auth

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"

	"github.com/writhq/writ"
)

// A Person is who signed in with a browser.
type Person struct {
	Party   writ.Party `json:"party"`
	Issuer  string     `json:"issuer"`
	IDToken string     `json:"idToken,omitempty"` // as the issuer gave it; none in dev mode
	At      time.Time  `json:"at"`                // when they signed in here

	Said writ.SignIn `json:"-"` // by the issuer, just now
}

// A Flow is one sign-in that is under way. It belongs to the browser that began
// it, and is kept where nobody else can read it.
type Flow struct {
	Issuer   string `json:"issuer"`
	State    string `json:"state"`
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"`        // RFC 7636
	Fresh    bool   `json:"fresh,omitempty"` // they sign in again, for one decision
}

// freshFor is how long ago a person may have signed in when they sign in anew.
const freshFor = 5 * time.Minute

// Providers returns the issuers at which people can sign in with a browser.
func (a *Authenticator) Providers() []string { return slices.Sorted(maps.Keys(a.entrances)) }

// Dev reports whether people sign in by naming who they want to be.
func (a *Authenticator) Dev() bool { return a.dev != nil }

// SignInAs signs in whom a person on this very machine wants to be, in dev mode.
func (a *Authenticator) SignInAs(r *http.Request, name writ.Ref) (Person, error) {
	if a.dev == nil {
		return Person{}, writ.Errorf(writ.Forbidden, "this server is not in dev mode; sign in at an issuer")
	}
	if err := local(r); err != nil {
		return Person{}, err
	}
	i, err := a.dev.identity(name)
	if err != nil {
		return Person{}, err
	}
	return a.person(Person{Party: i.Party(), Issuer: a.dev.url}, i)
}

// Begin starts to sign somebody in at an issuer: OpenID Connect Core 1.0,
// section 3.1.2. It returns where their browser is to go. With a challenge they
// have to sign in anew, and the ID token will carry it.
func (a *Authenticator) Begin(ctx context.Context, issuer string, challenge []byte) (Flow, string, error) {
	e, ok := a.entrances[issuer]
	if !ok {
		return Flow{}, "", writ.Errorf(writ.Invalid, "nobody signs in at %q here; choose another issuer", issuer)
	}
	meta, err := e.discover(ctx, a.now())
	if err != nil {
		a.log.Warn("issuer not discovered", "issuer", issuer, "reason", brief(err))
		return Flow{}, "", writ.Errorf(writ.Unavailable, "the issuer %s cannot be reached; try again in a moment", issuer)
	}
	f := Flow{Issuer: issuer, State: oauth2.GenerateVerifier(), Nonce: oauth2.GenerateVerifier(), Verifier: oauth2.GenerateVerifier()}
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(f.Verifier)}
	if challenge != nil {
		f.Nonce, f.Fresh = base64.RawURLEncoding.EncodeToString(challenge), true
		options = append(options, oauth2.SetAuthURLParam("max_age", "0"))
	}
	options = append(options, oidc.Nonce(f.Nonce))
	return f, e.config(meta, "").AuthCodeURL(f.State, options...), nil
}

// Finish ends a sign-in with what the issuer sent the browser back with. Why it
// was refused goes to the log.
func (a *Authenticator) Finish(ctx context.Context, f Flow, answer url.Values) (Person, error) {
	p, err := a.finish(ctx, f, answer)
	if _, ok := errors.AsType[writ.Fault](err); ok || err == nil {
		return p, err
	}
	a.log.Info("sign-in refused", "issuer", f.Issuer, "reason", brief(err))
	return Person{}, writ.Errorf(writ.Unauthenticated, "the sign-in at %s did not succeed; try again", f.Issuer)
}

func (a *Authenticator) finish(ctx context.Context, f Flow, answer url.Values) (Person, error) {
	e, ok := a.entrances[f.Issuer]
	if !ok {
		return Person{}, errors.New("the issuer is not one to sign in at")
	}
	if f.State == "" || subtle.ConstantTimeCompare([]byte(answer.Get("state")), []byte(f.State)) != 1 {
		return Person{}, errors.New("the state is another one")
	}
	meta, err := e.discover(ctx, a.now())
	if err != nil {
		return Person{}, err
	}
	switch iss := answer.Get("iss"); { // RFC 9207, section 2.4
	case iss != "" && iss != f.Issuer, iss == "" && meta.SendsIss:
		return Person{}, fmt.Errorf("the answer is of issuer %q", iss)
	case answer.Get("error") != "":
		return Person{}, fmt.Errorf("the issuer answered with error %q", answer.Get("error"))
	case answer.Get("code") == "":
		return Person{}, errors.New("the answer has no code")
	}
	raw, err := e.exchange(ctx, meta, answer.Get("code"), f.Verifier)
	if err != nil {
		return Person{}, err
	}
	t, err := e.idToken(ctx, raw, f, a.now())
	if err != nil {
		return Person{}, err
	}
	i, err := byAccount(a.directory(), t)
	if err != nil {
		return Person{}, err
	}
	said := writ.SignIn{Issuer: f.Issuer}
	if e.Client.Groups != "" {
		said.Groups = claimList(t.claims, e.Client.Groups)
	}
	if e.Client.Manager != "" {
		said.Manager = claim(t.claims, e.Client.Manager)
	}
	return a.person(Person{Party: i.Party(), Issuer: f.Issuer, IDToken: raw, Said: said}, i)
}

// person is whoever signs in here: machines have tokens.
func (a *Authenticator) person(p Person, i writ.Identity) (Person, error) {
	if !i.Human() {
		return Person{}, writ.Errorf(writ.Forbidden, "%s is no person; only people sign in with a browser", i.Name)
	}
	p.At = a.now()
	return p, nil
}

// idToken verifies an ID token: OpenID Connect Core 1.0, section 3.1.3.7.
func (e *entrance) idToken(ctx context.Context, raw string, f Flow, now time.Time) (*token, error) {
	if len(raw) > maxToken {
		return nil, errors.New("the ID token is too long")
	}
	head, claims, err := parse(raw)
	if err != nil {
		return nil, err
	}
	t, err := e.verify(ctx, raw, head, claims, now)
	if err != nil {
		return nil, err
	}
	nonce, _ := claims["nonce"].(string)
	azp, authorized := claims["azp"]
	signedIn, dated := instant(claims["auth_time"])
	switch {
	case subtle.ConstantTimeCompare([]byte(nonce), []byte(f.Nonce)) != 1:
		return nil, errors.New("the ID token has another nonce")
	case authorized && azp != e.Audience:
		return nil, errors.New("the ID token was given to another client")
	case f.Fresh && (!dated || signedIn.Before(now.Add(-freshFor)) || signedIn.After(now.Add(leeway))):
		return nil, fmt.Errorf("%s does not say that they signed in just now (auth_time %v)", f.Issuer, claims["auth_time"])
	}
	return t, nil
}

// Still returns the identity that a person who signed in speaks for now. It is
// looked up each time: what took their access away counts at once.
func (a *Authenticator) Still(p Person) (writ.Identity, error) {
	d := a.directory()
	if a.dev != nil && p.Issuer == a.dev.url {
		i, ok := d.Who(p.Party)
		if !ok || !i.Active() {
			return i, writ.Errorf(writ.Unauthenticated, "%s is no longer active; sign in again", p.Party.Name)
		}
		return i, nil
	}
	if a.entrances[p.Issuer] == nil {
		return writ.Identity{}, writ.Errorf(writ.Unauthenticated, "nobody signs in at %s any more; sign in again", p.Issuer)
	}
	_, claims, err := parse(p.IDToken) // verified when they signed in, and kept here since
	if err != nil {
		return writ.Identity{}, writ.Errorf(writ.Unauthenticated, "the session is damaged; sign in again")
	}
	i, err := d.Speaks(p.Issuer, claim(claims, "sub"), func(name string) string { return claim(claims, name) })
	if err == nil && i.Party() != p.Party {
		err = writ.Errorf(writ.Unauthenticated, "the account speaks for another identity now; sign in again")
	}
	return i, err
}

// Signer verifies an ID token that was given to this server, and returns the
// public key that signed it: one that its issuer has now. With it the token can
// be checked again when the issuer has others.
func (a *Authenticator) Signer(ctx context.Context, idToken string) (json.RawMessage, error) {
	jwk, err := a.signer(ctx, idToken)
	if _, ok := errors.AsType[writ.Fault](err); ok || err == nil {
		return jwk, err
	}
	a.log.Info("sign-in for a decision refused", "reason", brief(err))
	return nil, writ.Errorf(writ.Forbidden, "the sign-in does not count for this decision; sign in again")
}

func (a *Authenticator) signer(ctx context.Context, idToken string) (json.RawMessage, error) {
	if len(idToken) > maxToken {
		return nil, errors.New("the ID token is too long")
	}
	head, claims, err := parse(idToken)
	if err != nil {
		return nil, err
	}
	e, ok := a.entrances[claim(claims, "iss")]
	if !ok {
		return nil, fmt.Errorf("nobody signs in at issuer %q", claim(claims, "iss"))
	}
	if _, err := e.verify(ctx, idToken, head, claims, a.now()); err != nil {
		return nil, err
	}
	found, err := e.keys(ctx, head)
	if err != nil {
		return nil, err
	}
	signed, err := jose.ParseSigned(idToken, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(head.alg)})
	if err != nil {
		return nil, err
	}
	for _, key := range found {
		if _, err := signed.Verify(key); err == nil {
			return json.Marshal(jose.JSONWebKey{Key: key, KeyID: head.kid, Algorithm: head.alg})
		}
	}
	return nil, fmt.Errorf("%s: none of its keys signed the token", e.URL)
}
