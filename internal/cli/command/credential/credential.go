// Package credential hands a credential to its holder: as lines for a shell, as
// variables of a process, as files.
package credential

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/writhq/writ"
	"github.com/writhq/writ/client"
)

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Environ returns the variables of a credential as NAME=value, sorted. What is
// no variable is left out.
func Environ(c client.Credential) (out []string) {
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		if variable.MatchString(name) && !strings.Contains(c.Env[name], "\x00") {
			out = append(out, name+"="+c.Env[name])
		}
	}
	return out
}

// Lines returns NAME='value' lines that a POSIX shell reads as they are meant.
func Lines(c client.Credential) string {
	var b strings.Builder
	for _, pair := range Environ(c) {
		name, value, _ := strings.Cut(pair, "=")
		fmt.Fprintf(&b, "%s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`))
	}
	return b.String()
}

// Prepare makes sure that a directory is there, can be written to, and holds
// nothing that Write would replace: what is given once must not be lost then.
func Prepare(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return writ.Errorf(writ.Invalid, "%v", err)
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		return writ.Errorf(writ.Invalid, "%s is not empty; give a directory of its own", dir)
	}
	probe, errProbe := os.CreateTemp(dir, ".writ-*")
	if err = errors.Join(err, errProbe); err != nil {
		return writ.Errorf(writ.Invalid, "%v", err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// Files returns the files that a claimed credential is: its own, and its
// variables as credential.env; or, while it is sealed, credential.age.
func Files(got client.Claimed) map[string]string {
	if got.Credential == nil {
		return map[string]string{"credential.age": string(got.Sealed)}
	}
	files := map[string]string{"credential.env": Lines(*got.Credential)}
	maps.Copy(files, got.Credential.Files)
	return files
}

var plain = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// Write writes new files for their owner only. A name that is a path is
// refused: it came from elsewhere.
func Write(dir string, files map[string]string) error {
	for name, text := range files {
		if !plain.MatchString(name) {
			return fmt.Errorf("the credential has a file named %q, which is no plain name", name)
		}
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = f.WriteString(text)
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// Temp writes files into a new directory for their owner only: in memory where
// there is such a place. Whoever calls removes it, also after an error.
func Temp(files map[string]string) (dir string, err error) {
	if dir, err = os.MkdirTemp(os.Getenv("XDG_RUNTIME_DIR"), "writ-"); err != nil {
		dir, err = os.MkdirTemp("", "writ-")
	}
	if err != nil {
		return "", fmt.Errorf("the credential's files have no place: %w", err)
	}
	return dir, Write(dir, files)
}

// Key reads the first age X25519 identity of a file that age-keygen made.
func Key(path string) (*age.X25519Identity, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, writ.Errorf(writ.Invalid, "%v", err)
	}
	defer f.Close()
	identities, err := age.ParseIdentities(io.LimitReader(f, 1<<20))
	for _, i := range identities {
		if key, ok := i.(*age.X25519Identity); ok {
			return key, nil
		}
	}
	return nil, writ.Errorf(writ.Invalid, "%s holds no age X25519 identity (%v); make one with age-keygen", path, cmp.Or(err, io.EOF))
}

// Armored returns a sealed credential as text that age reads.
func Armored(sealed []byte) (string, error) {
	var b strings.Builder
	w := armor.NewWriter(&b)
	_, err := w.Write(sealed)
	err = errors.Join(err, w.Close())
	return b.String(), err
}
