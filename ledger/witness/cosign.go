package witness

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/transparency-dev/formats/log"
	cosignature "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/writhq/writ/ledger"
)

// A Cosigned is a checkpoint and whose cosignatures on it hold.
type Cosigned struct {
	ledger.Checkpoint
	By map[string]time.Time // witness by its name in the policy, and when it cosigned
}

// NewVerifier returns the verifier of a witness's key: c2sp.org/tlog-cosignature
// with Ed25519 (signature type 0x04) or ML-DSA-44 (0x06). The key of a log is
// refused: the same key must not speak as both.
func NewVerifier(vkey string) (note.Verifier, error) {
	v, err := cosignature.NewVerifierForCosignatureV1(vkey)
	if err != nil || !names(v, vkey) { // the library takes a log's key for a witness's, and ignores the id
		return nil, fmt.Errorf("witness: %q is not the verifier key of a witness; it reads <name>+<id>+<key>, as 'writ witness --print-key' shows it", vkey)
	}
	return v, nil
}

// newLogVerifier returns the verifier of a log's key, of whatever kind.
func newLogVerifier(vkey string) (note.Verifier, error) {
	v, err := cosignature.NewVerifier(vkey)
	if err != nil || !names(v, vkey) {
		return nil, fmt.Errorf("witness: %q is not the verifier key of a log; it reads <origin>+<id>+<key>, as 'writ verify' shows it", vkey)
	}
	return v, nil
}

// names reports whether a verifier key begins with the name and id of the key
// that was read from it.
func names(v note.Verifier, vkey string) bool {
	return strings.HasPrefix(vkey, fmt.Sprintf("%s+%08x+", v.Name(), v.KeyHash()))
}

// material returns the public key in a verifier key: two with the same are one
// key under two names.
func material(vkey string) string { return vkey[strings.LastIndex(vkey, "+")+1:] }

// NewKey makes the keys of a witness with this name, one Ed25519 and one
// ML-DSA-44. The specification wants the second, and that nobody is cut off who
// cannot check it yet: a witness answers with both. The name should be its URL
// without scheme. What is secret and what is public are in the same order.
func NewKey(name string) (secret, public []string, err error) {
	short, vkey, err := note.GenerateKey(rand.Reader, name)
	if err == nil {
		vkey, err = cosignature.VKeyToCosignatureV1(vkey)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("witness: %q cannot name a witness; use its URL without scheme, such as witness.example.com", name)
	}
	long, longKey, err := cosignature.GenerateMLDSAKey(name)
	return []string{short, long}, []string{vkey, longKey}, err
}

// NewSigners returns the signers of the secret keys that NewKey made.
func NewSigners(secret []string) ([]note.Signer, error) {
	var out []note.Signer
	for _, skey := range secret {
		s, err := cosignature.NewSignerForCosignatureV1(skey)
		if err != nil {
			return nil, errors.New("witness: a secret key cannot be read; restore the key file from its backup")
		}
		out = append(out, s)
	}
	return out, nil
}

// parse reads the text of a checkpoint, as c2sp.org/tlog-checkpoint writes it.
// Extension lines may follow the three that count.
func parse(text string) (ledger.Checkpoint, error) {
	bad := errors.New("witness: this is not a checkpoint; it is an origin, a size and a root in standard base64, a line each")
	var c log.Checkpoint
	rest, err := c.Unmarshal([]byte(text))
	if err != nil || len(c.Hash) != len(ledger.Hash{}) || c.Size > ledger.MaxSize {
		return ledger.Checkpoint{}, bad
	}
	if string(c.Marshal())+string(rest) != text || strings.Contains(text, "\n\n") {
		return ledger.Checkpoint{}, bad
	}
	return ledger.Checkpoint{Origin: c.Origin, Size: int64(c.Size), Root: ledger.Hash(c.Hash)}, nil
}

// signedAt returns when a cosignature was made, as it says.
func signedAt(s note.Signature) time.Time {
	at, err := cosignature.CoSigV1Timestamp(s)
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}
