package assent

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"

	"github.com/writhq/writ"
)

// PasskeyAlgorithms are those of passkeys that count, the preferred first:
// ES256, EdDSA and RS256 of the COSE registry (RFC 9053).
var PasskeyAlgorithms = []int64{int64(webauthncose.AlgES256), int64(webauthncose.AlgEdDSA), int64(webauthncose.AlgRS256)}

// A passkeyProof is the proof of a WebAuthn assertion, each part in base64url.
type passkeyProof struct {
	ClientData    string `json:"clientDataJSON"`
	Authenticator string `json:"authenticatorData"`
	Signature     string `json:"signature"`
}

// An assertion is a proof, decoded. The raw bytes are what is signed.
type assertion struct {
	client clientData
	raw    []byte // of client
	data   []byte // the authenticator's: WebAuthn level 3, section 6.1
	sig    []byte
}

// A clientData is what the browser says of a ceremony: section 5.8.1.
type clientData struct{ Type, Challenge, Origin string }

// Flags of authenticator data.
const (
	userPresent  = 1 << 0
	userVerified = 1 << 2
	mayBeSynced  = 1 << 3
	isSynced     = 1 << 4
	shortest     = 37 // bytes of authenticator data: hash, flags, counter
)

// RPOf returns the relying party id of the passkeys of an origin: its host. An
// address is none, so passkeys need a host name; in development localhost will do.
func RPOf(origin string) (string, error) {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme+"://"+u.Host != origin || u.Hostname() == "" {
		return "", writ.Errorf(writ.Invalid, "%q is no origin; it is like https://writ.example.org", origin)
	}
	if _, err := netip.ParseAddr(u.Hostname()); err == nil {
		return "", writ.Errorf(writ.Invalid, "passkeys are of a host name, and %s is an address; open the server under its name (localhost on one's own machine)", u.Host)
	}
	if u.Scheme != "https" && u.Hostname() != "localhost" {
		return "", writ.Errorf(writ.Invalid, "passkeys need https, and %s has none", origin)
	}
	return u.Hostname(), nil
}

// verifyPasskey checks that proof is k's assertion over challenge: W3C Web
// Authentication level 3, section 7.2, with user verification, without
// extensions, and never from within a page of another origin.
func verifyPasskey(proof json.RawMessage, k writ.Key, challenge [32]byte) error {
	a, err := parsePasskey(proof)
	if err != nil {
		return err
	}
	rp := sha256.Sum256([]byte(k.RP))
	no := func(why string) error {
		return writ.Errorf(writ.Forbidden, "the passkey's signature does not count: %s", why)
	}
	switch flags := a.data[32]; {
	case a.client.Type != "webauthn.get":
		return no("it was made for something else than signing")
	case a.client.Origin != k.Origin:
		return no("it was made at another place than " + k.Origin)
	case !equal(a.client.Challenge, challenge):
		return no("it is of another challenge; ask for a new one and sign it")
	case subtle.ConstantTimeCompare(a.data[:32], rp[:]) != 1:
		return no("it is for another host than " + k.RP)
	case flags&userPresent == 0:
		return no("nobody was there when it was made")
	case flags&userVerified == 0:
		return no("the device did not ask who is there; use a passkey with a PIN, fingerprint or face")
	case flags&mayBeSynced != 0 != k.Synced, flags&isSynced != 0 && !k.Synced:
		return no("whether it may be on other devices is not what it said when it was enrolled")
	}
	public, err := coseKey(k)
	if err != nil {
		return err
	}
	hash := sha256.Sum256(a.raw)
	if ok, err := webauthncose.VerifySignature(public, slices.Concat(a.data, hash[:]), a.sig); err != nil || !ok {
		return no("it is not one of key " + k.Name)
	}
	return nil
}

// coseKey returns the public key of a passkey, if its algorithm counts.
func coseKey(k writ.Key) (any, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(k.Public)
	if err != nil {
		return nil, writ.Errorf(writ.Invalid, "key %s: its public key is not base64url", k.Name)
	}
	public, err := webauthncose.ParsePublicKey(raw)
	if err != nil {
		return nil, writ.Errorf(writ.Invalid, "key %s: its public key is no COSE key", k.Name)
	}
	var alg int64
	switch p := public.(type) {
	case webauthncose.EC2PublicKeyData:
		alg = p.Algorithm
	case webauthncose.OKPPublicKeyData:
		alg = p.Algorithm
	case webauthncose.RSAPublicKeyData:
		if alg = p.Algorithm; len(bytes.TrimLeft(p.Modulus, "\x00"))*8 < minPasskeyRSA {
			return nil, writ.Errorf(writ.Invalid, "key %s: an RSA key of a passkey has at least %d bits", k.Name, minPasskeyRSA)
		}
	}
	if !slices.Contains(PasskeyAlgorithms, alg) {
		return nil, writ.Errorf(writ.Invalid, "key %s: a passkey that signs with COSE algorithm %d does not count; use one with ES256, EdDSA or RS256", k.Name, alg)
	}
	return public, nil
}

const (
	minPasskeyRSA = 2048     // bits
	maxAssertion  = 16 << 10 // bytes
	maxCreation   = 64 << 10 // bytes: an attestation may bring certificates
)

// equal reports whether text is a challenge in base64url.
func equal(text string, challenge [32]byte) bool {
	return subtle.ConstantTimeCompare([]byte(text), []byte(base64.RawURLEncoding.EncodeToString(challenge[:]))) == 1
}

// parsePasskey reads a proof. Nothing may stand in it that is no part of it.
func parsePasskey(proof json.RawMessage) (a assertion, err error) {
	no := func(what string) (assertion, error) {
		return assertion{}, writ.Errorf(writ.Invalid, `the proof is no WebAuthn assertion: %s; it is {"clientDataJSON", "authenticatorData", "signature"}, each in base64url`, what)
	}
	if len(proof) > maxAssertion {
		return no("it is too long")
	}
	var p passkeyProof
	d := json.NewDecoder(bytes.NewReader(proof))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return no("it is not the JSON that is expected")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return no("something follows it")
	}
	for _, part := range []struct {
		to   *[]byte
		from string
	}{{&a.raw, p.ClientData}, {&a.data, p.Authenticator}, {&a.sig, p.Signature}} {
		if *part.to, err = base64.RawURLEncoding.Strict().DecodeString(part.from); err != nil || len(*part.to) == 0 {
			return no("a part of it is damaged")
		}
	}
	if len(a.data) < shortest {
		return no("the authenticator's data is too short")
	}
	if a.client, err = parseClient(a.raw); err != nil {
		return no(err.Error())
	}
	return a, nil
}

// parseClient reads client data by exact names: the member of another case is
// another member. A ceremony within a page of another origin is refused.
func parseClient(raw []byte) (c clientData, err error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return c, errors.New("its client data is no JSON object")
	}
	for name, to := range map[string]*string{"type": &c.Type, "challenge": &c.Challenge, "origin": &c.Origin} {
		if err := json.Unmarshal(members[name], to); err != nil {
			return c, errors.New("its client data has no " + name)
		}
	}
	if cross := members["crossOrigin"]; members["topOrigin"] != nil || cross != nil && string(cross) != "false" {
		return c, errors.New("it was made within a page of another origin")
	}
	return c, nil
}

// Counter returns how often a passkey said it had signed, when it made this
// proof; 0 if it does not count, as synced ones do not. One that went back may
// have been copied.
func Counter(proof json.RawMessage) uint32 {
	a, err := parsePasskey(proof)
	if err != nil {
		return 0
	}
	return binary.BigEndian.Uint32(a.data[33:shortest])
}

// Passkey returns the key that a registration response brings, if it was made
// at origin for this challenge: WebAuthn level 3, section 7.1, with user
// verification. proof is what PublicKeyCredential.toJSON gave. Attestation is
// not asked for, so nothing is known of the maker of the device.
func Passkey(proof json.RawMessage, origin string, challenge [32]byte) (writ.Key, error) {
	rp, err := RPOf(origin)
	if err != nil {
		return writ.Key{}, err
	}
	if len(proof) > maxCreation {
		return writ.Key{}, writ.Errorf(writ.Invalid, "the registration has %d bytes; at most %d are read", len(proof), maxCreation)
	}
	made, err := protocol.ParseCredentialCreationResponseBytes(proof)
	if err != nil {
		return writ.Key{}, writ.Errorf(writ.Invalid, "that is no registration of a passkey; it is what the browser's PublicKeyCredential.toJSON gives")
	}
	client, err := parseClient(made.Raw.AttestationResponse.ClientDataJSON)
	if err != nil || client.Origin != origin || !equal(client.Challenge, challenge) {
		return writ.Key{}, writ.Errorf(writ.Forbidden, "the passkey was made for another challenge or at another place than %s; try again there", origin)
	}
	var params []protocol.CredentialParameter
	for _, alg := range PasskeyAlgorithms {
		params = append(params, protocol.CredentialParameter{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.COSEAlgorithmIdentifier(alg)})
	}
	_, err = made.Verify(client.Challenge, rp, []string{origin}, nil, nil, protocol.TopOriginExplicitVerificationMode,
		false, true, true, nil, params, protocol.AttestationPolicy{}, protocol.SignaturePolicy{})
	if err != nil {
		return writ.Key{}, writ.Errorf(writ.Forbidden, "the registration of the passkey does not hold: %s", strings.TrimSuffix(err.Error(), "."))
	}
	data := made.Response.AttestationObject.AuthData
	if data.Flags.HasBackupState() && !data.Flags.HasBackupEligible() {
		return writ.Key{}, writ.Errorf(writ.Forbidden, "the registration says that a passkey is synced which never can be; use another device")
	}
	sum := sha256.Sum256(data.AttData.CredentialID)
	k := writ.Key{
		Header:     writ.Header{Kind: "key", Name: "passkey-" + hex.EncodeToString(sum[:8])},
		Method:     writ.ByPasskey,
		Public:     base64.RawURLEncoding.EncodeToString(data.AttData.CredentialPublicKey),
		Credential: base64.RawURLEncoding.EncodeToString(data.AttData.CredentialID),
		RP:         rp, Origin: origin, Synced: data.Flags.HasBackupEligible(),
	}
	_, err = coseKey(k)
	return k, err
}
