package keyring

import (
	"crypto/ed25519"
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"github.com/writhq/writ"
	"github.com/writhq/writ/evidence"
)

// A Signer signs writs and deeds: JWS compact (RFC 7515) with EdDSA and the
// ledger's own key.
type Signer struct {
	signers map[string]jose.Signer // by type
	public  ed25519.PublicKey
}

// NewSigner returns the signer with this key.
func NewSigner(key ed25519.PrivateKey) (*Signer, error) {
	out := &Signer{map[string]jose.Signer{}, key.Public().(ed25519.PublicKey)}
	for _, typ := range []string{evidence.WritType, evidence.DeedType} {
		s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: key}, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
		if err != nil {
			return nil, err
		}
		out.signers[typ] = s
	}
	return out, nil
}

// Sign returns the JWS of a writ.
func (s *Signer) Sign(payload []byte) (string, error) { return s.sign(evidence.WritType, payload) }

// Attest returns the JWS of a deed.
func (s *Signer) Attest(payload []byte) (string, error) { return s.sign(evidence.DeedType, payload) }

// Verify returns the writ that was signed with the same key.
func (s *Signer) Verify(jws string) ([]byte, error) {
	return evidence.Signed(jws, evidence.WritType, s.public)
}

func (s *Signer) sign(typ string, payload []byte) (string, error) {
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
