package assent

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/big"
	"testing"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"

	"github.com/writhq/writ"
)

const (
	place = "https://writ.example.org"
	host  = "writ.example.org"
	there = 0b0000_0101 // present and verified
)

// A device is an authenticator made of software.
type device struct {
	*testing.T
	key    crypto.Signer
	cose   []byte
	origin string
	rp     string
	flags  byte
	count  uint32
	client map[string]any // further members of client data; nil takes one away
}

func newDevice(t *testing.T, alg int) *device {
	t.Helper()
	d := &device{T: t, origin: place, rp: host, flags: there}
	var members map[int]any
	var err error
	switch alg {
	case -7:
		var k *ecdsa.PrivateKey
		k, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		point := must(k.PublicKey.Bytes())
		d.key, members = k, map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]}
	case -8:
		var pub ed25519.PublicKey
		pub, d.key, err = ed25519.GenerateKey(rand.Reader)
		members = map[int]any{1: 1, 3: -8, -1: 6, -2: []byte(pub)}
	default:
		var k *rsa.PrivateKey
		k, err = rsa.GenerateKey(rand.Reader, 2048)
		d.key, members = k, map[int]any{1: 3, 3: alg, -1: k.N.Bytes(), -2: big.NewInt(int64(k.E)).Bytes()}
	}
	if err != nil {
		t.Fatal(err)
	}
	d.cose = must(webauthncbor.Marshal(members))
	return d
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (d *device) data() []byte {
	rp := sha256.Sum256([]byte(d.rp))
	return binary.BigEndian.AppendUint32(append(rp[:], d.flags), d.count)
}

func (d *device) clientData(kind string, challenge [32]byte) []byte {
	m := map[string]any{"type": kind, "challenge": encode(challenge[:]), "origin": d.origin, "crossOrigin": false}
	for name, value := range d.client {
		if m[name] = value; value == nil {
			delete(m, name)
		}
	}
	return must(json.Marshal(m))
}

// assert signs as navigator.credentials.get does.
func (d *device) assert(kind string, challenge [32]byte) json.RawMessage {
	d.Helper()
	data, client := d.data(), d.clientData(kind, challenge)
	sum := sha256.Sum256(client)
	message, opts := append(bytes.Clone(data), sum[:]...), crypto.SignerOpts(crypto.Hash(0))
	if _, pure := d.key.(ed25519.PrivateKey); !pure {
		all := sha256.Sum256(message)
		message, opts = all[:], crypto.SHA256
	}
	sig := must(d.key.Sign(rand.Reader, message, opts))
	return must(json.Marshal(passkeyProof{encode(client), encode(data), encode(sig)}))
}

// register makes a credential as navigator.credentials.create does.
func (d *device) register(kind string, challenge [32]byte) json.RawMessage {
	d.Helper()
	id := bytes.Repeat([]byte{7}, 20)
	data := d.data()
	data[32] |= 1 << 6 // attested credential data follows
	data = append(data, make([]byte, 16)...)
	data = append(binary.BigEndian.AppendUint16(data, uint16(len(id))), id...)
	data = append(data, d.cose...)
	object := must(webauthncbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": data}))
	return must(json.Marshal(map[string]any{
		"id": encode(id), "rawId": encode(id), "type": "public-key", "clientExtensionResults": map[string]any{},
		"response": map[string]any{"clientDataJSON": encode(d.clientData(kind, challenge)), "attestationObject": encode(object)},
	}))
}

func (d *device) enrolled() writ.Key {
	return writ.Key{
		Header: writ.Header{Kind: "key", Name: "passkey-1", UID: "key-1"}, Method: writ.ByPasskey,
		Public: encode(d.cose), Credential: "BwcH", RP: host, Origin: place,
	}
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

var asked = [32]byte{1, 2, 3}

func TestPasskeyOfEveryAlgorithm(t *testing.T) {
	for _, alg := range []int{-7, -8, -257} {
		d := newDevice(t, alg)
		if err := verifyPasskey(d.assert("webauthn.get", asked), d.enrolled(), asked); err != nil {
			t.Errorf("algorithm %d: %v", alg, err)
		}
		k, err := Passkey(d.register("webauthn.create", asked), place, asked)
		if err != nil || k.Public != encode(d.cose) || k.RP != host || k.Origin != place || k.Synced || k.Method != writ.ByPasskey {
			t.Errorf("algorithm %d: enrolled as %+v, %v", alg, k, err)
		}
	}
	for _, alg := range []int{-37, -258, -65535} { // PS256, RS384, RS1
		d := newDevice(t, alg)
		if err := verifyPasskey(d.assert("webauthn.get", asked), d.enrolled(), asked); !errors.Is(err, writ.Invalid) {
			t.Errorf("algorithm %d: %v", alg, err)
		}
		if _, err := Passkey(d.register("webauthn.create", asked), place, asked); err == nil {
			t.Errorf("algorithm %d is enrolled", alg)
		}
	}
}

func TestTamperedAssertion(t *testing.T) {
	edit := func(part string, f func([]byte) []byte) func(json.RawMessage) json.RawMessage {
		return func(proof json.RawMessage) json.RawMessage {
			var p map[string]string
			if err := json.Unmarshal(proof, &p); err != nil {
				t.Fatal(err)
			}
			p[part] = encode(f(must(base64.RawURLEncoding.DecodeString(p[part]))))
			return must(json.Marshal(p))
		}
	}
	swap := func(old, new string) func([]byte) []byte {
		return func(b []byte) []byte { return bytes.Replace(b, []byte(old), []byte(new), 1) }
	}
	other := newDevice(t, -7)
	for name, test := range map[string]struct {
		made  func(*device)
		edit  func(json.RawMessage) json.RawMessage
		key   func(*writ.Key)
		kind  string
		fault writ.Fault
	}{
		"another origin":        {made: func(d *device) { d.origin = "https://writ.example.org.evil.example" }},
		"another port":          {made: func(d *device) { d.origin = place + ":8443" }},
		"origin in other case":  {made: func(d *device) { d.origin = "https://Writ.example.org" }},
		"origin edited":         {made: func(d *device) { d.origin = "https://evil.example" }, edit: edit("clientDataJSON", swap("https://evil.example", place))},
		"another host":          {made: func(d *device) { d.rp = "evil.example" }},
		"parent host":           {made: func(d *device) { d.rp = "example.org" }},
		"registration":          {kind: "webauthn.create"},
		"payment":               {kind: "payment.get"},
		"nobody verified":       {made: func(d *device) { d.flags = 1 }},
		"synced all at once":    {made: func(d *device) { d.flags |= 3 << 3 }},
		"nobody there":          {made: func(d *device) { d.flags = 1 << 2 }},
		"verification added":    {made: func(d *device) { d.flags = 1 }, edit: edit("authenticatorData", func(b []byte) []byte { b[32] |= 1 << 2; return b })},
		"another challenge":     {made: func(d *device) { d.client = map[string]any{"challenge": encode(make([]byte, 32))} }},
		"challenge edited":      {made: func(d *device) { d.client = map[string]any{"challenge": encode(make([]byte, 32))} }, edit: edit("clientDataJSON", swap(encode(make([]byte, 32)), encode(asked[:])))},
		"in a foreign page":     {made: func(d *device) { d.client = map[string]any{"crossOrigin": true} }, fault: writ.Invalid},
		"below a foreign page":  {made: func(d *device) { d.client = map[string]any{"topOrigin": "https://evil.example"} }, fault: writ.Invalid},
		"cross origin as text":  {made: func(d *device) { d.client = map[string]any{"crossOrigin": "true"} }, fault: writ.Invalid},
		"type in other case":    {made: func(d *device) { d.client = map[string]any{"type": nil, "Type": "webauthn.get"} }, fault: writ.Invalid},
		"another key":           {key: func(k *writ.Key) { k.Public = encode(other.cose) }},
		"another key's name":    {key: func(k *writ.Key) { k.RP = "other.example.org" }},
		"counter edited":        {edit: edit("authenticatorData", func(b []byte) []byte { b[36]++; return b })},
		"signature cut":         {edit: edit("signature", func(b []byte) []byte { return b[:len(b)-1] })},
		"signature and more":    {edit: edit("signature", func(b []byte) []byte { return append(b, 0) })},
		"data cut":              {edit: edit("authenticatorData", func(b []byte) []byte { return b[:36] }), fault: writ.Invalid},
		"data and more":         {edit: edit("authenticatorData", func(b []byte) []byte { return append(b, 0) })},
		"no signature":          {edit: edit("signature", func([]byte) []byte { return nil }), fault: writ.Invalid},
		"a further member":      {edit: func(p json.RawMessage) json.RawMessage { return append([]byte(`{"userHandle":"YQ",`), p[1:]...) }, fault: writ.Invalid},
		"two proofs":            {edit: func(p json.RawMessage) json.RawMessage { return append(p, p...) }, fault: writ.Invalid},
		"padded base64":         {edit: func(p json.RawMessage) json.RawMessage { return bytes.Replace(p, []byte(`"}`), []byte(`="}`), 1) }, fault: writ.Invalid},
		"no proof":              {edit: func(json.RawMessage) json.RawMessage { return nil }, fault: writ.Invalid},
		"too long":              {edit: edit("signature", func([]byte) []byte { return make([]byte, maxAssertion) }), fault: writ.Invalid},
		"key that is no COSE":   {key: func(k *writ.Key) { k.Public = "YWJj" }, fault: writ.Invalid},
		"key that is no base64": {key: func(k *writ.Key) { k.Public = "@" }, fault: writ.Invalid},
		"key with ES256 on P384": {key: func(k *writ.Key) {
			k.Public = encode(swap("\x20\x01", "\x20\x02")(must(base64.RawURLEncoding.DecodeString(k.Public))))
		}, fault: writ.Invalid},
	} {
		d := newDevice(t, -7)
		if test.made != nil {
			test.made(d)
		}
		kind := test.kind
		if kind == "" {
			kind = "webauthn.get"
		}
		proof, k := d.assert(kind, asked), d.enrolled()
		if test.edit != nil {
			proof = test.edit(proof)
		}
		if test.key != nil {
			test.key(&k)
		}
		if test.fault == "" {
			test.fault = writ.Forbidden
		}
		if err := verifyPasskey(proof, k, asked); !errors.Is(err, test.fault) {
			t.Errorf("%s: %v, want %s", name, err, test.fault)
		}
	}
}

func TestTamperedRegistration(t *testing.T) {
	for name, test := range map[string]struct {
		kind   string
		made   func(*device)
		origin string
	}{
		"assertion":           {kind: "webauthn.get"},
		"another origin":      {made: func(d *device) { d.origin = "https://evil.example" }},
		"another host":        {made: func(d *device) { d.rp = "evil.example" }},
		"nobody verified":     {made: func(d *device) { d.flags = 1 }},
		"another challenge":   {made: func(d *device) { d.client = map[string]any{"challenge": encode(make([]byte, 32))} }},
		"in a foreign page":   {made: func(d *device) { d.client = map[string]any{"crossOrigin": true} }},
		"at an address":       {made: func(d *device) { d.origin, d.rp = "https://127.0.0.1", "127.0.0.1" }, origin: "https://127.0.0.1"},
		"in clear text":       {made: func(d *device) { d.origin = "http://" + host }, origin: "http://" + host},
		"backup without BE":   {made: func(d *device) { d.flags |= 1 << 4 }},
		"key that is no COSE": {made: func(d *device) { d.cose = []byte{0xa0} }},
	} {
		d := newDevice(t, -7)
		if test.made != nil {
			test.made(d)
		}
		kind, origin := "webauthn.create", place
		if test.kind != "" {
			kind = test.kind
		}
		if test.origin != "" {
			origin = test.origin
		}
		if k, err := Passkey(d.register(kind, asked), origin, asked); err == nil || k.Public != "" {
			t.Errorf("%s: enrolled %+v", name, k)
		}
	}
}

func TestSyncedPasskeyAndItsCounter(t *testing.T) {
	d := newDevice(t, -7)
	d.flags |= 1 << 3
	k, err := Passkey(d.register("webauthn.create", asked), place, asked)
	if err != nil || !k.Synced {
		t.Errorf("%+v, %v", k, err)
	}
	d.count = 260
	if n := Counter(d.assert("webauthn.get", asked)); n != 260 {
		t.Errorf("the counter is %d", n)
	}
	if n := Counter([]byte(`{}`)); n != 0 {
		t.Errorf("the counter of nothing is %d", n)
	}
}
