package issuer

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/connector/issuer/mint"
)

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func unb64(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type object = map[string]any

// A forger has a real token, all public keys, and a key of its own.
type forger struct {
	t             testing.TB
	header, claim object
	parts         []string
	own           ed25519.PrivateKey
}

func newForger(t testing.TB, token string) forger {
	f := forger{t: t, parts: strings.Split(token, ".")}
	for part, into := range map[int]*object{0: &f.header, 1: &f.claim} {
		if err := json.Unmarshal(unb64(t, f.parts[part]), into); err != nil {
			t.Fatal(err)
		}
	}
	_, f.own, _ = ed25519.GenerateKey(rand.Reader)
	return f
}

func changed(base object, name string, value any) object {
	out := maps.Clone(base)
	if out[name] = value; value == nil {
		delete(out, name)
	}
	return out
}

// sign makes a token of these parts with a signature by sign, over what is signed.
func (f forger) sign(header, claim object, sign func(input []byte) []byte) string {
	h, err := json.Marshal(header)
	if err != nil {
		f.t.Fatal(err)
	}
	c, err := json.Marshal(claim)
	if err != nil {
		f.t.Fatal(err)
	}
	input := b64(h) + "." + b64(c)
	return input + "." + b64(sign([]byte(input)))
}

func (f forger) bySelf(input []byte) []byte { return ed25519.Sign(f.own, input) }

// corpus is every trick we know, by name.
func (f forger) corpus(keys mint.Keys) map[string]string {
	authority := func(input []byte) []byte { return ed25519.Sign(keys.Token.(ed25519.PrivateKey), input) }
	nothing := func([]byte) []byte { return nil }
	hs := func(secret []byte) func([]byte) []byte {
		return func(input []byte) []byte {
			h := hmac.New(sha256.New, secret)
			h.Write(input)
			return h.Sum(nil)
		}
	}
	public := keys.Token.Public().(ed25519.PublicKey)
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		f.t.Fatal(err)
	}
	pemKey := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	alg := func(name string) object { return changed(f.header, "alg", name) }
	h, c := f.header, f.claim
	jwk := object{"kty": "OKP", "crv": "Ed25519", "x": b64(f.own.Public().(ed25519.PublicKey))}
	p := f.parts
	tokens := map[string]string{
		"alg none":                      f.sign(alg("none"), c, nothing),
		"alg None":                      f.sign(alg("None"), c, nothing),
		"alg NONE, old signature":       f.sign(alg("NONE"), c, func([]byte) []byte { return unb64(f.t, p[2]) }),
		"no alg":                        f.sign(changed(h, "alg", nil), c, authority),
		"alg empty":                     f.sign(alg(""), c, authority),
		"HS256 with the raw public key": f.sign(alg("HS256"), c, hs(public)),
		"HS256 with the PEM public key": f.sign(alg("HS256"), c, hs(pemKey)),
		"HS256 with an empty key":       f.sign(alg("HS256"), c, hs(nil)),
		"HS512":                         f.sign(alg("HS512"), c, hs(public)),
		"RS256":                         f.sign(alg("RS256"), c, authority),
		"ES256, not of this key":        f.sign(alg("ES256"), c, authority),
		"ES256, zero signature":         f.sign(alg("ES256"), c, func([]byte) []byte { return make([]byte, 64) }),
		"typ JWT":                       f.sign(changed(h, "typ", "JWT"), c, authority),
		"no typ":                        f.sign(changed(h, "typ", nil), c, authority),
		"typ of an id token":            f.sign(changed(h, "typ", "id_token+jwt"), c, authority),
		"typ as an array":               f.sign(changed(h, "typ", []string{"at+jwt"}), c, authority),
		"kid of nobody":                 f.sign(changed(h, "kid", "other"), c, authority),
		"no kid":                        f.sign(changed(h, "kid", nil), c, authority),
		"kid as a path":                 f.sign(changed(h, "kid", "../../../../dev/null"), c, hs(nil)),
		"kid as SQL":                    f.sign(changed(h, "kid", "' UNION SELECT 'k' --"), c, f.bySelf),
		"jku":                           f.sign(changed(changed(h, "jku", "https://evil.example/jwks.json"), "kid", "evil"), c, f.bySelf),
		"jku, our kid":                  f.sign(changed(h, "jku", "https://evil.example/jwks.json"), c, f.bySelf),
		"jwk":                           f.sign(changed(h, "jwk", jwk), c, f.bySelf),
		"jwk instead of kid":            f.sign(changed(changed(h, "jwk", jwk), "kid", nil), c, f.bySelf),
		"x5u":                           f.sign(changed(h, "x5u", "https://evil.example/chain.pem"), c, f.bySelf),
		"x5c":                           f.sign(changed(h, "x5c", []string{b64(der)}), c, f.bySelf),
		"crit unknown":                  f.sign(changed(changed(h, "crit", []string{"x"}), "x", 1), c, authority),
		"b64 false":                     f.sign(changed(changed(h, "b64", false), "crit", []string{"b64"}), c, authority),
		"another key":                   f.sign(h, c, f.bySelf),
		"no signature":                  p[0] + "." + p[1] + ".",
		"signature cut":                 p[0] + "." + p[1] + "." + p[2][:len(p[2])-4],
		"signature of zeros":            p[0] + "." + p[1] + "." + b64(make([]byte, 64)),
		"two parts":                     p[0] + "." + p[1],
		"four parts":                    strings.Join(p, ".") + "." + p[2],
		"five parts":                    strings.Join(p, ".") + ".." + p[2],
		"padded":                        p[0] + "." + p[1] + "." + p[2] + "==",
		"blank before":                  " " + strings.Join(p, "."),
		"blank after":                   strings.Join(p, ".") + " ",
		"line break inside":             p[0] + ".\n" + p[1] + "." + p[2],
		"parts swapped":                 p[1] + "." + p[0] + "." + p[2],
		"JSON serialisation":            `{"payload":"` + p[1] + `","protected":"` + p[0] + `","signature":"` + p[2] + `"}`,
		"enormous":                      p[0] + "." + p[1] + "." + strings.Repeat("A", 1<<20),
		"unsigned header changes":       b64([]byte(`{"alg":"EdDSA"}`)) + "." + p[1] + "." + p[2],
		"empty":                         "",
		"Bearer":                        "Bearer " + strings.Join(p, "."),
	}
	// what a thief of the signing key could do, without the pepper
	for name, claim := range map[string]object{
		"exp later":       changed(c, "exp", time.Now().Add(100*time.Hour).Unix()),
		"exp missing":     changed(c, "exp", nil),
		"exp as text":     changed(c, "exp", "never"),
		"exp huge":        changed(c, "exp", 1e300),
		"aud other":       changed(c, "aud", "admin-api"),
		"aud list":        changed(c, "aud", []string{"billing-api", "admin-api"}),
		"iss other":       changed(c, "iss", "https://evil.example"),
		"iss with slash":  changed(c, "iss", testURL+"/"),
		"sub other":       changed(c, "sub", "root"),
		"scope more":      changed(c, "scope", "read write admin"),
		"writ other":      changed(c, "writ", object{"request": "req-1", "scope": object{"service": "admin"}}),
		"jti of nobody":   changed(c, "jti", "0123456789012345678901"),
		"jti missing":     changed(c, "jti", nil),
		"jti as a number": changed(c, "jti", 7),
		"one claim more":  changed(c, "admin", true),
	} {
		tokens["signed: "+name] = f.sign(h, claim, authority)
		tokens["unsigned: "+name] = f.sign(h, claim, func([]byte) []byte { return unb64(f.t, p[2]) })
	}
	return tokens
}

func TestTokenTricks(t *testing.T) {
	t.Parallel()
	log, logs := logged()
	i, target := open(t, Config{DB: sqliteDB(t), Sole: true, Log: log})
	_, token := grant(t, target, order(t, "req-1", connector.AccessToken, time.Now()))
	judged(t, i, token, Active)
	server := httptest.NewServer(i.Handler())
	defer server.Close()
	corpus := newForger(t, token).corpus(testKeys())
	if len(corpus) < 25 {
		t.Fatalf("only %d tokens", len(corpus))
	}
	for name, forged := range corpus {
		if forged == token {
			t.Fatalf("%s: it is the real one", name)
		}
		inside := strings.HasPrefix(name, "signed: ") && !strings.Contains(name, "iss ") // only the authority's records tell
		if _, _, flaw := i.mint.Identify(forged); flaw == "" && !inside {
			t.Errorf("%s: its form is taken for ours", name)
		}
		v, err := i.Verify(t.Context(), forged, nil)
		if v.Active || err != nil {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
		if forged != "" && len(forged) < 1<<16 {
			if status, body := introspected(t, server.URL, "gateway", forged); status != 200 || body != inactive {
				t.Errorf("%s: %d %s", name, status, body)
			}
		}
	}
	judged(t, i, token, Active)
	if logs.String() != "" {
		t.Errorf("logged: %s", logs)
	}
}

// Who has the keys of /jwks.json needs nothing else to accept a token: another
// library does.
func TestTokensAreAcceptedOffline(t *testing.T) {
	i, target := open(t, Config{DB: sqliteDB(t), Sole: true})
	server := httptest.NewServer(i.Handler())
	defer server.Close()
	o := order(t, "req-1", connector.AccessToken, time.Now())
	_, token := grant(t, target, o)
	keys := oidc.NewRemoteKeySet(context.Background(), server.URL+"/jwks.json")
	verified, err := oidc.NewVerifier(testURL, keys, &oidc.Config{ClientID: "billing-api", SupportedSigningAlgs: []string{"EdDSA"}}).Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	var c mint.Claims
	if err := verified.Claims(&c); err != nil {
		t.Fatal(err)
	}
	if c.Subject != "ci-deploy" || c.Client != "ci-deploy" || c.Scope != "read write" || c.ID == "" || c.Writ.Request != "req-1" ||
		c.Writ.UID != "uid-7" || c.Writ.Entitlement != "billing" || c.Writ.Scope["service"] != "billing" ||
		time.Unix(c.Expires, 0).After(o.Until) || o.Until.Unix() != c.Expires || c.NotBefore != o.From.Unix() {
		t.Errorf("claims: %+v", c)
	}
	if f := newForger(t, token); f.header["typ"] != "at+jwt" || f.header["alg"] != "EdDSA" || len(f.header) != 3 {
		t.Errorf("header: %v", f.header)
	}
}

func TestTokensOutliveTheirKeyUntilItIsWithdrawn(t *testing.T) {
	db, old := sqliteDB(t), testKeys()
	first, target := open(t, Config{DB: db, Sole: true})
	_, token := grant(t, target, order(t, "req-1", connector.AccessToken, time.Now()))
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	rotated, err := old.Rotate("next", rand.Reader, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	second, target := open(t, Config{DB: db, Sole: true, Keys: rotated})
	judged(t, second, token, Active)
	_, newer := grant(t, target, order(t, "req-2", connector.AccessToken, time.Now()))
	judged(t, second, newer, Active)
	var set struct{ Keys []object }
	if err := json.Unmarshal(second.mint.JWKS(), &set); err != nil || len(set.Keys) != 2 {
		t.Errorf("published: %v, %v", set.Keys, err)
	}
	for _, key := range set.Keys {
		if key["d"] != nil || key["kid"] == "" || key["alg"] != "EdDSA" || key["use"] != "sig" {
			t.Errorf("published: %v", key)
		}
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	rotated.Former.Token = []crypto.PublicKey{}
	third, _ := open(t, Config{DB: db, Sole: true, Keys: rotated})
	judged(t, third, token, Signature)
	judged(t, third, newer, Active)
}
