package keyring

import (
	"crypto/ed25519"
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"github.com/writhq/writ"
)

// A Signer signs and checks writs and deeds: JWS compact (RFC 7515) with EdDSA
// and the ledger's own key, whatever a header says.
type Signer struct {
	signers map[jose.ContentType]jose.Signer
	public  ed25519.PublicKey
}

// The "typ" of what is signed, so that nothing else passes for it.
const (
	writType jose.ContentType = "writ+jws"
	deedType jose.ContentType = "deed+jws"
)

// NewSigner returns the signer with this key.
func NewSigner(key ed25519.PrivateKey) (*Signer, error) {
	out := &Signer{map[jose.ContentType]jose.Signer{}, key.Public().(ed25519.PublicKey)}
	for _, typ := range []jose.ContentType{writType, deedType} {
		s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: key}, (&jose.SignerOptions{}).WithType(typ))
		if err != nil {
			return nil, err
		}
		out.signers[typ] = s
	}
	return out, nil
}

// NewVerifier returns a signer that can only check.
func NewVerifier(public ed25519.PublicKey) *Signer { return &Signer{public: public} }

// Sign returns the JWS of a writ.
func (s *Signer) Sign(payload []byte) (string, error) { return s.sign(writType, payload) }

// Attest returns the JWS of a deed.
func (s *Signer) Attest(payload []byte) (string, error) { return s.sign(deedType, payload) }

// Verify returns the writ that was signed.
func (s *Signer) Verify(jws string) ([]byte, error) { return s.verify(writType, "writ", jws) }

// Attested returns the deed that was signed.
func (s *Signer) Attested(jws string) ([]byte, error) { return s.verify(deedType, "deed", jws) }

func (s *Signer) sign(typ jose.ContentType, payload []byte) (string, error) {
	signer, ok := s.signers[typ]
	if !ok {
		return "", writ.Errorf(writ.Unavailable, "this process has no key of writs; the provisioner has it")
	}
	sig, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("not signed: %w", err)
	}
	return sig.CompactSerialize()
}

func (s *Signer) verify(typ jose.ContentType, what, jws string) ([]byte, error) {
	sig, err := jose.ParseSignedCompact(jws, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil || len(sig.Signatures) != 1 || sig.Signatures[0].Protected.ExtraHeaders[jose.HeaderType] != string(typ) {
		return nil, writ.Errorf(writ.Invalid, "this is no signed %s", what)
	}
	payload, err := sig.Verify(s.public)
	if err != nil {
		return nil, writ.Errorf(writ.Invalid, "the %s is not signed with this ledger's key", what)
	}
	return payload, nil
}
