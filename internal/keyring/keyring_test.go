package keyring

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/writhq/writ"
	"github.com/writhq/writ/evidence"
)

// TestOneFileOfKeys is made once, by whoever comes first, and read by all.
func TestOneFileOfKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "writ.keys")
	origins := make([]string, 8)
	var opening sync.WaitGroup
	for i := range origins {
		opening.Go(func() {
			k, err := Open(path)
			if err != nil {
				t.Error(err)
				return
			}
			origins[i] = k.Origin
		})
	}
	opening.Wait()
	for _, o := range origins {
		if o == "" || o != origins[0] {
			t.Fatalf("servers that start together have different keys: %v", origins)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// TestBadKeyFiles are refused with what to do, and never replaced.
func TestBadKeyFiles(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	if _, err := Open(good); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		text []byte
		mode os.FileMode
		says string
	}{
		"empty":             {nil, 0o600, "restore it from its backup"},
		"cut off":           {text[:len(text)/2], 0o600, "restore it from its backup"},
		"another version":   {bytes.Replace(text, []byte(`"v": 1`), []byte(`"v": 2`), 1), 0o600, "restore it from its backup"},
		"a short seed":      {bytes.Replace(text, []byte(`"log": "`), []byte(`"log": "AAAA`), 1), 0o600, "restore it from its backup"},
		"readable by group": {text, 0o640, "chmod 600"},
	} {
		path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		if err := os.WriteFile(path, test.text, test.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q", name, err, test.says)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, test.text) {
			t.Errorf("%s: the file was changed", name)
		}
	}
}

// TestOnlyOurWrits verify: no other key, algorithm or kind of token passes.
func TestOnlyOurWrits(t *testing.T) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))
	signer, err := NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	good, err := signer.Sign([]byte(`{"v":1}`))
	if err != nil {
		t.Fatal(err)
	}
	if payload, err := signer.Verify(good); err != nil || string(payload) != `{"v":1}` {
		t.Fatalf("%s, %v", payload, err)
	}
	part := strings.Split(good, ".")
	encode := base64.RawURLEncoding.EncodeToString
	for name, jws := range map[string]string{
		"empty":             "",
		"another payload":   part[0] + "." + encode([]byte(`{"v":2}`)) + "." + part[2],
		"no signature":      part[0] + "." + part[1] + ".",
		"alg none":          encode([]byte(`{"alg":"none","typ":"writ+jws"}`)) + "." + part[1] + ".",
		"another key":       signed(t, jose.EdDSA, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, 32)), evidence.WritType),
		"HMAC with our key": signed(t, jose.HS256, []byte(key.Public().(ed25519.PublicKey)), evidence.WritType),
		"another type":      signed(t, jose.EdDSA, key, "JWT"),
	} {
		if _, err := signer.Verify(jws); !errors.Is(err, writ.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func signed(t *testing.T, alg jose.SignatureAlgorithm, key any, kind jose.ContentType) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithType(kind))
	if err != nil {
		t.Fatal(err)
	}
	sig, err := s.Sign([]byte(`{"v":1}`))
	if err != nil {
		t.Fatal(err)
	}
	text, err := sig.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}
