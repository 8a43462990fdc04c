package assent

import (
	"encoding/json"

	"github.com/writhq/writ"
)

// Verify checks that e is k's signature over writ.Challenge(e.Nonce, digest, d).
// It refuses with writ.Invalid what is no evidence, and with writ.Forbidden what
// is evidence of something else.
func Verify(e writ.Evidence, k writ.Key, digest writ.Digest, d writ.Decision) error {
	challenge, err := writ.Challenge(e.Nonce, digest, d)
	if err != nil {
		return err
	}
	if e.Key != k.Name || e.KeyUID != k.UID || e.Method != k.Method {
		return writ.Errorf(writ.Forbidden, "the evidence names key %s (%s), not %s (%s)", e.Key, e.Method, k.Name, k.Method)
	}
	switch e.Method {
	case writ.BySSH:
		return verifySSH(e.Proof, k, ApprovalNamespace, challenge[:])
	case writ.ByPasskey:
		return verifyPasskey(e.Proof, k, challenge)
	}
	return writ.Errorf(writ.Forbidden, "evidence by %q is not of a key; use an ssh key or a passkey", e.Method)
}

// VerifyEnrol checks that whoever sent proof has k and meant to enrol it as that
// person: it is k's signature over writ.EnrolChallenge(nonce, who).
func VerifyEnrol(k writ.Key, proof json.RawMessage, nonce []byte, who writ.Party) error {
	challenge, err := writ.EnrolChallenge(nonce, who)
	if err != nil {
		return err
	}
	if k.Method == writ.BySSH {
		return verifySSH(proof, k, EnrolNamespace, challenge[:])
	}
	return writ.Errorf(writ.Invalid, "a key that signs by %q is not enrolled this way; use an ssh key", k.Method)
}
