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
	"runtime"
	"time"

	"filippo.io/age"
	"github.com/writhq/writ/connector/issuer/mint"
)

// Keys are the keys of one ledger, or the part of them that one process has: a
// server that runs apart from its provisioner has neither Writ nor Issuer, and
// the provisioner has neither Dev nor Claims. Replicas share a file.
type Keys struct {
	Origin    string             // name of the ledger in its checkpoints
	Log       ed25519.PrivateKey // signs checkpoints
	Public    ed25519.PublicKey  // checks writs
	Recipient *age.X25519Recipient

	Writ   ed25519.PrivateKey  // signs writs
	Issuer mint.Keys           // what the built-in issuer signs with
	Dev    ed25519.PrivateKey  // signs the tokens of a development server
	Claims *age.X25519Identity // opens credentials that are claimed
}

// Grants reports whether writs can be signed with these keys.
func (k *Keys) Grants() bool { return k.Writ != nil }

// Serves reports whether a server can run with these keys.
func (k *Keys) Serves() bool { return k.Claims != nil }

// file is the form of the file. Seeds are 32 bytes, RFC 8032. The public parts
// stand where the private ones do not.
type file struct {
	V         int    `json:"v"`
	Origin    string `json:"origin"`
	Log       []byte `json:"log"`
	Writ      []byte `json:"writ,omitempty"`
	WritKey   []byte `json:"writKey,omitempty"` // public
	Dev       []byte `json:"dev,omitempty"`
	Claims    string `json:"claims,omitempty"`
	Recipient string `json:"recipient,omitempty"` // of claims
	Issuer    string `json:"issuer,omitempty"`    // PEM
}

// Open reads the key file, and makes one if there is none.
func Open(path string) (*Keys, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := create(path, time.Now()); err != nil {
			return nil, err
		}
	}
	return Read(path)
}

// Read reads the key file.
func Read(path string) (*Keys, error) {
	f, err := read(path)
	if err != nil {
		return nil, err
	}
	return f.keys(path)
}

func read(path string) (f file, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return f, fmt.Errorf("key file: %w", err)
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
		return f, fmt.Errorf("key file %s can be read by others (mode %v); run: chmod 600 %s", path, info.Mode().Perm(), path)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil || f.V != 1 {
		return f, fmt.Errorf("key file %s is damaged or of another version; restore it from its backup", path)
	}
	return f, nil
}

// keys refuses a file that is neither whole nor one of the two parts of one.
func (f file) keys(path string) (*Keys, error) {
	damaged := func(what string) (*Keys, error) {
		return nil, fmt.Errorf("key file %s: %s damaged; restore it from its backup", path, what)
	}
	grants, serves := f.Writ != nil, f.Claims != ""
	if len(f.Log) != ed25519.SeedSize || !grants && !serves {
		return damaged("its keys are")
	}
	k := &Keys{Origin: f.Origin, Log: ed25519.NewKeyFromSeed(f.Log), Public: f.WritKey}
	var err error
	if grants {
		if len(f.Writ) != ed25519.SeedSize {
			return damaged("the key of writs is")
		}
		k.Writ = ed25519.NewKeyFromSeed(f.Writ)
		k.Public = k.Writ.Public().(ed25519.PublicKey)
		if k.Issuer, err = mint.ParseKeys([]byte(f.Issuer)); err != nil {
			return nil, fmt.Errorf("key file %s: %w", path, err)
		}
	}
	if serves {
		if k.Claims, err = age.ParseX25519Identity(f.Claims); err != nil || len(f.Dev) != ed25519.SeedSize {
			return damaged("the claims or dev key is")
		}
		k.Dev, k.Recipient = ed25519.NewKeyFromSeed(f.Dev), k.Claims.Recipient()
	} else if k.Recipient, err = age.ParseX25519Recipient(f.Recipient); err != nil {
		return damaged("the recipient is")
	}
	if len(k.Public) != ed25519.PublicKeySize {
		return damaged("the public key of writs is")
	}
	return k, nil
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
	f := file{V: 1, Origin: origin, Log: seed(), Writ: seed(), Dev: seed(), Claims: claims.String(), Issuer: string(issuing)}
	if err := place(path, f, os.Link); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// place writes a file whole or not at all: under another name first, which put
// then makes its own.
func place(path string, f file, put func(from, to string) error) error {
	data, err := json.MarshalIndent(f, "", "\t")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".keys-*") // mode 0600
	if err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(append(data, '\n'))
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = put(tmp.Name(), path)
	}
	if err == nil {
		err = settle(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	return nil
}

// settle makes the names in a directory outlast a loss of power: a key must be
// in its new file for good before it goes from the old one.
func settle(dir string) error {
	if runtime.GOOS == "windows" { // which has no way to ask for it
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
