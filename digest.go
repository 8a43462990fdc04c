package writ

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/gowebpki/jcs"
)

// A Digest is "sha256:" and 64 hexadecimal digits.
type Digest string

// Words returns a short form that two people can compare aloud: the first and
// the last eight digits.
func (d Digest) Words() string {
	if len(d) < 23 {
		return string(d)
	}
	return string(d[7:15] + "…" + d[len(d)-8:])
}

// digest returns SHA-256(domain || "\n" || JCS(v)), where JCS is RFC 8785.
// The domain keeps a digest of one kind of thing from passing for another's.
func digest(domain string, v any) (Digest, error) {
	data, err := canonical(v)
	if err != nil {
		return "", err
	}
	return sum(append([]byte(domain+"\n"), data...)), nil
}

func canonical(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return jcs.Transform(data)
}

func sum(data []byte) Digest {
	h := sha256.Sum256(data)
	return Digest("sha256:" + hex.EncodeToString(h[:]))
}

// A Commitment binds free text without carrying it: the text and its salt are
// kept beside the ledger and can be erased there, and the proof still holds.
type Commitment string

// Commit returns SHA-256("writ/text/v1\n" || salt || text). The salt is at
// least 16 random bytes, so that short texts cannot be guessed.
func Commit(salt []byte, text string) (Commitment, error) {
	if len(salt) < 16 {
		return "", fmt.Errorf("salt of %d bytes; at least 16 are needed", len(salt))
	}
	if text == "" {
		return "", nil
	}
	data := append([]byte("writ/text/v1\n"), salt...)
	return Commitment(sum(append(data, text...))), nil
}
