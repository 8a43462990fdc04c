package credential

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/writhq/writ"
	"github.com/writhq/writ/client"
)

// TestLinesMeanWhatTheySay to a real shell, whatever is in a value; and what is
// no variable does not become a command.
func TestLinesMeanWhatTheySay(t *testing.T) {
	values := map[string]string{
		"PLAIN": "secret", "EMPTY": "", "QUOTES": `it's "quoted" \' \\`, "LINES": "one\ntwo\n\nthree",
		"EXPANSION": "$(touch pwned) `touch pwned` $HOME ${X}", "SPACES": "  a  b  ", "UNICODE": "Grüße", "END": `'; touch pwned; '`,
		"_u1": "underscore",
	}
	env := map[string]string{"x; touch pwned; y": "z", "1X": "digit", "A B": "c", "": "nothing", "NUL": "a\x00b", "X=Y": "z"}
	dir := t.TempDir()
	var print strings.Builder
	for name, value := range values {
		env[name] = value
		print.WriteString(`printf '%s\0' "` + name + `=$` + name + `"` + "\n")
	}
	cmd := exec.Command("sh", "-eu", "-c", Lines(client.Credential{Env: env})+print.String())
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got := map[string]string{}
	for pair := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		name, value, _ := strings.Cut(pair, "=")
		got[name] = value
	}
	for name, value := range values {
		if got[name] != value {
			t.Errorf("%s is %q in the shell, want %q", name, got[name], value)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("something ran: %v", left)
	}
}

// TestWriteStaysInItsDirectory: names come from elsewhere.
func TestWriteStaysInItsDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := Write(dir, map[string]string{"tls.key": "k", "ca.pem": "c"}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tls.key", "ca.pem"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	for _, name := range []string{"../up", "/etc/x", "a/b", `a\b`, "..", ".", "", ".hidden", "-f", "a\nb", "a b", "tls.key"} {
		if err := Write(dir, map[string]string{name: "x"}); err == nil {
			t.Errorf("%q was written", name)
		}
	}
	if data, err := os.ReadFile(filepath.Join(dir, "tls.key")); string(data) != "k" {
		t.Errorf("a file that was there is now %q, %v", data, err)
	}
}

// TestTempIsForItsOwner, in memory where there is such a place, else elsewhere.
func TestTempIsForItsOwner(t *testing.T) {
	runtime := t.TempDir()
	for _, in := range []string{runtime, "/no/such/place"} {
		t.Setenv("XDG_RUNTIME_DIR", in)
		dir, err := Temp(map[string]string{"kubeconfig": "x"})
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", dir, info, err)
		}
		if in == runtime && filepath.Dir(dir) != runtime {
			t.Errorf("%s is not in %s", dir, runtime)
		}
	}
}

// TestPrepareRefusesBeforeAnythingIsTaken.
func TestPrepareRefusesBeforeAnythingIsTaken(t *testing.T) {
	full := t.TempDir()
	if err := Write(full, map[string]string{"x": "y"}); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{full, filepath.Join(full, "x"), filepath.Join(full, "x", "y"), "/proc/writ"} {
		if err := Prepare(dir); !errors.Is(err, writ.Invalid) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	fresh := filepath.Join(full, "a", "b")
	if err := Prepare(fresh); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(fresh); err != nil || len(left) > 0 {
		t.Errorf("left in %s: %v, %v", fresh, left, err)
	}
}

// TestArmoredOpensWithAge.
func TestArmoredOpensWithAge(t *testing.T) {
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := Write(dir, map[string]string{"key.txt": "# comment\n" + key.String() + "\n", "none.txt": "nothing\n", "empty": ""}); err != nil {
		t.Fatal(err)
	}
	if got, err := Key(filepath.Join(dir, "key.txt")); err != nil || got.String() != key.String() {
		t.Errorf("%v", err)
	}
	for _, name := range []string{"none.txt", "empty", "missing"} {
		if _, err := Key(filepath.Join(dir, name)); !errors.Is(err, writ.Invalid) || strings.Contains(err.Error(), "AGE-SECRET") {
			t.Errorf("%s: %v", name, err)
		}
	}
	text, err := Armored([]byte("sealed bytes"))
	if err != nil || !strings.HasSuffix(text, "-----END AGE ENCRYPTED FILE-----\n") {
		t.Errorf("%q, %v", text, err)
	}
}
