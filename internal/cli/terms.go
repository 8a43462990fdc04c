package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/gowebpki/jcs"

	"github.com/writhq/writ"
)

// Part returns a member of a JSON object as it stands there.
func Part(data json.RawMessage, name string) json.RawMessage {
	var members map[string]json.RawMessage
	if json.Unmarshal(data, &members) != nil {
		return nil
	}
	return members[name]
}

// DigestOf returns SHA-256("writ/terms/v1\n" || JCS(terms)) of terms as they
// came, with whatever this program does not know in them: the digest then
// stands for all that is shown.
func DigestOf(terms json.RawMessage) (writ.Digest, error) {
	canonical, err := jcs.Transform(terms)
	if err != nil {
		return "", writ.Errorf(writ.Stale, "the terms cannot be hashed (%v); nothing is approved", err)
	}
	sum := sha256.Sum256(append([]byte("writ/terms/v1\n"), canonical...))
	return writ.Digest("sha256:" + hex.EncodeToString(sum[:])), nil
}
