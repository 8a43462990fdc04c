package state

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/writhq/writ/ledger/witness"
)

// TestSwapComparesAcrossProcesses: each DB stands for a process of its own.
func TestSwapComparesAcrossProcesses(t *testing.T) {
	dir := t.TempDir()
	var both [2]*DB
	for i := range both {
		db, err := Open(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		both[i] = db
		defer db.Close()
	}
	for _, step := range []struct {
		by        int
		was, note string
		want      error
	}{
		{0, "", "one", nil}, {1, "", "uno", witness.Moved}, {1, "one", "two", nil}, {0, "one", "due", witness.Moved}, {0, "two", "two", nil}, {0, "", "anew", witness.Moved},
	} {
		if err := both[step.by].Swap(t.Context(), "log", step.was, step.note); !errors.Is(err, step.want) {
			t.Errorf("%+v: %v", step, err)
		}
	}
	for _, db := range both {
		if note, err := db.Latest(t.Context(), "log"); err != nil || note != "two" {
			t.Errorf("%q %v", note, err)
		}
		if note, err := db.Latest(t.Context(), "other"); err != nil || note != "" {
			t.Errorf("%q %v", note, err)
		}
	}
}

// TestKeysAreMadeOnce, and for the witness's own user alone.
func TestKeysAreMadeOnce(t *testing.T) {
	dir := t.TempDir()
	first, err := OpenKeys(dir, "witness.example")
	if err != nil {
		t.Fatal(err)
	}
	second, err := OpenKeys(dir, "other.example")
	if err != nil || second.Public[0] != first.Public[0] || second.Secret[1] != first.Secret[1] {
		t.Fatalf("%v %v", second.Public, err)
	}
	if _, err := OpenKeys(t.TempDir(), "no name"); err == nil {
		t.Error("a name with a space is none")
	}
	path := filepath.Join(dir, "witness.keys")
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKeys(dir, ""); err == nil {
		t.Error("others can read the keys")
	}
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKeys(dir, ""); err == nil {
		t.Error("a damaged file was read, or replaced")
	}
}
