// Package keyring keeps the keys that a server signs and opens with, in one
// file that only its user can read. It is the one thing beside the database to
// back up, and to keep from whoever keeps the database.
package keyring

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"
	"github.com/go-jose/go-jose/v4"

	"github.com/writhq/writ"
	"github.com/writhq/writ/connector/issuer/mint"
)

// Keys are the keys of one ledger. Replicas of a server share them.
type Keys struct {
	Log    ed25519.PrivateKey  // signs checkpoints
	Writ   ed25519.PrivateKey  // signs writs
	Dev    ed25519.PrivateKey  // signs the tokens of a development server
	Claims *age.X25519Identity // opens credentials that are claimed
	Issuer mint.Keys           // what the built-in issuer signs with
	Origin string              // name of the ledger in its checkpoints
}

// file is the form of the file. Seeds are 32 bytes, RFC 8032.
type file struct {
	V      int    `json:"v"`
	Origin string `json:"origin"`
	Log    []byte `json:"log"`
	Writ   []byte `json:"writ"`
	Dev    []byte `json:"dev"`
	Claims string `json:"claims"`
	Issuer string `json:"issuer"` // PEM
}

// Open reads the key file, and makes one if there is none.
func Open(path string) (*Keys, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := create(path, time.Now()); err != nil {
			return nil, err
		}
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("key file %s can be read by others (mode %v); run: chmod 600 %s", path, info.Mode().Perm(), path)
	}
	return parse(path, data)
}

func parse(path string, data []byte) (*Keys, error) {
	var f file
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil || f.V != 1 {
		return nil, fmt.Errorf("key file %s is damaged or of another version; restore it from its backup", path)
	}
	for _, seed := range [][]byte{f.Log, f.Writ, f.Dev} {
		if len(seed) != ed25519.SeedSize {
			return nil, fmt.Errorf("key file %s is damaged; restore it from its backup", path)
		}
	}
	claims, err := age.ParseX25519Identity(f.Claims)
	if err != nil {
		return nil, fmt.Errorf("key file %s: claims key is damaged; restore it from its backup", path)
	}
	keys, err := mint.ParseKeys([]byte(f.Issuer))
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return &Keys{
		Log: ed25519.NewKeyFromSeed(f.Log), Writ: ed25519.NewKeyFromSeed(f.Writ), Dev: ed25519.NewKeyFromSeed(f.Dev),
		Claims: claims, Issuer: keys, Origin: f.Origin,
	}, nil
}

// create writes a file of fresh keys. The link makes it appear whole or not at
// all, and never over a file that another process made meanwhile.
func create(path string, now time.Time) error {
	seed := func() []byte { b := make([]byte, ed25519.SeedSize); rand.Read(b); return b }
	claims, err := age.GenerateX25519Identity()
	if err != nil {
		return err
	}
	origin := fmt.Sprintf("writ-ledger-%x", seed()[:6])
	keys, err := mint.NewKeys(origin, rand.Reader, now)
	if err != nil {
		return err
	}
	issuing, err := keys.PEM()
	if err != nil {
		return err
	}
	f := file{1, origin, seed(), seed(), seed(), claims.String(), string(issuing)}
	data, err := json.MarshalIndent(f, "", "\t")
	if err != nil {
		return err
	}
	return place(path, append(data, '\n'))
}

func place(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".keys-*") // mode 0600
	if err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("key file: %w", err)
	}
	return nil
}

// A Signer signs and checks writs and deeds: JWS compact (RFC 7515) with EdDSA
// and the ledger's own key, whatever a header says.
type Signer struct {
	signers map[jose.ContentType]jose.Signer
	public  ed25519.PublicKey
}

// The "typ" of what is signed, so that nothing else passes for it.
const (
	writType jose.ContentType = "writ+jws"
	deedType jose.ContentType = "deed+jws"
)

// NewSigner returns the signer with this key.
func NewSigner(key ed25519.PrivateKey) (*Signer, error) {
	out := &Signer{map[jose.ContentType]jose.Signer{}, key.Public().(ed25519.PublicKey)}
	for _, typ := range []jose.ContentType{writType, deedType} {
		s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: key}, (&jose.SignerOptions{}).WithType(typ))
		if err != nil {
			return nil, err
		}
		out.signers[typ] = s
	}
	return out, nil
}

// NewVerifier returns a signer that can only check.
func NewVerifier(public ed25519.PublicKey) *Signer { return &Signer{public: public} }

// Sign returns the JWS of a writ.
func (s *Signer) Sign(payload []byte) (string, error) { return s.sign(writType, payload) }

// Attest returns the JWS of a deed.
func (s *Signer) Attest(payload []byte) (string, error) { return s.sign(deedType, payload) }

// Verify returns the writ that was signed.
func (s *Signer) Verify(jws string) ([]byte, error) { return s.verify(writType, "writ", jws) }

// Attested returns the deed that was signed.
func (s *Signer) Attested(jws string) ([]byte, error) { return s.verify(deedType, "deed", jws) }

func (s *Signer) sign(typ jose.ContentType, payload []byte) (string, error) {
	signer, ok := s.signers[typ]
	if !ok {
		return "", writ.Errorf(writ.Unavailable, "this process has no key of writs; the provisioner has it")
	}
	sig, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("not signed: %w", err)
	}
	return sig.CompactSerialize()
}

func (s *Signer) verify(typ jose.ContentType, what, jws string) ([]byte, error) {
	sig, err := jose.ParseSignedCompact(jws, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil || len(sig.Signatures) != 1 || sig.Signatures[0].Protected.ExtraHeaders[jose.HeaderType] != string(typ) {
		return nil, writ.Errorf(writ.Invalid, "this is no signed %s", what)
	}
	payload, err := sig.Verify(s.public)
	if err != nil {
		return nil, writ.Errorf(writ.Invalid, "the %s is not signed with this ledger's key", what)
	}
	return payload, nil
}
