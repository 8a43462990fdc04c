package mint

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"

	"github.com/writhq/writ/connector"
)

const (
	tokenType = "at+jwt" // RFC 9068 section 2.1
	tokenMax  = 8 << 10  // bytes; longer is not ours
)

// Claims are those of an access token, RFC 9068 section 2.2, and our own.
type Claims struct {
	Issuer    string     `json:"iss"`
	Subject   string     `json:"sub"`
	Audience  string     `json:"aud"`
	Expires   int64      `json:"exp"` // seconds since 1970, like the next two
	IssuedAt  int64      `json:"iat"`
	NotBefore int64      `json:"nbf"`
	ID        string     `json:"jti"`
	Client    string     `json:"client_id"`
	Scope     string     `json:"scope,omitempty"`
	Writ      WritClaims `json:"writ"`
}

// WritClaims tie a credential to the request it was issued for.
type WritClaims struct {
	Request     string            `json:"request"`
	Entitlement string            `json:"entitlement"`
	UID         string            `json:"uid"` // immutable id of the subject
	Scope       map[string]string `json:"scope,omitempty"`
}

// tokens signs access tokens and recognises them by the authority's own keys
// alone: what a token says about keys is only looked up, never followed.
type tokens struct {
	issuer string
	signer jose.Signer
	keys   map[string]jose.JSONWebKey // by kid
	algs   []jose.SignatureAlgorithm
	jwks   []byte
}

func newTokens(issuer string, k Keys) (*tokens, error) {
	t := &tokens{issuer: issuer, keys: map[string]jose.JSONWebKey{}}
	set := jose.JSONWebKeySet{}
	for _, public := range append([]crypto.PublicKey{k.Token.Public()}, k.Former.Token...) {
		key, err := webKey(public)
		if err != nil {
			return nil, err
		}
		if _, twice := t.keys[key.KeyID]; !twice {
			t.keys[key.KeyID] = key
			t.algs = append(t.algs, jose.SignatureAlgorithm(key.Algorithm))
			set.Keys = append(set.Keys, key)
		}
	}
	current := set.Keys[0]
	var err error
	t.signer, err = jose.NewSigner(
		jose.SigningKey{Algorithm: jose.SignatureAlgorithm(current.Algorithm), Key: cryptosigner.Opaque(k.Token)},
		(&jose.SignerOptions{}).WithType(tokenType).WithHeader("kid", current.KeyID))
	if err != nil {
		return nil, fmt.Errorf("issuer: the token key cannot sign: %w", err)
	}
	t.jwks, err = json.Marshal(set)
	return t, err
}

func webKey(public crypto.PublicKey) (jose.JSONWebKey, error) {
	key := jose.JSONWebKey{Key: public, Use: "sig"}
	switch p := public.(type) {
	case ed25519.PublicKey:
		key.Algorithm = string(jose.EdDSA)
	case *ecdsa.PublicKey:
		key.Algorithm = string(jose.ES256)
		if p.Curve != elliptic.P256() {
			return key, errors.New("issuer: the token key is not on P-256; use Ed25519 or ECDSA P-256")
		}
	default:
		return key, fmt.Errorf("issuer: the token key is a %T; use Ed25519 or ECDSA P-256", public)
	}
	sum, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return key, fmt.Errorf("issuer: the token key has no thumbprint: %w", err)
	}
	key.KeyID = base64.RawURLEncoding.EncodeToString(sum)
	return key, nil
}

// accessToken makes a JWT access token.
func (m *Mint) accessToken(o connector.Order, s Section) (Made, error) {
	id, err := randomText(m.cfg.Random, 22)
	if err != nil {
		return Made{}, err
	}
	now := m.cfg.Now()
	starts := From(o, now)
	payload, err := json.Marshal(Claims{
		Issuer: m.tokens.issuer, Subject: o.Subject, Audience: s.Audience,
		Expires: Until(o).Unix(), IssuedAt: now.Unix(), NotBefore: starts.Unix(), ID: id,
		Client: o.Subject, Scope: strings.Join(s.Scopes, " "),
		Writ: WritClaims{o.Request, o.Entitlement, o.SubjectUID, o.Scope},
	})
	if err != nil {
		return Made{}, err
	}
	signed, err := m.tokens.signer.Sign(payload)
	if err != nil {
		return Made{}, fmt.Errorf("issuer: the token could not be signed: %w", err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		return Made{}, err
	}
	if len(token) > tokenMax {
		return Made{}, refuse("issuer: the token would have %d bytes, more than %d; grant fewer scopes", len(token), tokenMax)
	}
	sum := sha256.Sum256([]byte(token))
	return Made{
		ID:          id,
		Fingerprint: "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:]),
		Text:        connector.Conceal(token),
		Env:         map[string]connector.Secret{"WRIT_ACCESS_TOKEN": connector.Conceal(token)},
	}, nil
}

// parse returns the id of a token that one of our keys signed as an access
// token, or its flaw.
func (t *tokens) parse(token string) (id string, flaw Flaw) {
	if len(token) > tokenMax || strings.ContainsAny(token, " \t\r\n\f") { // the library would drop blanks
		return "", Malformed
	}
	signed, err := jose.ParseSignedCompact(token, t.algs)
	if err != nil || len(signed.Signatures) != 1 {
		return "", Malformed
	}
	header := signed.Signatures[0].Protected
	key, known := t.keys[header.KeyID]
	if !known || header.Algorithm != key.Algorithm || header.ExtraHeaders[jose.HeaderType] != tokenType {
		return "", Signature
	}
	payload, err := signed.Verify(key.Key)
	if err != nil {
		return "", Signature
	}
	var c Claims
	if err := json.Unmarshal(payload, &c); err != nil || c.Issuer != t.issuer || c.ID == "" {
		return "", Malformed
	}
	return c.ID, ""
}
