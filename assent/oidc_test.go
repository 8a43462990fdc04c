package assent

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/writhq/writ"
)

// TestSignInForADecision holds the evidence of a fresh sign-in against
// everything that could be another one.
func TestSignInForADecision(t *testing.T) {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	other := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	at := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	digest := writ.Digest("sha256:" + "ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12")
	nonce := bytes.Repeat([]byte{9}, 16)
	challenge := must(writ.Challenge(nonce, digest, writ.Yes))
	ann := writ.Identity{
		Header:   writ.Header{Name: "human/ann"},
		Accounts: []writ.Account{{Issuer: "https://login.example.org", Subject: "7f3a"}, {Issuer: "https://login.example.org", Subject: "9c", Claims: map[string]string{"tenant": "a"}}},
	}
	type fields = map[string]any
	sign := func(k crypto.Signer, jwk any, alg jose.SignatureAlgorithm, change fields) json.RawMessage {
		claims := fields{
			"iss": "https://login.example.org", "sub": "7f3a", "aud": "writ", "nonce": encode(challenge[:]),
			"auth_time": at.Add(-time.Minute).Unix(), "iat": at.Add(-time.Minute).Unix(), "exp": at.Unix(),
		}
		for name, value := range change {
			claims[name] = value
		}
		signer := must(jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: k}, nil))
		token := must(must(signer.Sign(must(json.Marshal(claims)))).CompactSerialize())
		return must(OIDCProof(token, must(json.Marshal(jose.JSONWebKey{Key: jwk}))))
	}
	ok := sign(key, key.Public(), jose.ES256, nil)
	list := sign(key, key.Public(), jose.ES256, fields{"aud": []string{"writ"}})
	for name, proof := range map[string]json.RawMessage{"one audience": ok, "a list of one": list} {
		if err := VerifySignIn(writ.Evidence{Method: writ.ByOIDC, Nonce: nonce, Proof: proof}, ann, digest, writ.Yes, at); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, test := range map[string]struct {
		proof    json.RawMessage
		decision writ.Decision
		nonce    []byte
		at       time.Time
		fault    writ.Fault
	}{
		"another decision":      {decision: writ.No},
		"another nonce":         {nonce: bytes.Repeat([]byte{8}, 16)},
		"a plain sign-in":       {proof: sign(key, key.Public(), jose.ES256, fields{"nonce": "login"})},
		"no nonce":              {proof: sign(key, key.Public(), jose.ES256, fields{"nonce": ""})},
		"somebody else":         {proof: sign(key, key.Public(), jose.ES256, fields{"sub": "0000"})},
		"nobody":                {proof: sign(key, key.Public(), jose.ES256, fields{"sub": ""})},
		"an account of claims":  {proof: sign(key, key.Public(), jose.ES256, fields{"sub": "9c"})},
		"another issuer":        {proof: sign(key, key.Public(), jose.ES256, fields{"iss": "https://login.example.org/"})},
		"many audiences":        {proof: sign(key, key.Public(), jose.ES256, fields{"aud": []string{"writ", "other"}})},
		"no audience":           {proof: sign(key, key.Public(), jose.ES256, fields{"aud": ""})},
		"signed in long before": {proof: sign(key, key.Public(), jose.ES256, fields{"auth_time": at.Add(-SignedInFor - time.Second).Unix()})},
		"signed in later":       {proof: sign(key, key.Public(), jose.ES256, fields{"auth_time": at.Add(oidcLeeway + time.Second).Unix()})},
		"signed in never":       {proof: sign(key, key.Public(), jose.ES256, fields{"auth_time": nil})},
		"decided later":         {at: at.Add(SignedInFor)},
		"another key":           {proof: sign(other, key.Public(), jose.ES256, nil)},
		"a secret key":          {proof: sign(key, key, jose.ES256, nil), fault: writ.Invalid},
		"no key":                {proof: must(OIDCProof("a.b.c", []byte(`{}`))), fault: writ.Invalid},
		"no token":              {proof: must(OIDCProof("", must(json.Marshal(jose.JSONWebKey{Key: key.Public()})))), fault: writ.Invalid},
		"two proofs":            {proof: append(bytes.Clone(ok), ok...), fault: writ.Invalid},
		"a further member":      {proof: append([]byte(`{"x":1,`), ok[1:]...), fault: writ.Invalid},
		"nothing":               {proof: json.RawMessage(`null`), fault: writ.Invalid},
	} {
		e := writ.Evidence{Method: writ.ByOIDC, Nonce: nonce, Proof: ok}
		decision, when := writ.Yes, at
		if test.proof != nil {
			e.Proof = test.proof
		}
		if test.nonce != nil {
			e.Nonce = test.nonce
		}
		if test.decision != "" {
			decision = test.decision
		}
		if !test.at.IsZero() {
			when = test.at
		}
		if test.fault == "" {
			test.fault = writ.Forbidden
		}
		if err := VerifySignIn(e, ann, digest, decision, when); !errors.Is(err, test.fault) {
			t.Errorf("%s: %v, want %s", name, err, test.fault)
		}
	}
	mac := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: bytes.Repeat([]byte{1}, 32)}, nil))
	token := must(must(mac.Sign([]byte(`{}`))).CompactSerialize())
	proof := must(OIDCProof(token, must(json.Marshal(jose.JSONWebKey{Key: key.Public()}))))
	if err := VerifySignIn(writ.Evidence{Method: writ.ByOIDC, Nonce: nonce, Proof: proof}, ann, digest, writ.Yes, at); !errors.Is(err, writ.Invalid) {
		t.Errorf("a shared key: %v", err)
	}
}
