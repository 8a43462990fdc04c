package mint

import (
	"fmt"
	"hash/crc32"
	"io"
	"strings"

	"github.com/writhq/writ/connector"
)

// An API key reads writ_<live|test>_<key id, 10><secret, 32><checksum, 6>, with
// one more underscore before the secret. The checksum is the CRC-32 (IEEE) of
// everything before it, so that a scanner can tell a key from a look-alike
// without asking anybody. All three parts are base 62, digits first.
const (
	keyMark   = "writ_"
	keyTier   = 4 // "live" or "test"
	keyIDAt   = len(keyMark) + keyTier + 1
	keyIDLen  = 10
	secretAt  = keyIDAt + keyIDLen + 1
	secretLen = 32
	sumAt     = secretAt + secretLen
	sumLen    = 6
	keyLen    = sumAt + sumLen

	base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// apiKey makes an API key. Its secret is known only to whoever gets it.
func (m *Mint) apiKey(o connector.Order) (Made, error) {
	tier := "test"
	if o.Environment == "production" {
		tier = "live"
	}
	text, err := randomText(m.cfg.Random, keyIDLen+secretLen)
	if err != nil {
		return Made{}, err
	}
	id := text[:keyIDLen]
	key := keyMark + tier + "_" + id + "_" + text[keyIDLen:]
	key += checksum(key)
	return Made{
		ID:          id,
		Fingerprint: key[:keyIDAt+keyIDLen],
		Text:        connector.Conceal(key),
		Env:         map[string]connector.Secret{"WRIT_API_KEY": connector.Conceal(key)},
	}, nil
}

// randomText returns n base 62 characters, each equally likely.
func randomText(random io.Reader, n int) (string, error) {
	const fair = 256 - 256%len(base62)
	var b [64]byte
	text := make([]byte, 0, n)
	for len(text) < n {
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return "", fmt.Errorf("issuer: the random source gave nothing: %w", err)
		}
		for _, c := range b {
			if int(c) < fair && len(text) < n {
				text = append(text, base62[int(c)%len(base62)])
			}
		}
	}
	return string(text), nil
}

func checksum(s string) string {
	text := [sumLen]byte{}
	n := crc32.ChecksumIEEE([]byte(s))
	for i := sumLen - 1; i >= 0; i-- {
		text[i] = base62[n%uint32(len(base62))]
		n /= uint32(len(base62))
	}
	return string(text[:])
}

// parseKey returns the id in an API key, or its flaw.
func parseKey(key string) (id string, flaw Flaw) {
	rest, marked := strings.CutPrefix(key, keyMark)
	tier, _, _ := strings.Cut(rest, "_")
	if !marked || len(key) != keyLen || (tier != "live" && tier != "test") || key[secretAt-1] != '_' {
		return "", Malformed
	}
	id = key[keyIDAt : keyIDAt+keyIDLen]
	for _, part := range []string{id, key[secretAt:]} {
		for _, c := range []byte(part) {
			if !('0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z') {
				return "", Malformed
			}
		}
	}
	if checksum(key[:sumAt]) != key[sumAt:] {
		return "", Checksum
	}
	return id, ""
}
