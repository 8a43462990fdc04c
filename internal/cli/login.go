package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/writhq/writ"
)

// A Login is what lets its holder speak to a server as an identity.
type Login struct {
	Server   string    `json:"server"`
	Identity writ.Ref  `json:"identity"`
	Token    string    `json:"token"`
	Expires  time.Time `json:"expires,omitzero"` // zero: the token says it itself
}

// Logins is a directory with the tokens that people got with `writ login`: one
// file for each server, readable by its owner only.
type Logins string

// UserLogins returns those of whoever runs the program: os.UserConfigDir()/writ.
func UserLogins() (Logins, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("there is nowhere to keep a login: %w; set WRIT_TOKEN instead", err)
	}
	return Logins(filepath.Join(dir, "writ")), nil
}

// file names the file of a server: its address without what a file name cannot hold.
func (s Logins) file(server string) string {
	name := url.QueryEscape(strings.ToLower(strings.TrimRight(server, "/")))
	return filepath.Join(string(s), "login-"+name+".json")
}

// Load returns the login at a server. writ.Unauthenticated, if there is none or
// it is over.
func (s Logins) Load(server string, now time.Time) (Login, error) {
	path, l := s.file(server), Login{}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return l, writ.Errorf(writ.Unauthenticated, "there is no login at %s; get one with 'writ login', or set WRIT_TOKEN", server)
	}
	if err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return l, writ.Errorf(writ.Unauthenticated, "others can read %s; take that from them with chmod 600 and log in again", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return l, fmt.Errorf("login: %w", err)
	}
	if err := json.Unmarshal(data, &l); err != nil {
		return l, writ.Errorf(writ.Unauthenticated, "%s does not hold a login; get one with 'writ login'", path)
	}
	if !l.Expires.IsZero() && !now.Before(l.Expires) {
		return l, writ.Errorf(writ.Unauthenticated, "the login of %s at %s was over at %s; log in again with 'writ login'", l.Identity, server, l.Expires.UTC().Format(time.RFC3339))
	}
	return l, nil
}

// Save keeps a login in place of an earlier one, and returns the file's name.
func (s Logins) Save(l Login) (path string, err error) {
	if err := os.MkdirAll(string(s), 0o700); err != nil {
		return "", fmt.Errorf("login: %w", err)
	}
	data, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return "", err
	}
	tmp, err := os.CreateTemp(string(s), ".login-*") // 0600 from the start
	if err != nil {
		return "", fmt.Errorf("login: %w", err)
	}
	path = s.file(l.Server)
	_, err = tmp.Write(append(data, '\n'))
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return "", errors.Join(fmt.Errorf("login: %w", err), os.Remove(tmp.Name()))
	}
	return path, nil
}
