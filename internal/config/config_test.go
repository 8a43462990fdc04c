package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestComplete serves what is safe and refuses what is not, each with what to do.
func TestComplete(t *testing.T) {
	for name, test := range map[string]struct {
		c    Config
		want string
	}{
		"dev on loopback":               {Config{Dev: true, Data: "d"}, ""},
		"dev on all addresses":          {Config{Dev: true, Data: "d", Listen: ":7480"}, "loopback only"},
		"nobody could call":             {Config{Data: "d"}, "issuers is empty"},
		"no place for state":            {Config{Dev: true}, "--data DIR"},
		"open without TLS":              {Config{Data: "d", Listen: "0.0.0.0:1", Issuers: []Issuer{{URL: "u", Audience: "a"}}}, "behindProxy"},
		"audience is required":          {Config{Data: "d", Issuers: []Issuer{{URL: "u"}}}, "needs url and audience"},
		"open behind a proxy":           {Config{Data: "d", Listen: "0.0.0.0:1", Proxied: true, Issuers: []Issuer{{URL: "u", Audience: "a"}}}, ""},
		"a key without its certificate": {Config{Data: "d", Dev: true, TLS: TLS{Key: "k"}}, "both cert and key"},
	} {
		_, err := test.c.Complete()
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}

// TestUnknownField is refused with its place.
func TestUnknownField(t *testing.T) {
	path := filepath.Join(t.TempDir(), "writ.yaml")
	if err := os.WriteFile(path, []byte("listen: 127.0.0.1:1\nlissen: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path); err == nil || !strings.Contains(err.Error(), `[2:1] unknown field "lissen"`) {
		t.Fatalf("got %v", err)
	}
}

// TestSecretsStayInside lets documents refer to what is meant for them, and to
// nothing else the server could read.
func TestSecretsStayInside(t *testing.T) {
	dir := t.TempDir()
	c := Config{Secrets: filepath.Join(dir, "secrets")}
	if err := os.Mkdir(c.Secrets, 0o700); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{"secrets/db": "inside\n", "writ.keys": "outside"} {
		if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("WRIT_SECRET_DB", "ours")
	for ref, want := range map[string]string{"file:db": "inside", "env:WRIT_SECRET_DB": "ours"} {
		if s, err := c.Secret(ref); err != nil || s.Reveal() != want {
			t.Errorf("%s: got %v", ref, err)
		}
	}
	for _, ref := range []string{"file:../writ.keys", "file:" + dir + "/writ.keys", "env:PATH", "env:WRIT_TOKEN", "db", "file:absent"} {
		if s, err := c.Secret(ref); err == nil || s.Reveal() != "" {
			t.Errorf("%s was given out", ref)
		}
	}
}
