package keyring

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSplit gives each part what it needs and nothing of the other's.
func TestSplit(t *testing.T) {
	dir := t.TempDir()
	path, out := filepath.Join(dir, "writ.keys"), filepath.Join(dir, "provisioner.keys")
	whole, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	before, err := read(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := Split(path, out); err != nil {
		t.Fatal(err)
	}
	server, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	provisioner, err := Read(out)
	if err != nil {
		t.Fatal(err)
	}
	if server.Grants() || !server.Serves() || !provisioner.Grants() || provisioner.Serves() {
		t.Errorf("server grants %v and serves %v, provisioner %v and %v", server.Grants(), server.Serves(), provisioner.Grants(), provisioner.Serves())
	}
	for _, k := range []*Keys{server, provisioner} {
		if !k.Public.Equal(whole.Public) || !k.Log.Equal(whole.Log) || k.Origin != whole.Origin || k.Recipient.String() != whole.Claims.Recipient().String() {
			t.Error("what both need is not what it was")
		}
	}
	if !provisioner.Writ.Equal(whole.Writ) || server.Claims.String() != whole.Claims.String() || !server.Dev.Equal(whole.Dev) {
		t.Error("a key was changed by moving it")
	}
	mine, err := read(path)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := read(out)
	if err != nil {
		t.Fatal(err)
	}
	if mine.Writ != nil || mine.Issuer != "" || theirs.Claims != "" || theirs.Dev != nil || theirs.Issuer != before.Issuer {
		t.Error("a secret is in both files")
	}
	if err := Split(path, filepath.Join(dir, "again")); err == nil || !strings.Contains(err.Error(), "one part of a split file") {
		t.Errorf("split twice: %v", err)
	}
}

// TestSplitOverwritesNothing, and one that was interrupted is finished.
func TestSplitOverwritesNothing(t *testing.T) {
	dir := t.TempDir()
	path, out := filepath.Join(dir, "writ.keys"), filepath.Join(dir, "provisioner.keys")
	if _, err := Open(path); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"something": "of somebody's", "a whole file": string(whole)} {
		if err := os.WriteFile(out, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Split(path, out); err == nil || !strings.Contains(err.Error(), "holds something else") {
			t.Errorf("over %s: %v", name, err)
		}
		a, errA := os.ReadFile(path)
		b, errB := os.ReadFile(out)
		if errA != nil || errB != nil || !bytes.Equal(a, whole) || string(b) != text {
			t.Errorf("over %s: a file was changed", name)
		}
	}
	if err := os.Remove(out); err != nil {
		t.Fatal(err)
	}
	if err := Split(path, out); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil { // as if it had ended in between
		t.Fatal(err)
	}
	if err := Split(path, out); err != nil {
		t.Fatal(err)
	}
	if k, err := Open(path); err != nil || k.Grants() {
		t.Errorf("the second try did not finish: %v", err)
	}
}

// TestHalfAPartIsDamaged: a file that lacks what its part needs is refused.
func TestHalfAPartIsDamaged(t *testing.T) {
	dir := t.TempDir()
	path, out := filepath.Join(dir, "writ.keys"), filepath.Join(dir, "provisioner.keys")
	if _, err := Open(path); err != nil {
		t.Fatal(err)
	}
	if err := Split(path, out); err != nil {
		t.Fatal(err)
	}
	for name, field := range map[string]string{path: "writKey claims dev log", out: "recipient writ log"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for f := range strings.FieldsSeq(field) {
			bad := bytes.Replace(text, []byte(`"`+f+`": "`), []byte(`"`+f+`": "AAAA`), 1) // one that is too long
			if err := os.WriteFile(name, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(name); err == nil {
				t.Errorf("%s with a bad %s was read", filepath.Base(name), f)
			}
		}
	}
}
