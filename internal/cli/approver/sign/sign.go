// Package sign opens the SSH keys of whoever runs the program: those in files,
// and those that ssh-agent holds, security keys among them.
package sign

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/writhq/writ"
	"github.com/writhq/writ/assent"
)

// A Signer is an SSH key that can sign.
type Signer struct {
	ssh.Signer
	writ.Key        // as it would be enrolled
	From     string // where it is, for people
	close    func() error
}

// Close lets go of the agent.
func (s *Signer) Close() error {
	if s.close == nil {
		return nil
	}
	return s.close()
}

// Touch reports whether a security key waits for a finger when it signs.
func (s *Signer) Touch() bool { return strings.HasPrefix(s.Signer.PublicKey().Type(), "sk-") }

// Proof signs a message in a namespace.
func (s *Signer) Proof(namespace string, message []byte) (json.RawMessage, error) {
	proof, err := assent.SignSSH(rand.Reader, s.Signer, namespace, message)
	if err != nil {
		return nil, writ.Errorf(writ.Invalid, "%s does not sign with key %s: %v; is it unlocked, and was it touched?", s.From, s.Name, err)
	}
	return proof, nil
}

// Open opens the key of a file. Of a public key ssh-agent signs if it holds it,
// else the private key beside it; ask is asked for the passphrase of one that is
// encrypted.
func Open(file string, ask func(prompt string) (string, error)) (*Signer, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, writ.Errorf(writ.Invalid, "%v; name the file of an SSH key", err)
	}
	if _, _, _, _, err := ssh.ParseAuthorizedKey(data); err != nil {
		return private(file, data, "", ask)
	}
	key, err := assent.SSHKey(string(data))
	if err != nil {
		return nil, err
	}
	held, err := held(func(k writ.Key) bool { return k.Public == key.Public })
	if err == nil && len(held) > 0 {
		held[0].Title = key.Title
		return held[0], nil
	}
	beside := strings.TrimSuffix(file, ".pub")
	if data, err = os.ReadFile(beside); beside == file || err != nil {
		return nil, writ.Errorf(writ.Invalid, "ssh-agent does not hold the key of %s, and there is no private key beside it; load it with 'ssh-add'", file)
	}
	s, err := private(beside, data, key.Title, ask)
	if err == nil && s.Public != key.Public {
		return nil, writ.Errorf(writ.Invalid, "%s is not the private key of %s; name the one that is", beside, file)
	}
	return s, err
}

// Held returns the keys in ssh-agent that are among these. The caller closes one
// of them, which closes all.
func Held(among []writ.Key) ([]*Signer, error) {
	names := map[string]bool{}
	for _, k := range among {
		names[k.Name] = true
	}
	return held(func(k writ.Key) bool { return names[k.Name] })
}

func held(wanted func(writ.Key) bool) (out []*Signer, err error) {
	socket := os.Getenv("SSH_AUTH_SOCK")
	if socket == "" {
		return nil, nil
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, writ.Errorf(writ.Unavailable, "ssh-agent does not answer at %s: %v; start one, or unset SSH_AUTH_SOCK", socket, err)
	}
	signers, err := agent.NewClient(conn).Signers()
	if err != nil {
		err = writ.Errorf(writ.Unavailable, "ssh-agent at %s does not list its keys: %v; unlock it with 'ssh-add -X'", socket, err)
	}
	for _, signer := range signers {
		key, err := assent.SSHKey(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
		if err == nil && wanted(key) { // others are no keys that could be enrolled
			out = append(out, &Signer{Signer: signer, Key: key, From: "ssh-agent", close: conn.Close})
		}
	}
	if len(out) == 0 {
		return nil, errors.Join(err, conn.Close())
	}
	return out, nil
}

func private(file string, data []byte, title string, ask func(string) (string, error)) (*Signer, error) {
	signer, err := ssh.ParsePrivateKey(data)
	if _, encrypted := errors.AsType[*ssh.PassphraseMissingError](err); encrypted {
		var passphrase string
		if passphrase, err = ask("passphrase of " + file + ": "); err != nil {
			return nil, err
		}
		signer, err = ssh.ParsePrivateKeyWithPassphrase(data, []byte(passphrase))
	}
	switch {
	case errors.Is(err, x509.IncorrectPasswordError):
		return nil, writ.Errorf(writ.Invalid, "that is not the passphrase of %s; try again", file)
	case err != nil && bytes.Contains(data, []byte("PRIVATE KEY")):
		return nil, writ.Errorf(writ.Invalid, "the private key in %s cannot be used from here; if it is a security key, load it with 'ssh-add' and name its .pub file", file)
	case err != nil:
		return nil, writ.Errorf(writ.Invalid, "%s holds no SSH key; name one", file)
	}
	key, err := assent.SSHKey(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	key.Title = title
	return &Signer{Signer: signer, Key: key, From: file}, err
}
