package cli

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/writhq/writ"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// TestLoginIsKeptPerServer, for its owner only, and replaced by a later one.
func TestLoginIsKeptPerServer(t *testing.T) {
	s := Logins(filepath.Join(t.TempDir(), "writ"))
	for _, l := range []Login{
		{Server: "http://127.0.0.1:7480", Identity: "human/ann", Token: "old"},
		{Server: "http://127.0.0.1:7480/", Identity: "human/ann", Token: "new", Expires: now.Add(time.Hour)},
		{Server: "https://writ.example/team", Identity: "human/max", Token: "other"},
	} {
		path, err := s.Save(l)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	for server, token := range map[string]string{"http://127.0.0.1:7480": "new", "HTTPS://writ.example/team/": "other"} {
		if l, err := s.Load(server, now); err != nil || l.Token != token {
			t.Errorf("%s: got %q, %v", server, l.Token, err)
		}
	}
	if files, _ := os.ReadDir(string(s)); len(files) != 2 {
		t.Errorf("left behind: %v", files)
	}
}

// TestUselessLoginIsUnauthenticated and says what to do.
func TestUselessLoginIsUnauthenticated(t *testing.T) {
	s := Logins(t.TempDir())
	const server = "http://127.0.0.1:7480"
	check := func(what string) {
		t.Helper()
		if l, err := s.Load(server, now); !errors.Is(err, writ.Unauthenticated) {
			t.Errorf("%s: got %v, %v", what, l, err)
		}
	}
	check("none")
	path, err := s.Save(Login{Server: server, Token: "x", Expires: now})
	if err != nil {
		t.Fatal(err)
	}
	check("over")
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	check("broken")
	if _, err := s.Save(Login{Server: server, Token: "x"}); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	check("readable by others")
}
