// Package seal hands a credential on so that only one reader can open it: it is
// encrypted with age (https://age-encryption.org/v1) to an X25519 recipient,
// the holder's own or, for a credential that is claimed, the server's.
package seal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"filippo.io/age"

	"github.com/writhq/writ"
	"github.com/writhq/writ/connector"
)

// A Credential is an opened one, as its holder sees it: readable.
type Credential struct {
	Kind  connector.Kind    `json:"kind"`
	Env   map[string]string `json:"env"`             // as a process wants it: PGUSER, PGPASSWORD, …
	Files map[string]string `json:"files,omitempty"` // file name to content
	Until time.Time         `json:"until"`
}

// Parse reads an age X25519 recipient ("age1…") and refuses anything else.
func Parse(recipient string) (*age.X25519Recipient, error) {
	r, err := age.ParseX25519Recipient(recipient)
	if err != nil {
		return nil, writ.Errorf(writ.Invalid, "recipient %.20q is not an age X25519 public key; make one with age-keygen", recipient)
	}
	return r, nil
}

// Seal encrypts a credential to a recipient.
func Seal(c *connector.Credential, recipient string) ([]byte, error) {
	to, err := Parse(recipient)
	if err != nil {
		return nil, err
	}
	plain, err := json.Marshal(Credential{c.Kind, reveal(c.Env), reveal(c.Files), c.Until})
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if _, err := w.Write(plain); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return out.Bytes(), nil
}

// Open decrypts what Seal made, with the recipient's identity.
func Open(sealed []byte, identity *age.X25519Identity) (Credential, error) {
	r, err := age.Decrypt(bytes.NewReader(sealed), identity)
	if err != nil {
		return Credential{}, fmt.Errorf("sealed credential: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err != nil {
		return Credential{}, fmt.Errorf("sealed credential: %w", err)
	}
	var c Credential
	if err := json.Unmarshal(plain, &c); err != nil {
		return c, fmt.Errorf("sealed credential: %w", err)
	}
	return c, nil
}

func reveal(secrets map[string]connector.Secret) map[string]string {
	out := make(map[string]string, len(secrets))
	for name, s := range secrets {
		out[name] = s.Reveal()
	}
	return out
}
