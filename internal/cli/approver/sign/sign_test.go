package sign

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/writhq/writ"
	"github.com/writhq/writ/assent"
)

// A holder is an agent with a security key, which signs as PROTOCOL.u2f of
// OpenSSH says. Touched says whether a finger is on it.
type holder struct {
	agent.Agent
	key     ed25519.PrivateKey
	touched bool
}

func (h *holder) public(t testing.TB) ssh.PublicKey {
	t.Helper()
	pub, err := ssh.ParsePublicKey(ssh.Marshal(struct{ Type, Key, Application string }{
		ssh.KeyAlgoSKED25519, string(h.key.Public().(ed25519.PublicKey)), "ssh:",
	}))
	if err != nil {
		t.Fatal(err)
	}
	return pub
}

func (h *holder) List() ([]*agent.Key, error) {
	others, err := h.Agent.List()
	blob := ssh.Marshal(struct{ Type, Key, Application string }{ssh.KeyAlgoSKED25519, string(h.key.Public().(ed25519.PublicKey)), "ssh:"})
	return append(others, &agent.Key{Format: ssh.KeyAlgoSKED25519, Blob: blob, Comment: "token"}), err
}

func (h *holder) SignWithFlags(key ssh.PublicKey, data []byte, flags agent.SignatureFlags) (*ssh.Signature, error) {
	if key.Type() != ssh.KeyAlgoSKED25519 {
		return h.Agent.(agent.ExtendedAgent).SignWithFlags(key, data, flags)
	}
	rest := []byte{0, 0, 0, 0, 1}
	if h.touched {
		rest[0] = 1
	}
	application, message := sha256.Sum256([]byte("ssh:")), sha256.Sum256(data)
	blob := ed25519.Sign(h.key, bytes.Join([][]byte{application[:], rest, message[:]}, nil))
	return &ssh.Signature{Format: key.Type(), Blob: blob, Rest: rest}, nil
}

func (h *holder) Sign(key ssh.PublicKey, data []byte) (*ssh.Signature, error) {
	return h.SignWithFlags(key, data, 0)
}

func (h *holder) Extension(string, []byte) ([]byte, error) { return nil, agent.ErrExtensionUnsupported }

func generate(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// serve lets an agent answer at SSH_AUTH_SOCK.
func serve(t *testing.T, a agent.Agent) {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	t.Setenv("SSH_AUTH_SOCK", l.Addr().String())
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _ = agent.ServeAgent(a, c) }() // until the other side hangs up
		}
	}()
}

// write writes a key pair, and returns the path of the private one.
func write(t *testing.T, key ed25519.PrivateKey) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	pub, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(pub))) + " max@laptop\n"
	if err := errors.Join(os.WriteFile(file, pem.EncodeToMemory(block), 0o600), os.WriteFile(file+".pub", []byte(line), 0o600)); err != nil {
		t.Fatal(err)
	}
	return file
}

func unasked(string) (string, error) { return "", errors.New("nobody is to be asked") }

// TestSecurityKeySignsThroughTheAgent, and counts only if it was touched.
func TestSecurityKeySignsThroughTheAgent(t *testing.T) {
	h := &holder{Agent: agent.NewKeyring(), key: generate(t)}
	serve(t, h)
	file := filepath.Join(t.TempDir(), "token.pub")
	if err := os.WriteFile(file, ssh.MarshalAuthorizedKey(h.public(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	who := writ.Party{Name: "human/max", UID: "ide-1"}
	nonce := []byte("0123456789abcdef")
	message, err := writ.EnrolChallenge(nonce, who)
	if err != nil {
		t.Fatal(err)
	}
	for _, h.touched = range []bool{true, false} {
		s, err := Open(file, unasked)
		if err != nil || !s.Touch() || s.From != "ssh-agent" {
			t.Fatalf("%+v, %v", s, err)
		}
		proof, err := s.Proof(assent.EnrolNamespace, message[:])
		if err = errors.Join(err, s.Close()); err != nil {
			t.Fatal(err)
		}
		if err := assent.VerifyEnrol(s.Key, proof, nonce, who); h.touched != (err == nil) {
			t.Errorf("touched %v: %v", h.touched, err)
		}
	}
}

// TestWhichKeyIsOpened: the agent's if it holds it, else the one in the file.
func TestWhichKeyIsOpened(t *testing.T) {
	key, other := generate(t), generate(t)
	file, lost := write(t, key), write(t, other)
	ring := agent.NewKeyring()
	if err := os.Remove(lost); err != nil {
		t.Fatal(err)
	}
	swapped := write(t, other)
	if data, err := os.ReadFile(file); err != nil || os.WriteFile(swapped, data, 0o600) != nil {
		t.Fatal(err)
	}
	open := func(file, from, refused string) *Signer {
		t.Helper()
		s, err := Open(file, unasked)
		switch {
		case refused != "" && (!errors.Is(err, writ.Invalid) || !strings.Contains(err.Error(), refused)):
			t.Errorf("%s: %v, want %q", file, err, refused)
		case refused == "" && (err != nil || s.From != from):
			t.Errorf("%s: %+v, %v", file, s, err)
		case refused == "":
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		return s
	}
	t.Setenv("SSH_AUTH_SOCK", "")
	first := open(file, file, "")
	if s := open(file+".pub", file, ""); s.Title != "max@laptop" || s.Name != first.Name {
		t.Errorf("%+v", s.Key)
	}
	open(lost+".pub", "", "there is no private key beside it")
	open(swapped+".pub", "", "is not the private key of")
	open(filepath.Join(t.TempDir(), "none"), "", "no such file")
	t.Setenv("SSH_AUTH_SOCK", filepath.Join(t.TempDir(), "none")) // gone: the file is enough
	open(file+".pub", file, "")
	if _, err := Held([]writ.Key{first.Key}); !errors.Is(err, writ.Unavailable) {
		t.Errorf("an agent that is not there: %v", err)
	}
	serve(t, ring)
	open(file+".pub", file, "")
	if err := ring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		t.Fatal(err)
	}
	open(file+".pub", "ssh-agent", "")
	held, err := Held([]writ.Key{first.Key, {Header: writ.Header{Name: "ssh-other"}}})
	if err != nil || len(held) != 1 || held[0].Name != first.Name {
		t.Errorf("%+v, %v", held, err)
	}
}
