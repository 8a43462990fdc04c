// Package mint makes credentials from orders, and recognises the ones it made
// by their form. It stores nothing: which of them are good is the business of
// package issuer.
package mint

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/writhq/writ/connector"
)

// Config is what a Mint is made of. Keys and URL are required.
type Config struct {
	Keys   Keys
	URL    string           // "iss" of every token: http or https, with neither query nor fragment
	Now    func() time.Time // nil: time.Now
	Random io.Reader        // nil: crypto/rand.Reader
}

// A Mint makes credentials. It may be used by several goroutines at once.
type Mint struct {
	cfg    Config
	macs   *macs
	tokens *tokens
	ca     *x509.Certificate
	caPEM  []byte
	ssh    ssh.Signer
	sshCAs []ssh.PublicKey
}

// New checks the keys and returns a Mint of them.
func New(cfg Config) (*Mint, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	u, err := url.Parse(cfg.URL)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("issuer: the URL %q cannot name an issuer; write https://host or https://host/path", cfg.URL)
	}
	k := cfg.Keys
	if err := k.check(); err != nil {
		return nil, err
	}
	m := &Mint{cfg: cfg, macs: newMACs(k.Pepper)}
	if m.tokens, err = newTokens(cfg.URL, k); err != nil {
		return nil, err
	}
	if m.ca, err = x509.ParseCertificate(k.CACert); err != nil {
		return nil, err
	}
	for _, der := range append([][]byte{k.CACert}, k.Former.CACert...) {
		m.caPEM = append(m.caPEM, pem.EncodeToMemory(&pem.Block{Type: certBlock, Bytes: der})...)
	}
	if m.ssh, err = sshSigner(k.SSH); err != nil {
		return nil, err
	}
	m.sshCAs = []ssh.PublicKey{m.ssh.PublicKey()}
	for _, former := range k.Former.SSH {
		public, err := ssh.NewPublicKey(former)
		if err != nil {
			return nil, fmt.Errorf("issuer: a former ssh key cannot be used: %w", err)
		}
		m.sshCAs = append(m.sshCAs, public)
	}
	return m, nil
}

// JWKS returns the public token keys as a JSON Web Key Set (RFC 7517).
func (m *Mint) JWKS() []byte { return m.tokens.jwks }

// CA returns the certificates of the authority as PEM, the current one first.
func (m *Mint) CA() []byte { return m.caPEM }

// SSHCAs returns the keys that sign SSH certificates, the current one first.
func (m *Mint) SSHCAs() []ssh.PublicKey { return m.sshCAs }

// A Made is a new credential: what is to be stored of it, and what is handed on.
type Made struct {
	ID          string // key id, jti or serial: unique, and safe to show
	Fingerprint string // safe to show
	PublicKey   string // digest of the key that was certified; empty: none was
	Text        connector.Secret
	Env, Files  map[string]connector.Secret
}

// Make makes the credential of an order. It refuses what no other try can mend
// with an error that wraps connector.ErrRefused.
func (m *Mint) Make(o connector.Order, s Section) (Made, error) {
	now := m.cfg.Now()
	switch {
	case o.Request == "" || o.Subject == "":
		return Made{}, refuse("issuer: an order names a request and a subject; this one does not")
	case !Until(o).After(now) || !Until(o).After(From(o, now)):
		return Made{}, refuse("issuer: request %s has no time left: it ends at %s", o.Request, o.Until.Format(time.RFC3339))
	}
	switch o.Kind {
	case connector.APIKey:
		return m.apiKey(o)
	case connector.AccessToken:
		return m.accessToken(o, s)
	case connector.Certificate:
		return m.certificate(o)
	case connector.SSHCert:
		return m.sshCertificate(o, s)
	}
	return Made{}, refuse("issuer: it does not issue %q", o.Kind)
}

// A Flaw is why a text cannot be a key or token of ours.
type Flaw string

// The flaws.
const (
	Malformed Flaw = "malformed" // not the shape of anything issued here
	Checksum  Flaw = "checksum"  // an API key with a slip of the pen
	Signature Flaw = "signature" // a token that none of our keys signed as an access token
)

// Identify returns the id and kind that an API key or access token claims, once
// its form is proved, or its flaw. Of a token the signature is proved as well;
// the secret of a key is proved by MAC.
func (m *Mint) Identify(text string) (id string, kind connector.Kind, flaw Flaw) {
	if strings.HasPrefix(text, keyMark) {
		id, flaw = parseKey(text)
		return id, connector.APIKey, flaw
	}
	id, flaw = m.tokens.parse(text)
	return id, connector.AccessToken, flaw
}

// From is when the credential of the order begins to hold.
func From(o connector.Order, now time.Time) time.Time {
	if o.From.IsZero() {
		return now.UTC()
	}
	return o.From.UTC()
}

// Until is when the credential of the order ends. All but API keys say it in
// whole seconds, so these end up to a second early, never late.
func Until(o connector.Order) time.Time {
	if Offline(o.Kind) {
		return o.Until.UTC().Truncate(time.Second)
	}
	return o.Until.UTC().Truncate(time.Microsecond)
}

// PublicKey returns what Made.PublicKey is for the order.
func PublicKey(o connector.Order) (digest string, err error) {
	switch o.Kind {
	case connector.Certificate:
		csr, err := parseCSR(o.PublicKey)
		if err != nil {
			return "", err
		}
		return keyDigest(csr.PublicKey)
	case connector.SSHCert:
		key, err := parseSSHKey(o.PublicKey)
		if err != nil {
			return "", err
		}
		return ssh.FingerprintSHA256(key), nil
	}
	return "", nil
}

func refuse(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, connector.ErrRefused)...)
}
