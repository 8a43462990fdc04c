//go:build unix

package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
)

// openIDProvider is a complete OpenID provider, in a process of its own: its
// arguments are the address to serve at and the redirect URI of client "writ".
// Its people are test-user@127.0.0.1 (sub id1) and test-user2 (sub id2).
func openIDProvider() {
	address, back := os.Args[1], os.Args[2]
	issuer := "http://" + address
	store := storage.NewStorageWithClients(storage.NewUserStore(issuer), map[string]*storage.Client{
		"writ": storage.WebClient("writ", "a secret of the client", back),
	})
	log := slog.New(slog.DiscardHandler)
	fmt.Fprintln(os.Stderr, http.ListenAndServe(address, exampleop.SetupServer(issuer, store, log, false)))
	os.Exit(1)
}

// A process is a program of this test binary, under the name that says which.
type process struct {
	*exec.Cmd
	log string
}

// startChild starts one, and ends it with the test.
func startChild(t *testing.T, dir, name string, args, env []string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.Command(self, args...), log: filepath.Join(dir, name+".log")}
	log, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p.Args[0], p.Stdout, p.Stderr, p.Env = name, log, log, append(os.Environ(), env...)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Process.Signal(syscall.SIGTERM)
		_ = p.Wait()
		if said, err := os.ReadFile(p.log); err == nil && t.Failed() {
			t.Logf("%s said:\n%s", name, said)
		}
	})
	return p
}

// ready waits until an address answers.
func ready(t *testing.T, url string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		res, err := http.Get(url)
		if err == nil {
			res.Body.Close()
		}
		if err == nil && res.StatusCode == http.StatusOK {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not answer: %v", url, err)
		}
	}
}

// freeAddress is one on loopback, where nobody listened a moment ago.
func freeAddress(t *testing.T, host string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return host + strings.TrimPrefix(ln.Addr().String(), "127.0.0.1")
}
