package assent

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/writhq/writ"
)

// An oidcProof is the proof of a sign-in for one decision: an ID token (OpenID
// Connect Core 1.0, section 2) whose nonce is the challenge in base64url, and
// the key of the issuer that signed it (RFC 7517). That it was the issuer's key
// then, only the server saw that asked the issuer for its keys.
type oidcProof struct {
	IDToken string          `json:"idToken"`
	JWK     json.RawMessage `json:"jwk"`
}

// OIDCProof returns the proof of an ID token and the key that signed it.
func OIDCProof(idToken string, jwk json.RawMessage) (json.RawMessage, error) {
	return json.Marshal(oidcProof{idToken, jwk})
}

// SignedInFor is how long before a decision its person may have signed in for it.
const SignedInFor = 5 * time.Minute

const (
	oidcLeeway = time.Minute // between the clocks of issuer and server
	maxIDToken = 32 << 10    // bytes of a proof
)

// The algorithms of ID tokens that count.
var oidcAlgorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// idClaims are those that a decision rests on.
type idClaims struct {
	Iss      string          `json:"iss"`
	Sub      string          `json:"sub"`
	Aud      json.RawMessage `json:"aud"`
	Nonce    string          `json:"nonce"`
	AuthTime float64         `json:"auth_time"`
}

// VerifySignIn checks that who signed in again for this decision, at most
// SignedInFor before at: the ID token in e was signed by the key beside it, is
// of one of their accounts and carries writ.Challenge(e.Nonce, digest, d). An
// account counts if it names its subject and asks for no claims beside it.
func VerifySignIn(e writ.Evidence, who writ.Identity, digest writ.Digest, d writ.Decision, at time.Time) error {
	challenge, err := writ.Challenge(e.Nonce, digest, d)
	if err != nil {
		return err
	}
	c, err := parseSignIn(e.Proof)
	if err != nil {
		return err
	}
	no := func(why string) error {
		return writ.Errorf(writ.Forbidden, "the sign-in does not count for this decision: %s", why)
	}
	signedIn := time.Unix(int64(c.AuthTime), 0)
	switch {
	case e.Method != writ.ByOIDC:
		return no("the evidence says it is by " + string(e.Method))
	case !equal(c.Nonce, challenge):
		return no("it was for another one; sign in again for this one")
	case !slices.ContainsFunc(who.Accounts, func(a writ.Account) bool {
		return a.Issuer == c.Iss && a.Subject == c.Sub && c.Sub != "" && len(a.Claims) == 0
	}):
		return no("it is of no account of " + who.Name)
	case !single(c.Aud):
		return no("it was not made for one client alone")
	case c.AuthTime <= 0 || signedIn.Before(at.Add(-SignedInFor)) || signedIn.After(at.Add(oidcLeeway)):
		return no("they did not sign in just before it; sign in again")
	}
	return nil
}

// parseSignIn returns the claims of a proof whose signature holds.
func parseSignIn(proof json.RawMessage) (c idClaims, err error) {
	no := func(fault writ.Fault, what string) (idClaims, error) {
		return idClaims{}, writ.Errorf(fault, `the proof is no sign-in: %s; it is {"idToken", "jwk"}`, what)
	}
	if len(proof) > maxIDToken {
		return no(writ.Invalid, "it is too long")
	}
	var p oidcProof
	dec := json.NewDecoder(bytes.NewReader(proof))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return no(writ.Invalid, "it is not the JSON that is expected")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return no(writ.Invalid, "something follows it")
	}
	var key jose.JSONWebKey
	if err := json.Unmarshal(p.JWK, &key); err != nil || !key.Valid() || !key.IsPublic() {
		return no(writ.Invalid, "its key is no public key")
	}
	signed, err := jose.ParseSignedCompact(p.IDToken, oidcAlgorithms)
	if err != nil || key.Algorithm != "" && key.Algorithm != signed.Signatures[0].Header.Algorithm {
		return no(writ.Invalid, "its token is no signed JWT of that key")
	}
	claims, err := signed.Verify(&key)
	if err != nil {
		return no(writ.Forbidden, "the signature of its token does not hold")
	}
	if err := json.Unmarshal(claims, &c); err != nil {
		return no(writ.Invalid, "its claims are not those of an ID token")
	}
	return c, nil
}

// single reports whether an aud is one audience.
func single(aud json.RawMessage) bool {
	var one string
	if json.Unmarshal(aud, &one) == nil {
		return one != ""
	}
	var list []string
	return json.Unmarshal(aud, &list) == nil && len(list) == 1 && list[0] != ""
}
