package writ

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// A vector is a hash that another program came to, from the standard alone.
type vector struct {
	Name   string
	Domain string
	Input  json.RawMessage
	JCS    string
	SHA256 string // hexadecimal
	Digest string // "sha256:" and the same
	Salt   string
	Text   string
}

func vectors(t *testing.T, file string) (out []vector) {
	t.Helper()
	data, err := os.ReadFile("testdata/vectors/" + file)
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	if err != nil || len(out) == 0 {
		t.Fatalf("%s: %d vectors, %v", file, len(out), err)
	}
	return out
}

// TestCanonicalVectors: JCS and SHA-256 over it, RFC 8785.
func TestCanonicalVectors(t *testing.T) {
	for _, v := range vectors(t, "jcs.json") {
		got, err := canonical(v.Input)
		if err != nil || string(got) != v.JCS {
			t.Errorf("%s: %v\n%s\nwant\n%s", v.Name, err, got, v.JCS)
		}
		if hash := sha256.Sum256(got); v.Domain == "" && hex.EncodeToString(hash[:]) != v.SHA256 {
			t.Errorf("%s: hash %x", v.Name, hash)
		}
		if digest, _ := digest(v.Domain, v.Input); v.Domain != "" && digest != Digest("sha256:"+v.SHA256) {
			t.Errorf("%s: %s", v.Name, digest)
		}
	}
}

// TestDigestVectors reads each kind of thing that is hashed from JSON, as
// anybody may write it, and comes to the digest that another program came to.
func TestDigestVectors(t *testing.T) {
	check := func(file string, read func([]byte) (content []byte, sum Digest, err error)) {
		for _, v := range vectors(t, file) {
			content, sum, err := read(v.Input)
			if err != nil || string(content) != v.JCS || sum != Digest(v.Digest) {
				t.Errorf("%s, %s: %v\n%s %s\nwant\n%s %s", file, v.Name, err, sum, content, v.Digest, v.JCS)
			}
		}
	}
	check("terms.json", func(data []byte) ([]byte, Digest, error) {
		var terms Terms
		if err := json.Unmarshal(data, &terms); err != nil {
			return nil, "", err
		}
		digest, _ := terms.Digest()
		content, err := terms.Canonical()
		return content, digest, err
	})
	check("verdict.json", func(data []byte) ([]byte, Digest, error) {
		var verdict Verdict
		if err := json.Unmarshal(data, &verdict); err != nil {
			return nil, "", err
		}
		digest, _ := verdict.Digest()
		content, err := canonical(verdict)
		return content, digest, err
	})
	check("order.json", func(data []byte) ([]byte, Digest, error) {
		var order Order
		if err := json.Unmarshal(data, &order); err != nil {
			return nil, "", err
		}
		digest, _ := digest("writ/order/v1", order)
		content, err := order.Canonical()
		return content, digest, err
	})
	check("document.json", func(data []byte) ([]byte, Digest, error) {
		doc, err := ParseDocument(data)
		if err != nil {
			return nil, "", err
		}
		h := doc.Head()
		h.UID, h.Version, h.Digest = "ide-01", 7, "sha256:other"
		return body(doc.withHead(h))
	})
}

func TestCommitmentVectors(t *testing.T) {
	for _, v := range vectors(t, "commitment.json") {
		salt, err := hex.DecodeString(v.Salt)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Commit(salt, v.Text); err != nil || string(got) != v.Digest {
			t.Errorf("%q: got %s, %v", v.Text, got, err)
		}
	}
	if c, err := Commit(make([]byte, 15), "short"); err == nil {
		t.Errorf("a salt of 15 bytes was taken: %s", c)
	}
	a, _ := Commit(bytes.Repeat([]byte{1}, 16), "x")
	b, _ := Commit(bytes.Repeat([]byte{1}, 17), "x")
	if a == b {
		t.Error("two salts, one commitment")
	}
}

// TestTwoThingsNeverHaveOneDigest: the domain tells kinds of things apart.
func TestTwoThingsNeverHaveOneDigest(t *testing.T) {
	seen := map[Digest]string{}
	for _, domain := range []string{"writ/terms/v1", "writ/verdict/v1", "writ/order/v1", "writ/document/v1", "writ/hold/v1"} {
		d, err := digest(domain, map[string]string{})
		if other, ok := seen[d]; ok || err != nil {
			t.Errorf("%s and %s have the digest %s, %v", domain, other, d, err)
		}
		seen[d] = domain
	}
}

func TestWords(t *testing.T) {
	for digest, words := range map[Digest]string{
		Digest("sha256:0123456789abcdef" + strings.Repeat("0", 40) + "fedcba98"): "01234567…fedcba98",
		"sha256:short": "sha256:short",
		"":             "",
	} {
		if got := digest.Words(); got != words {
			t.Errorf("%s in words is %s", digest, got)
		}
	}
}

// TestWhatHasNoDigest: two readers of one text must not read two things.
func TestWhatHasNoDigest(t *testing.T) {
	for what, text := range map[string]string{
		"two members of one name": `{"role":"deploy","role":"admin"}`,
		"no JSON":                 `{"role":`,
		"a number beyond doubles": `{"n":1e400}`,
		"broken UTF-8":            "{\"n\":\"\xff\"}",
		"half a surrogate pair":   `{"n":"\ud800"}`,
	} {
		if d, err := digest("writ/test/v1", json.RawMessage(text)); err == nil {
			t.Errorf("%s: digest %s", what, d)
		}
	}
}
