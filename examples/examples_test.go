// Package examples runs each example as its README says, with the real program
// against real systems.
package examples

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/writhq/writ/internal/realtest"
)

// A program is writ, with a server that serves an example.
type program struct {
	*testing.T
	bin, data, url string
	tokens         map[string]string
	stop           func()
}

// build compiles a package of this module.
func build(t *testing.T, pkg string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), filepath.Base(pkg))
	if out, err := exec.Command("go", "build", "-o", bin, pkg).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// start serves the example in a directory.
func start(t *testing.T, example, data string) *program {
	t.Helper()
	p := &program{T: t, bin: build(t, "github.com/writhq/writ/cmd/writ"), data: data, tokens: map[string]string{}}
	cmd := exec.Command(p.bin, "serve", "--dev", "--config", filepath.Join(example, "writ.yaml"), "--data", data, "--listen", "127.0.0.1:0")
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	p.stop = func() {
		if stopped {
			return
		}
		stopped = true
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server ended with %v", err)
		}
	}
	t.Cleanup(p.stop)
	lines := bufio.NewScanner(said)
	for p.url == "" {
		if !lines.Scan() {
			t.Fatal("the server ended before it served")
		}
		if _, url, ok := strings.Cut(lines.Text(), " serves "); ok {
			p.url = url
		}
	}
	go func() {
		for lines.Scan() { // so that the server never waits for a reader
		}
	}()
	return p
}

// try runs a command as somebody.
func (p *program) try(who string, args ...string) (string, error) {
	p.Helper()
	if who != "" && p.tokens[who] == "" {
		token, err := p.try("", "login", "--as", who, "--server", p.url, "--print")
		if err != nil {
			p.Fatal(err)
		}
		p.tokens[who] = strings.TrimSpace(token)
	}
	cmd := exec.CommandContext(p.Context(), p.bin, args...)
	cmd.Env = append(os.Environ(), "WRIT_SERVER="+p.url, "WRIT_TOKEN="+p.tokens[who])
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("writ %s: %w\n%s", strings.Join(args, " "), err, problem.String())
	}
	return out.String(), nil
}

// run is try for what must succeed.
func (p *program) run(who string, args ...string) string {
	p.Helper()
	out, err := p.try(who, args...)
	if err != nil {
		p.Fatal(err)
	}
	return out
}

// request asks, and returns the id.
func (p *program) request(who string, args ...string) string {
	p.Helper()
	var r struct{ ID, Status, Digest string }
	if err := json.Unmarshal([]byte(p.run(who, append([]string{"request", "-o", "json"}, args...)...)), &r); err != nil || r.Digest == "" {
		p.Fatal(r, err)
	}
	return r.ID
}

// reach waits for a status.
func (p *program) reach(who, id, status string) {
	p.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		var r struct{ Status, Problem string }
		if err := json.Unmarshal([]byte(p.run(who, "show", id, "-o", "json")), &r); err != nil {
			p.Fatal(err)
		}
		if r.Status == status {
			return
		}
		if time.Now().After(deadline) {
			p.Fatalf("%s is %s (%s), not %s", id, r.Status, r.Problem, status)
		}
	}
}

// env claims a credential as environment variables.
func (p *program) env(who, id string) map[string]string {
	p.Helper()
	var c struct {
		Credential struct{ Env map[string]string }
	}
	if err := json.Unmarshal([]byte(p.run(who, "claim", id, "-o", "json")), &c); err != nil {
		p.Fatal(err)
	}
	return c.Credential.Env
}

// verified stops the server and checks what it leaves.
func (p *program) verified() {
	p.Helper()
	p.stop()
	if out := p.run("", "verify", "--data", p.data); !strings.Contains(out, "holds") {
		p.Errorf("writ verify says %s", out)
	}
}

// TestPipelineToPostgres is ci-to-postgres on a real PostgreSQL.
func TestPipelineToPostgres(t *testing.T) {
	super := realtest.Database(t)
	config, err := pgx.ParseConfig(super)
	if err != nil {
		t.Fatal(err)
	}
	const password = "for-this-test-alone"
	example := copyExample(t, "ci-to-postgres", "127.0.0.1:5432/orders", fmt.Sprintf("127.0.0.1:%d/%s", config.Port, config.Database))
	query(t, super, strings.ReplaceAll(read(t, "ci-to-postgres/setup.sql"), ":password", "'"+password+"'"))
	t.Cleanup(func() { query(t, super, "drop owned by writ, migrator; drop role writ, migrator") })
	data := t.TempDir()
	write(t, filepath.Join(data, "secrets", "orders-db"), password)

	p := start(t, example, data)
	id := p.request("service/ci", "orders-db/migrate", "--for", "24h", "--why", "release 42 adds a column")
	p.run("human/lee", "approve", id, "--yes")
	if _, err := p.try("service/ci", "claim", id); err == nil {
		t.Error("a credential was given before security approved")
	}
	if n := roles(t, super); n != 0 {
		t.Errorf("%d roles exist before security approved", n)
	}
	p.run("human/sam", "approve", id, "--yes")
	p.reach("service/ci", id, "active")
	env := p.env("service/ci", id)
	query(t, env["DATABASE_URL"], "alter table orders add column note text")
	p.run("human/sam", "revoke", id, "--why", "the example ends", "--yes")
	p.reach("service/ci", id, "closed")
	if conn, err := pgx.Connect(t.Context(), env["DATABASE_URL"]); err == nil {
		conn.Close(t.Context())
		t.Error("the login works after it was revoked")
	}
	if n := roles(t, super); n != 0 {
		t.Errorf("%d roles are left", n)
	}
	p.verified()
}

// TestPipelineToOpenBao is ci-to-openbao on a real Vault.
func TestPipelineToOpenBao(t *testing.T) {
	v := realtest.Vault(t)
	bao := func(token, name string, args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Env = append(os.Environ(), "BAO="+v.Path, "VAULT_ADDR=http://"+v.Addr, "VAULT_TOKEN="+token, "HOME="+t.TempDir())
		var problem bytes.Buffer
		cmd.Stderr = &problem
		out, err := cmd.Output()
		if err != nil {
			err = fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, problem.String())
		}
		return string(out), err
	}
	if _, err := bao(v.Token, v.Path, "kv", "put", "secret/production/app", "pin=1234"); err != nil {
		t.Fatal(err)
	}
	example := copyExample(t, "ci-to-openbao", "127.0.0.1:8200", v.Addr)
	secretID, err := bao(v.Token, filepath.Join(example, "setup.sh"))
	if err != nil {
		t.Fatal(err)
	}
	none := func(when string) { // each token that Writ makes has a role of its own
		if roles, err := bao(v.Token, v.Path, "list", "auth/token/roles"); err == nil {
			t.Errorf("%s there are token roles: %s", when, roles)
		}
	}
	data := t.TempDir()
	write(t, filepath.Join(data, "secrets", "bao"), secretID)

	p := start(t, example, data)
	id := p.request("service/ci", "secrets/production", "--for", "24h", "--why", "release 42 rolls out")
	p.run("human/lee", "approve", id, "--yes")
	if _, err := p.try("service/ci", "claim", id); err == nil {
		t.Error("a token was given before security approved")
	}
	none("before security approved")
	p.run("human/sam", "approve", id, "--yes")
	p.reach("service/ci", id, "active")
	env := p.env("service/ci", id)
	if roles, err := bao(v.Token, v.Path, "list", "auth/token/roles"); !strings.Contains(roles, "writ-") {
		t.Errorf("there is no token role: %q, %v", roles, err)
	}
	read := []string{"kv", "get", "-field=pin", "secret/production/app"}
	if pin, err := bao(env["VAULT_TOKEN"], v.Path, read...); strings.TrimSpace(pin) != "1234" {
		t.Errorf("the pipeline reads %q, %v", pin, err)
	}
	if _, err := bao(env["VAULT_TOKEN"], v.Path, "kv", "put", "secret/production/app", "pin=0"); err == nil {
		t.Error("the token allows to write")
	}
	p.run("service/ci", "release", id)
	p.reach("service/ci", id, "closed")
	if _, err := bao(env["VAULT_TOKEN"], v.Path, read...); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("the token after its release: %v", err)
	}
	none("after the release")
	p.verified()
}

// TestThirdPartyKey is third-party-api-key with its protected service.
func TestThirdPartyKey(t *testing.T) {
	p := start(t, "third-party-api-key", t.TempDir())
	api := billing(t, p)
	ask := []string{"billing/client", "--as", "service/acme-sync", "--scope", "service=invoices", "--for", "90d", "--why", "the partner fetches its invoices each month"}
	if _, err := p.try("human/dana", append([]string{"request"}, ask...)...); err == nil {
		t.Error("a key was asked for without a ticket")
	}
	id := p.request("human/dana", append(ask, "--ticket", "CHG-1234")...)
	p.run("human/bo", "approve", id, "--yes")
	p.reach("human/dana", id, "active")
	key := p.env("human/dana", id)["WRIT_API_KEY"]
	for path, want := range map[string]int{"/invoices": 200, "/payments": 401} {
		if got := get(t, api+path, key); got != want {
			t.Errorf("%s answers %d, want %d", path, got, want)
		}
	}
	if got := get(t, api+"/invoices", key[:len(key)-1]+"x"); got != 401 {
		t.Errorf("a wrong key is answered with %d", got)
	}
	p.run("human/bo", "revoke", id, "--why", "the contract ended", "--yes")
	p.reach("human/dana", id, "closed")
	if got := get(t, api+"/invoices", key); got != 401 {
		t.Errorf("a revoked key is answered with %d", got)
	}
	p.verified()
}

// billing starts the protected service.
func billing(t *testing.T, p *program) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	p.run("service/billing", "whoami")
	cmd := exec.Command(build(t, "github.com/writhq/writ/examples/third-party-api-key/billing"), address)
	cmd.Env = append(os.Environ(), "WRIT_SERVER="+p.url, "WRIT_TOKEN="+p.tokens["service/billing"])
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return "http://" + address
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func get(t *testing.T, url, key string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

// copyExample copies an example with one text in its documents replaced.
func copyExample(t *testing.T, example, old, replacement string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(example)); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "documents", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		write(t, name, strings.ReplaceAll(read(t, name), old, replacement))
	}
	return dir
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// query runs statements, also when the test is over and cleans up.
func query(t *testing.T, dsn, text string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, text); err != nil {
		t.Fatal(err)
	}
}

// roles counts the login roles that Writ made.
func roles(t *testing.T, dsn string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), `select count(*) from pg_roles where rolname like 'writ\_%'`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
