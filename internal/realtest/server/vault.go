package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A Vault is a running HashiCorp Vault that keeps everything in memory, listens
// on loopback only, without TLS, and has a key-value engine at secret/.
type Vault struct {
	Addr  string // host:port
	Token string // of its root
	Path  string // of the program, which is its command line, too

	process *process
}

// StartVault starts a Vault and returns once it serves, after less than a second.
// The context bounds the start only. Without the program, which "make tools"
// builds, the error is ErrMissing.
func StartVault(ctx context.Context) (v *Vault, err error) {
	bin, err := vaultBin()
	if err != nil {
		return nil, err
	}
	for range 3 { // a port taken in between is tried anew
		if v, err = startVault(ctx, bin); err == nil {
			return v, nil
		}
	}
	return nil, fmt.Errorf("vault: %w", err)
}

// vaultBin returns the program: what the repository around us built, else what is
// in PATH.
func vaultBin() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		built := filepath.Join(dir, "tools", "bin", "vault")
		if _, err := os.Stat(built); err == nil {
			return built, nil
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	for _, name := range []string{"bao", "vault"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("vault is neither built (run make tools) nor in PATH: %w", ErrMissing)
}

func startVault(ctx context.Context, bin string) (*Vault, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "writ-vault-")
	if err != nil {
		return nil, err
	}
	v := &Vault{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Token: "root", Path: bin}
	v.process, err = start(spec{path: bin, dir: dir, throwaway: true, quit: syscall.SIGKILL, env: []string{"HOME=" + dir, "TZ=UTC"},
		args: []string{"server", "-dev", "-dev-listen-address=" + v.Addr, "-dev-root-token-id=" + v.Token, "-dev-no-store-token"}})
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	if err := v.ready(ctx); err != nil {
		words := v.process.lastWords()
		v.process.stop()
		return nil, fmt.Errorf("%w: %s", err, words)
	}
	return v, nil
}

// ready waits until the server answers and its key-value engine is there.
func (v *Vault) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+v.Addr+"/v1/secret/config", nil)
		if err != nil {
			return err
		}
		req.Header.Set("X-Vault-Token", v.Token)
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(strings.ToLower(res.Status))
		}
		select {
		case <-v.process.gone:
			return errors.New("the server ended at once")
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer at %s: %w", v.Addr, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop ends the server. A second call does nothing.
func (v *Vault) Stop() { v.process.stop() }
