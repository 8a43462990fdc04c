package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/writhq/writ"
)

// rsa512 signs with algorithms of the same key that the issuer does not use.
func rsa512(k key, head, payload string, pss bool) string {
	text := head + "." + payload
	private := k.private.(*rsa.PrivateKey)
	if pss {
		sum := sha256.Sum256([]byte(text))
		return text + "." + b64(must(rsa.SignPSS(rand.Reader, private, crypto.SHA256, sum[:], nil)))
	}
	sum := sha512.Sum512([]byte(text))
	return text + "." + b64(must(rsa.SignPKCS1v15(nil, private, crypto.SHA512, sum[:])))
}

// wiles are what tricks of header and signature start from: a good token, and
// an issuer whose key set has more in it than it should.
type wiles struct {
	*server
	p, stranger   *provider
	secret        []byte // that the issuer published by mistake
	weak          key
	payload, good string
}

func newWiles(t *testing.T) *wiles {
	p := newProvider(t, rsaKey, ecKey, edKey)
	w := &wiles{
		server: newServer(t, []Issuer{trust(p)}, ann(p)), p: p, stranger: newProvider(t, strangeKey),
		secret: []byte("known to all"), weak: key{"weak", "RS256", must(rsa.GenerateKey(rand.Reader, 1024))},
	}
	p.keys = append(p.keys, w.weak.jwk(), jose.JSONWebKey{Key: w.secret, KeyID: "oct-1"},
		jose.JSONWebKey{Key: rsaKey2.private.Public(), KeyID: "enc-1", Use: "enc"},
		fields{"kty": "OKP", "crv": "Ed448", "kid": "odd", "x": "AA"})
	w.payload = encode(p.claims(w.now(), nil))
	w.good = w.under(rsaKey, nil)
	w.accepts(t, w.good, "human/ann")
	w.accepts(t, w.under(ecKey, nil), "human/ann")
	return w
}

// under is the good payload, signed by k under a header of its own.
func (w *wiles) under(k key, more fields) string { return k.sign(k.head(more), w.payload) }

func (w *wiles) refusesAll(t *testing.T, tokens map[string]string) {
	for name, token := range tokens {
		t.Run(name, func(t *testing.T) { w.refuses(t, token, writ.Unauthenticated) })
	}
	if n := w.stranger.fetches.Load(); n != 0 {
		t.Errorf("a token made us ask a stranger %d times", n)
	}
}

// TestSignatureTricks are tokens that nobody signed, or not so.
func TestSignatureTricks(t *testing.T) {
	w := newWiles(t)
	head, signature := rsaKey.head(nil), w.good[strings.LastIndex(w.good, ".")+1:]
	public := rsaKey.private.Public().(*rsa.PublicKey)
	pkix := must(x509.MarshalPKIXPublicKey(public))
	hs := func(secret []byte, kid string) string {
		return hs256(secret, encode(fields{"alg": "HS256", "typ": "JWT", "kid": kid}), w.payload)
	}
	none := func(alg string) string { return encode(fields{"alg": alg, "typ": "JWT"}) + "." + w.payload + "." }
	order := ecKey.private.(*ecdsa.PrivateKey).Curve.Params().N.Bytes()
	w.refusesAll(t, map[string]string{
		"alg none":                     none("none"),
		"alg None":                     none("None"),
		"alg nOnE with a signature":    none("nOnE") + signature,
		"alg none under a kid":         encode(fields{"alg": "none", "kid": "rsa-1"}) + "." + w.payload + ".",
		"alg empty":                    encode(fields{"alg": "", "kid": "rsa-1"}) + "." + w.payload + "." + signature,
		"alg missing":                  encode(fields{"kid": "rsa-1"}) + "." + w.payload + "." + signature,
		"alg a list":                   encode(fields{"alg": []string{"RS256"}, "kid": "rsa-1"}) + "." + w.payload + "." + signature,
		"hmac with the key as pem":     hs(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix}), "rsa-1"),
		"hmac with the key as der":     hs(pkix, "rsa-1"),
		"hmac with the key as pkcs1":   hs(x509.MarshalPKCS1PublicKey(public), "rsa-1"),
		"hmac with the key as jwk":     hs(must(json.Marshal(rsaKey.jwk())), "rsa-1"),
		"hmac with the modulus":        hs(public.N.Bytes(), "rsa-1"),
		"hmac with nothing":            hs(nil, "rsa-1"),
		"hmac with a published secret": hs(w.secret, "oct-1"),
		"hmac, kid of an empty file":   hs(nil, "../../../../dev/null"),
		"rs512 where rs256 is pinned":  rsa512(rsaKey, rsaKey.head(fields{"alg": "RS512"}), w.payload, false),
		"ps256 where rs256 is pinned":  rsa512(rsaKey, rsaKey.head(fields{"alg": "PS256"}), w.payload, true),
		"rs512 signature called rs256": rsa512(rsaKey, head, w.payload, false),
		"rs256 under an ec key":        w.under(rsaKey, fields{"kid": "ec-1"}),
		"rs256 under an ed25519 key":   w.under(rsaKey, fields{"kid": "ed-1"}),
		"es256 under an rsa key":       w.under(ecKey, fields{"kid": "rsa-1"}),
		"eddsa under an rsa key":       w.under(edKey, fields{"kid": "rsa-1"}),
		"es256 all zero":               ecKey.head(nil) + "." + w.payload + "." + b64(make([]byte, 64)),
		"es256 of the order":           ecKey.head(nil) + "." + w.payload + "." + b64(bytes.Repeat(order, 2)),
		"es256 in der":                 derSigned(ecKey, w.payload),
		"eddsa all zero":               edKey.head(nil) + "." + w.payload + "." + b64(make([]byte, 64)),
		"a weak rsa key":               w.under(w.weak, nil),
		"a key for encryption":         w.under(rsaKey2, fields{"kid": "enc-1"}),
		"signature of another token":   head + "." + encode(w.p.claims(w.now(), fields{"sub": "eve"})) + "." + signature,
		"header of another token":      rsaKey.head(fields{"x": 1}) + "." + w.payload + "." + signature,
		"signature cut":                w.good[:len(w.good)-4],
		"signature empty":              head + "." + w.payload + ".",
	})
}

// TestHeaderTricks are tokens whose header says which key to believe, or that
// they are something else.
func TestHeaderTricks(t *testing.T) {
	w := newWiles(t)
	chain := []string{base64.StdEncoding.EncodeToString(certificate(rsaKey))}
	plain := string(must(base64.RawURLEncoding.DecodeString(w.payload)))
	w.refusesAll(t, map[string]string{
		"a stranger's key, a known kid":   w.under(strangeKey, nil),
		"a stranger's key, no kid":        w.under(strangeKey, fields{"kid": nil}),
		"no kid among several keys":       w.under(rsaKey, fields{"kid": nil}),
		"kid unknown":                     w.under(rsaKey, fields{"kid": "rsa-9"}),
		"kid a path":                      w.under(strangeKey, fields{"kid": "../../keys/rsa-1"}),
		"kid a path from here":            w.under(rsaKey, fields{"kid": "./rsa-1"}),
		"kid a url":                       w.under(strangeKey, fields{"kid": w.stranger.URL + "/keys"}),
		"kid a statement":                 w.under(strangeKey, fields{"kid": "x' union select 'key"}),
		"kid with nul":                    w.under(rsaKey, fields{"kid": "rsa-1\x00"}),
		"kid a number":                    w.under(rsaKey, fields{"kid": 1}),
		"kid a list":                      w.under(rsaKey, fields{"kid": []string{"rsa-1"}}),
		"jku to a stranger":               w.under(strangeKey, fields{"jku": w.stranger.URL + "/keys"}),
		"jku beside a good signature":     w.under(rsaKey, fields{"jku": w.stranger.URL + "/keys"}),
		"x5u to a stranger":               w.under(strangeKey, fields{"x5u": w.stranger.URL + "/keys"}),
		"x5u beside a good signature":     w.under(rsaKey, fields{"x5u": w.stranger.URL + "/keys"}),
		"jwk of a stranger":               w.under(strangeKey, fields{"jwk": strangeKey.jwk()}),
		"jwk beside a good signature":     w.under(rsaKey, fields{"jwk": rsaKey.jwk()}),
		"x5c of a stranger":               w.under(strangeKey, fields{"x5c": chain}),
		"x5c beside a good signature":     w.under(rsaKey, fields{"x5c": chain}),
		"crit of something unknown":       w.under(rsaKey, fields{"crit": []string{"exp"}, "exp": 1}),
		"crit of nothing":                 w.under(rsaKey, fields{"crit": []string{}}),
		"b64 false":                       w.under(rsaKey, fields{"b64": false}),
		"b64 false, signed as it says":    splice(rsaKey.sign(rsaKey.head(fields{"b64": false}), plain), w.payload),
		"b64 false and crit":              w.under(rsaKey, fields{"b64": false, "crit": []string{"b64"}}),
		"zip":                             w.under(rsaKey, fields{"zip": "DEF"}),
		"typ of a security event":         w.under(rsaKey, fields{"typ": "secevent+jwt"}),
		"typ of a security event, long":   w.under(rsaKey, fields{"typ": "application/secevent+jwt"}),
		"typ of a dpop proof":             w.under(rsaKey, fields{"typ": "dpop+jwt"}),
		"typ of a logout token":           w.under(rsaKey, fields{"typ": "logout+jwt"}),
		"typ of an authorization request": w.under(rsaKey, fields{"typ": "oauth-authz-req+jwt"}),
		"typ of an introspection":         w.under(rsaKey, fields{"typ": "token-introspection+jwt"}),
		"typ with a space":                w.under(rsaKey, fields{"typ": " JWT"}),
		"typ a number":                    w.under(rsaKey, fields{"typ": 1}),
		"issued by a stranger":            strangeKey.token(w.stranger.claims(w.now(), nil)),
	})
}

// TestFormTricks are tokens two readers could read differently.
func TestFormTricks(t *testing.T) {
	p := newProvider(t, rsaKey)
	s := newServer(t, []Issuer{trust(p)}, ann(p))
	head, payload := rsaKey.head(nil), encode(p.claims(s.now(), nil))
	good := rsaKey.sign(head, payload)
	s.accepts(t, good, "human/ann")
	parts := strings.Split(good, ".")
	signature := parts[2]
	evil := encode(p.claims(s.now(), fields{"sub": "eve"}))

	text := string(must(base64.RawURLEncoding.DecodeString(payload)))
	body := func(replace, by string) string {
		changed := strings.Replace(text, replace, by, 1)
		if changed == text {
			t.Fatalf("%q is not in %s", replace, text)
		}
		return rsaKey.sign(head, b64([]byte(changed)))
	}
	uneven := b64([]byte(text + strings.Repeat(" ", 2-len(text)%3)))
	s.accepts(t, rsaKey.sign(head, uneven), "human/ann")
	for name, token := range serializations(head, payload, evil, signature) {
		t.Run(name, func(t *testing.T) { s.refuses(t, token, writ.Unauthenticated) })
	}
	for name, token := range map[string]string{
		"line break in the payload":     rsaKey.sign(head, payload[:40]+"\n"+payload[40:]),
		"padded base64":                 rsaKey.sign(head, pad(payload)),
		"base64 with other tail bits":   rsaKey.sign(head, tail(uneven)),
		"standard base64":               rsaKey.sign(strings.Repeat("+", 4)+head, payload),
		"sub twice":                     body(`"sub":"ann-7f3a"`, `"sub":"eve","sub":"ann-7f3a"`),
		"sub twice, once escaped":       body(`"sub":"ann-7f3a"`, `"s\u0075b":"eve","sub":"ann-7f3a"`),
		"a nested claim twice":          body(`"sub":`, `"x":{"a":1,"a":2},"sub":`),
		"sub in capitals":               body(`"sub":`, `"SUB":`),
		"exp in capitals":               body(`"exp":`, `"EXP":`),
		"a second sub in capitals":      body(`"sub":"ann-7f3a"`, `"sub":"","SUB":"ann-7f3a"`),
		"a later exp in capitals":       body(`"exp":`, `"Exp":99999999999,"exp":1,"was":`),
		"alg twice":                     rsaKey.sign(b64([]byte(`{"alg":"none","alg":"RS256","kid":"rsa-1"}`)), payload),
		"claims a list":                 rsaKey.sign(head, b64([]byte("["+text+"]"))),
		"claims a string":               rsaKey.sign(head, b64([]byte(`"x"`))),
		"claims null":                   rsaKey.sign(head, b64([]byte(`null`))),
		"claims empty":                  rsaKey.sign(head, b64([]byte(`{}`))),
		"two objects":                   rsaKey.sign(head, b64([]byte(text+text))),
		"something after the object":    rsaKey.sign(head, b64([]byte(text+"x"))),
		"not utf-8":                     body(`"sub":`, "\"x\":\"\xff\",\"sub\":"),
		"a comment":                     body(`"sub":`, `/*x*/"sub":`),
		"header null":                   rsaKey.sign(b64([]byte(`null`)), payload),
		"a token in a token":            rsaKey.sign(rsaKey.head(fields{"cty": "JWT"}), b64([]byte(good))),
		"longer than any token":         rsaKey.token(p.claims(s.now(), fields{"x": strings.Repeat("y", maxToken)})),
		"a bearer scheme in the token":  "Bearer " + good,
		"deeply nested, without an end": rsaKey.sign(head, b64(bytes.Repeat([]byte("["), 8000))),
	} {
		t.Run(name, func(t *testing.T) { s.refuses(t, token, writ.Unauthenticated) })
	}
}

// serializations are other ways to put the parts of a token together.
func serializations(head, payload, evil, signature string) map[string]string {
	good := head + "." + payload + "." + signature
	flat := fields{"protected": head, "payload": payload, "signature": signature}
	return map[string]string{
		"nothing":                  "",
		"dots":                     "..",
		"one part":                 head,
		"two parts":                head + "." + payload,
		"two payloads":             head + "." + payload + "." + evil + "." + signature,
		"two payloads, evil first": head + "." + evil + "." + payload + "." + signature,
		"a part more":              good + "." + evil,
		"a dot more":               good + ".",
		"encrypted, five parts":    head + ".." + payload + "." + payload + "." + signature,
		"detached payload":         head + ".." + signature,
		"json serialization":       string(must(json.Marshal(flat))),
		"json, two signatures":     string(must(json.Marshal(fields{"payload": payload, "signatures": []any{flat, flat}}))),
		"json before compact":      string(must(json.Marshal(flat))) + good,
		"white space before":       " " + good,
		"white space inside":       head + "." + payload + ". " + signature,
	}
}

// claimTricks checks that tokens of a trusted issuer are refused for a claim.
func claimTricks(t *testing.T, tricks func(p *provider, now int64) map[string]fields) {
	p := newProvider(t, rsaKey)
	s := newServer(t, []Issuer{trust(p)}, ann(p))
	s.accepts(t, rsaKey.token(p.claims(s.now(), nil)), "human/ann")
	for name, more := range tricks(p, s.now().Unix()) {
		t.Run(name, func(t *testing.T) {
			s.refuses(t, rsaKey.token(p.claims(s.now(), more)), writ.Unauthenticated)
		})
	}
	if n := p.fetches.Load(); n != 1 {
		t.Errorf("%d fetches; only the first token of a key needs one", n)
	}
}

func TestTimeTricks(t *testing.T) {
	claimTricks(t, func(_ *provider, now int64) map[string]fields {
		return map[string]fields{
			"expired":                 {"exp": now - 1},
			"expires now":             {"exp": now},
			"expired within a leeway": {"iat": now - 120, "exp": now - 30},
			"no exp":                  {"exp": nil},
			"exp a string":            {"exp": "99999999999"},
			"exp true":                {"exp": true},
			"exp a list":              {"exp": []int64{now + 300}},
			"exp negative":            {"exp": -1},
			"exp beyond reason":       {"exp": 1e300},
			"exp in milliseconds":     {"exp": (now + 300) * 1000},
			"no iat":                  {"iat": nil},
			"iat a string":            {"iat": "1"},
			"iat in the future":       {"iat": now + 120},
			"issued too long ago":     {"iat": now - 600, "exp": now + 3600},
			"issued years ago":        {"iat": 1, "exp": now + 3600},
			"not yet valid":           {"nbf": now + 120},
			"nbf a string":            {"nbf": "0"},
			"nbf negative":            {"nbf": -1},
		}
	})
}

func TestPartyTricks(t *testing.T) {
	claimTricks(t, func(p *provider, _ int64) map[string]fields {
		return map[string]fields{
			"no aud":                    {"aud": nil},
			"aud another":               {"aud": "https://other.example.com"},
			"aud empty":                 {"aud": ""},
			"aud no list of any":        {"aud": []string{}},
			"aud ours and another":      {"aud": []string{audience, "https://other.example.com"}},
			"aud another and ours":      {"aud": []string{"https://other.example.com", audience}},
			"aud ours twice":            {"aud": []string{audience, audience}},
			"aud ours within a list":    {"aud": [][]string{{audience}}},
			"aud an object":             {"aud": fields{"x": audience}},
			"aud any":                   {"aud": "*"},
			"aud longer":                {"aud": audience + ".evil.example"},
			"aud with a slash":          {"aud": audience + "/"},
			"aud in capitals":           {"aud": strings.ToUpper(audience)},
			"aud two in one":            {"aud": audience + " https://other.example.com"},
			"no iss":                    {"iss": nil},
			"iss a list":                {"iss": []string{p.URL}},
			"iss with a slash":          {"iss": p.URL + "/"},
			"iss in capitals":           {"iss": strings.ToUpper(p.URL)},
			"iss with a path":           {"iss": p.URL + "/tenant"},
			"iss by another name":       {"iss": strings.Replace(p.URL, "127.0.0.1", "localhost", 1)},
			"iss without a scheme":      {"iss": strings.TrimPrefix(p.URL, "http://")},
			"no sub":                    {"sub": nil},
			"sub empty":                 {"sub": ""},
			"sub a number":              {"sub": 7},
			"sub a list":                {"sub": []string{"ann-7f3a"}},
			"sub with a space":          {"sub": "ann-7f3a "},
			"sub in capitals":           {"sub": "ANN-7F3A"},
			"sub any":                   {"sub": "*"},
			"bound to a key":            {"cnf": fields{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}},
			"bound to a certificate":    {"cnf": fields{"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}},
			"a logout token typ'd JWT":  {"events": fields{"http://schemas.openid.net/event/backchannel-logout": fields{}}},
			"a claim only elsewhere":    {"sub": nil, "claims": fields{"sub": "ann-7f3a"}},
			"a claim from elsewhere":    {"sub": nil, "_claim_names": fields{"sub": "x"}, "_claim_sources": fields{"x": fields{"endpoint": p.URL}}},
			"a claim source that is no": {"_claim_names": fields{"x": "y"}},
		}
	})
}

// TestIssuerOfAnother: the keys of one trusted issuer sign nothing of another's.
func TestIssuerOfAnother(t *testing.T) {
	p, other := newProvider(t, rsaKey), newProvider(t, rsaKey2)
	s := newServer(t, []Issuer{trust(p), trust(other)}, ann(p))
	s.accepts(t, rsaKey.token(p.claims(s.now(), nil)), "human/ann")
	s.refuses(t, rsaKey2.token(p.claims(s.now(), nil)), writ.Unauthenticated)
	s.refuses(t, rsaKey.token(other.claims(s.now(), nil)), writ.Unauthenticated)
	s.refuses(t, rsaKey2.token(other.claims(s.now(), nil)), writ.Unauthenticated) // good, but nobody's account
	s.refuses(t, rsaKey2.sign(rsaKey2.head(fields{"kid": "rsa-1"}), encode(p.claims(s.now(), nil))), writ.Unauthenticated)
}

// TestNobodyIsAskedForATokenThatCannotCount: the issuer's keys are of no use.
func TestNobodyIsAskedForATokenThatCannotCount(t *testing.T) {
	p := newProvider(t, rsaKey)
	s := newServer(t, []Issuer{trust(p)}, ann(p))
	payload := encode(p.claims(s.now(), nil))
	for _, token := range []string{
		hs256(nil, rsaKey.head(fields{"alg": "HS256"}), payload),
		rsaKey.head(fields{"alg": "none"}) + "." + payload + ".",
		rsaKey.sign(rsaKey.head(fields{"typ": "secevent+jwt"}), payload),
		rsaKey.sign(rsaKey.head(fields{"jku": p.URL + "/keys"}), payload),
		rsaKey.token(p.claims(s.now(), fields{"iss": p.URL + "/"})),
	} {
		s.refuses(t, token, writ.Unauthenticated)
	}
	if n := p.fetches.Load(); n != 0 {
		t.Errorf("%d fetches", n)
	}
}

// TestKeyServesItsOwnAlgorithm, although the issuer may use both.
func TestKeyServesItsOwnAlgorithm(t *testing.T) {
	p := newProvider(t, rsaKey)
	i := trust(p)
	i.Algorithms = []string{"RS256", "PS256"}
	s := newServer(t, []Issuer{i}, ann(p))
	payload := encode(p.claims(s.now(), nil))
	s.accepts(t, rsaKey.sign(rsaKey.head(nil), payload), "human/ann")
	s.refuses(t, rsa512(rsaKey, rsaKey.head(fields{"alg": "PS256"}), payload, true), writ.Unauthenticated)
}

// TestAccountWithoutSubject is held by claims alone; a token still has a subject.
func TestAccountWithoutSubject(t *testing.T) {
	p := newProvider(t, rsaKey)
	s := newServer(t, []Issuer{trust(p)}, identity("agent/bot", writ.Account{Issuer: p.URL, Claims: map[string]string{"tenant": "t1"}}))
	s.accepts(t, rsaKey.token(p.claims(s.now(), fields{"tenant": "t1"})), "agent/bot")
	for _, sub := range []any{nil, "", 7} {
		s.refuses(t, rsaKey.token(p.claims(s.now(), fields{"tenant": "t1", "sub": sub})), writ.Unauthenticated)
	}
}

// TestDiscoveryUnderAnotherName: a provider that calls itself something else is
// not the issuer that was configured.
func TestDiscoveryUnderAnotherName(t *testing.T) {
	p := newProvider(t, rsaKey)
	liar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(fields{"issuer": p.URL, "jwks_uri": p.URL + "/keys"})
	}))
	t.Cleanup(liar.Close)
	s := newServer(t, []Issuer{{URL: liar.URL, Audience: audience}}, ann(p))
	s.refuses(t, rsaKey.token(p.claims(s.now(), fields{"iss": liar.URL})), writ.Unavailable)
	if n := p.fetches.Load(); n != 0 {
		t.Errorf("%d fetches of keys under a wrong name", n)
	}
}

// splice puts an encoded payload into a token whose signature is over the plain one.
func splice(token, payload string) string {
	return token[:strings.Index(token, ".")+1] + payload + token[strings.LastIndex(token, "."):]
}

func certificate(k key) []byte {
	c := &x509.Certificate{SerialNumber: big.NewInt(1)}
	return must(x509.CreateCertificate(rand.Reader, c, c, k.private.Public(), k.private))
}

func derSigned(k key, payload string) string {
	text := k.head(nil) + "." + payload
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, k.private.(*ecdsa.PrivateKey), sum[:])
	if err != nil {
		panic(err)
	}
	return text + "." + b64(must(asn1.Marshal(struct{ R, S *big.Int }{r, s})))
}

func pad(part string) string { return part + strings.Repeat("=", (4-len(part)%4)%4) }

// tail sets a bit of the last character that a lenient decoder ignores, of a
// part whose text is two bytes longer than a multiple of three.
func tail(part string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, part[len(part)-1])
	return part[:len(part)-1] + string(alphabet[last|1])
}
