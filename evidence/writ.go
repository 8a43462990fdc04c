package evidence

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"

	"github.com/go-jose/go-jose/v4"

	"github.com/writhq/writ"
)

// The "typ" of what the key of writs signs, so that nothing else passes for it.
const (
	WritType = "writ+jws"
	DeedType = "deed+jws"
)

// Signed returns what a JWS in compact form (RFC 7515) signs, if it is of this
// type and signed by EdDSA with this key, whatever its header says.
func Signed(jws, typ string, public ed25519.PublicKey) ([]byte, error) {
	sig, err := jose.ParseSignedCompact(jws, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil || len(sig.Signatures) != 1 || sig.Signatures[0].Protected.ExtraHeaders[jose.HeaderType] != typ {
		return nil, writ.Errorf(writ.Invalid, "there is no signature of the type %s", typ)
	}
	payload, err := sig.Verify(public)
	if err != nil {
		return nil, writ.Errorf(writ.Invalid, "the %s is not signed with this ledger's key", typ)
	}
	return payload, nil
}

// CheckWrit refuses a request whose writ is not signed with this key, or does
// not say exactly what the request says.
func CheckWrit(r writ.Request, public ed25519.PublicKey) error {
	payload, err := Signed(r.Writ, WritType, public)
	if err != nil {
		return err
	}
	var o writ.Order
	if err := json.Unmarshal(payload, &o); err != nil {
		return writ.Errorf(writ.Invalid, "the writ of %s cannot be read: %v", r.ID, err)
	}
	return o.Check(r)
}

// CheckDeed refuses what is said to have been done at a target unless whoever
// did it signed exactly that with this key.
func CheckDeed(jws string, d writ.Deed, public ed25519.PublicKey) error {
	signed, err := Signed(jws, DeedType, public)
	if err != nil {
		return err
	}
	if says, err := d.Canonical(); err != nil || !bytes.Equal(says, signed) {
		return writ.Errorf(writ.Invalid, "the event says other than what was signed when %s was %s", d.Request, d.Did)
	}
	return nil
}

// WritKey returns the key that the ledger says signs its writs.
func WritKey(o writ.Opened) (ed25519.PublicKey, error) {
	public, err := base64.StdEncoding.DecodeString(o.WritKey)
	if err != nil || len(public) != ed25519.PublicKeySize {
		return nil, refuse("record 0: the ledger names no key that signs its writs")
	}
	return public, nil
}
