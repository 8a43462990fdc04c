package rest

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/internal/realtest"
)

func client(t *testing.T, address, caFile string) *Client {
	t.Helper()
	c, err := New(address, caFile, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// TestHostileAnswers is about what stands where the server should.
func TestHostileAnswers(t *testing.T) {
	var reached bool
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	t.Cleanup(other.Close)
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request)
		want   string
	}{
		"a redirect":        {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL+r.URL.Path, 307) }, "sends on"},
		"an endless answer": {endless, "longer than 16 MiB"},
		"a page of a proxy": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, "none of OpenBao's"},
		"a 404 of a proxy":  {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no such page: secret", 404) }, "answers 404 Not Found"},
		"a 404 in JSON":     {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "{}", 404) }, "answers 404 Not Found"},
		"a 404 that has a cause": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"errors":["no handler for route"]}`, 404)
		}, "no handler"},
	} {
		server := httptest.NewServer(http.HandlerFunc(c.answer))
		_, err := client(t, server.URL, "").Ask(t.Context(), "s.token", "GET", "secret/x", nil)
		server.Close()
		if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, ErrMissing) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if reached {
		t.Error("the redirect was followed")
	}
}

func endless(w http.ResponseWriter, _ *http.Request) {
	for line := []byte(strings.Repeat(" ", 1<<20)); ; {
		if _, err := w.Write(line); err != nil {
			return
		}
	}
}

func TestServerIsVouchedFor(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"data":{}}`)) }))
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := client(t, server.URL, ca).Ask(t.Context(), "", "GET", "x", nil); err != nil {
		t.Errorf("with its authority: %v", err)
	}
	if _, err := client(t, server.URL, "").Ask(t.Context(), "", "GET", "x", nil); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without: %v", err)
	}
	for _, broken := range []string{os.DevNull, filepath.Join(t.TempDir(), "none")} {
		if _, err := New(server.URL, broken, ""); err == nil {
			t.Errorf("%s is taken for certificates", broken)
		}
	}
}

// root asks the real server as its root.
func root(t *testing.T, method, path string, body any) Answer {
	t.Helper()
	v := realtest.Vault(t)
	a, err := client(t, "http://"+v.Addr, "").Ask(t.Context(), v.Token, method, path, body)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return a
}

// TestGivenTokenIsRenewed has a token of one minute that a call renews at half of it.
func TestGivenTokenIsRenewed(t *testing.T) {
	made := root(t, "POST", "auth/token/create", map[string]any{"period": "1m", "policies": []string{"default"}})
	a := NewAccount(client(t, "http://"+realtest.Vault(t).Addr, ""), Login{TokenFrom: "env:T"}, func(ref string) (connector.Secret, error) {
		return connector.Conceal(made.Auth.Token), nil
	})
	token, err := a.Speak(t.Context())
	if err != nil || token != made.Auth.Token || a.next.IsZero() {
		t.Fatalf("%v, next %s", err, a.next)
	}
	first := a.next
	if _, err := a.Speak(t.Context()); err != nil || a.next != first {
		t.Errorf("renewed again at once: %v", err)
	}
	a.next = a.next.Add(-31e9)
	if _, err := a.Speak(t.Context()); err != nil || !a.next.After(first.Add(-31e9)) {
		t.Errorf("not renewed after half of its life: %v", err)
	}
	a.Leave(t.Context())
	root(t, "POST", "auth/token/lookup-accessor", map[string]string{"accessor": made.Auth.Accessor}) // it was not ours to end
	if a.Forget(t.Context(), token) {
		t.Error("a token that was given cannot be had anew")
	}
}

// TestLoginIsOurs has a login of an AppRole, which ends with the account.
func TestLoginIsOurs(t *testing.T) {
	root(t, "POST", "sys/auth/logins", map[string]any{"type": "approle"})
	t.Cleanup(func() {
		v := realtest.Vault(t)
		_, _ = client(t, "http://"+v.Addr, "").Ask(context.Background(), v.Token, "DELETE", "sys/auth/logins", nil)
	})
	root(t, "POST", "auth/logins/role/writ", map[string]any{"token_ttl": "1h", "bind_secret_id": true})
	root(t, "POST", "auth/logins/role/writ/role-id", map[string]string{"role_id": "writ"})
	secret := "wrong"
	a := NewAccount(client(t, "http://"+realtest.Vault(t).Addr, ""), Login{RoleID: "writ", SecretIDFrom: "env:S", Mount: "logins"}, func(string) (connector.Secret, error) {
		return connector.Conceal(secret), nil
	})
	if _, err := a.Speak(t.Context()); err == nil || !strings.Contains(err.Error(), "auth/logins") {
		t.Errorf("with a wrong secret id: %v", err)
	}
	var made struct {
		Secret string `json:"secret_id"`
	}
	decode(t, root(t, "POST", "auth/logins/role/writ/secret-id", map[string]string{}), &made)
	secret = made.Secret
	first, err := a.Speak(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := a.Speak(t.Context()); err != nil || again != first {
		t.Errorf("logged in twice: %v", err)
	}
	if !a.Forget(t.Context(), first) {
		t.Error("there can be no other login")
	}
	second, err := a.Speak(t.Context())
	if err != nil || second == first {
		t.Errorf("no other login: %v", err)
	}
	a.Leave(t.Context())
	if _, err := a.client.Ask(t.Context(), second, "GET", "auth/token/lookup-self", nil); !Denied(err) {
		t.Errorf("the login lives on: %v", err)
	}
}

func decode(t *testing.T, a Answer, v any) {
	t.Helper()
	if err := json.Unmarshal(a.Data, v); err != nil {
		t.Fatal(err)
	}
}
