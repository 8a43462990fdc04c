package evidence

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"

	"github.com/go-jose/go-jose/v4"

	"github.com/writhq/writ"
)

// WritType is the "typ" of a writ's JWS, so that no other token passes for one.
const WritType = "writ+jws"

// OpenWrit returns what a JWS in compact form (RFC 7515) signs, if it is a writ
// signed by EdDSA with this key, whatever its header says.
func OpenWrit(jws string, public ed25519.PublicKey) ([]byte, error) {
	sig, err := jose.ParseSignedCompact(jws, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil || len(sig.Signatures) != 1 || sig.Signatures[0].Protected.ExtraHeaders[jose.HeaderType] != WritType {
		return nil, writ.Errorf(writ.Invalid, "this is no signed writ")
	}
	payload, err := sig.Verify(public)
	if err != nil {
		return nil, writ.Errorf(writ.Invalid, "the writ is not signed with this ledger's key")
	}
	return payload, nil
}

// CheckWrit refuses a request whose writ is not signed with this key, or does
// not say exactly what the request says.
func CheckWrit(r writ.Request, public ed25519.PublicKey) error {
	payload, err := OpenWrit(r.Writ, public)
	if err != nil {
		return err
	}
	var o writ.Order
	if err := json.Unmarshal(payload, &o); err != nil {
		return writ.Errorf(writ.Invalid, "the writ of %s cannot be read: %v", r.ID, err)
	}
	return o.Check(r)
}

// writKey returns the key that the ledger says signs its writs.
func writKey(o writ.Opened) (ed25519.PublicKey, error) {
	public, err := base64.StdEncoding.DecodeString(o.WritKey)
	if err != nil || len(public) != ed25519.PublicKeySize {
		return nil, refuse("record 0: the ledger names no key that signs its writs")
	}
	return public, nil
}
