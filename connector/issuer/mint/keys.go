package mint

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"slices"
	"time"
)

// Keys is everything the authority signs and recognises credentials with. It
// prints masked. Pepper, Token, CA and SSH are secret.
type Keys struct {
	Pepper []byte        // at least 32 bytes; keys the MAC by which API keys and tokens are recognised, so it lives as long as they do
	Token  crypto.Signer // signs access tokens: Ed25519 or ECDSA P-256
	CA     crypto.Signer // signs X.509 certificates: Ed25519 or ECDSA
	CACert []byte        // DER certificate of CA
	SSH    crypto.Signer // signs SSH certificates: Ed25519 or ECDSA
	Former Former
}

// Former holds the public halves of keys that sign nothing any more, while what
// they signed still lives. They stay published, and tokens they signed valid.
type Former struct {
	Token  []crypto.PublicKey
	CACert [][]byte
	SSH    []crypto.PublicKey
}

const caYears = 10

// NewKeys makes a fresh set from random: Ed25519 for tokens and SSH, and for
// X.509 ECDSA P-256, which every TLS library takes. The certificate authority is
// called name and holds for ten years from now.
func NewKeys(name string, random io.Reader, now time.Time) (Keys, error) {
	k := Keys{Pepper: make([]byte, 32)}
	if _, err := io.ReadFull(random, k.Pepper); err != nil {
		return Keys{}, fmt.Errorf("issuer: the random source gave no pepper: %w", err)
	}
	return k.Rotate(name, random, now)
}

// Rotate returns keys that sign anew while everything signed with k still
// verifies. The pepper stays. Empty Former once nothing signed with it lives.
func (k Keys) Rotate(name string, random io.Reader, now time.Time) (Keys, error) {
	fresh := Keys{Pepper: k.Pepper, Former: k.Former.with(k)}
	seeds := make([]byte, 3*32)
	if _, err := io.ReadFull(random, seeds); err != nil {
		return Keys{}, fmt.Errorf("issuer: the random source gave no keys: %w", err)
	}
	fresh.Token = ed25519.NewKeyFromSeed(seeds[:32])
	fresh.SSH = ed25519.NewKeyFromSeed(seeds[32:64])
	ca, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), seeds[64:])
	if err != nil { // one in 2³² seeds is not a P-256 scalar
		return Keys{}, fmt.Errorf("issuer: the random source gave no usable P-256 key; try again: %w", err)
	}
	fresh.CA = ca
	fresh.CACert, err = authority(name, ca, random, now)
	return fresh, err
}

func (f Former) with(k Keys) Former {
	if k.Token != nil {
		f.Token = append(slices.Clip(f.Token), k.Token.Public())
	}
	if k.CACert != nil {
		f.CACert = append(slices.Clip(f.CACert), k.CACert)
	}
	if k.SSH != nil {
		f.SSH = append(slices.Clip(f.SSH), k.SSH.Public())
	}
	return f
}

func authority(name string, ca crypto.Signer, random io.Reader, now time.Time) ([]byte, error) {
	serial, err := serialNumber(random)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.UTC().Add(-time.Minute),
		NotAfter:     now.UTC().AddDate(caYears, 0, 0),
		KeyUsage:     x509.KeyUsageCertSign,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, // whoever trusts this CA for clients trusts it for nothing else

		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(random, template, template, ca.Public(), ca)
	if err != nil {
		return nil, fmt.Errorf("issuer: the certificate of the authority could not be made: %w", err)
	}
	return der, nil
}

// The block types and uses of the PEM form.
const (
	pepperBlock  = "WRIT PEPPER"
	privateBlock = "PRIVATE KEY" // PKCS #8
	publicBlock  = "PUBLIC KEY"  // SubjectPublicKeyInfo
	certBlock    = "CERTIFICATE"

	useHeader = "Use"
	useToken  = "token"
	useCA     = "ca"
	useSSH    = "ssh"
	useFormer = "former-ca"
)

// PEM returns the keys as text: PKCS #8 private keys, public keys and
// certificates as PEM blocks whose Use header says what each is for. Keys that
// cannot leave their hardware are refused.
func (k Keys) PEM() ([]byte, error) {
	var out bytes.Buffer
	var failed error
	block := func(kind, use string, der []byte, err error) {
		failed = errors.Join(failed, err)
		headers := map[string]string{}
		if use != "" {
			headers[useHeader] = use
		}
		failed = errors.Join(failed, pem.Encode(&out, &pem.Block{Type: kind, Headers: headers, Bytes: der}))
	}
	private := func(use string, key crypto.Signer) {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		block(privateBlock, use, der, err)
	}
	public := func(use string, keys []crypto.PublicKey) {
		for _, key := range keys {
			der, err := x509.MarshalPKIXPublicKey(key)
			block(publicBlock, use, der, err)
		}
	}
	block(pepperBlock, "", k.Pepper, nil)
	private(useToken, k.Token)
	private(useCA, k.CA)
	block(certBlock, useCA, k.CACert, nil)
	private(useSSH, k.SSH)
	public(useToken, k.Former.Token)
	for _, der := range k.Former.CACert {
		block(certBlock, useFormer, der, nil)
	}
	public(useSSH, k.Former.SSH)
	if failed != nil {
		return nil, fmt.Errorf("issuer: the keys cannot be written as PEM: %w", failed)
	}
	return out.Bytes(), nil
}

// ParseKeys reads what PEM wrote. A block it does not know is refused.
func ParseKeys(text []byte) (Keys, error) {
	var k Keys
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		if err := k.take(block); err != nil {
			return Keys{}, fmt.Errorf("issuer: the %s block for use %q of the key file cannot be read: %w",
				block.Type, block.Headers[useHeader], err)
		}
		text = rest
	}
	if len(bytes.TrimSpace(text)) > 0 {
		return Keys{}, errors.New("issuer: the key file holds something that is not PEM; restore it from a copy")
	}
	return k, k.check()
}

func (k *Keys) take(b *pem.Block) (err error) {
	switch b.Type + " " + b.Headers[useHeader] {
	case pepperBlock + " ":
		k.Pepper = b.Bytes
	case privateBlock + " " + useToken:
		k.Token, err = signer(b.Bytes)
	case privateBlock + " " + useCA:
		k.CA, err = signer(b.Bytes)
	case privateBlock + " " + useSSH:
		k.SSH, err = signer(b.Bytes)
	case certBlock + " " + useCA:
		k.CACert = b.Bytes
	case certBlock + " " + useFormer:
		k.Former.CACert = append(k.Former.CACert, b.Bytes)
	case publicBlock + " " + useToken:
		err = addPublic(&k.Former.Token, b.Bytes)
	case publicBlock + " " + useSSH:
		err = addPublic(&k.Former.SSH, b.Bytes)
	default:
		err = errors.New("no such block belongs there")
	}
	return err
}

func signer(der []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("it is not a PKCS #8 key") // the reason could quote key material
	}
	s, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("it cannot sign")
	}
	return s, nil
}

func addPublic(keys *[]crypto.PublicKey, der []byte) error {
	key, err := x509.ParsePKIXPublicKey(der)
	*keys = append(*keys, key)
	return err
}

// check says which key is missing or of a kind that cannot be used.
func (k Keys) check() error {
	if len(k.Pepper) < 32 {
		return errors.New("issuer: the pepper has fewer than 32 bytes; make keys with NewKeys")
	}
	if k.Token == nil || k.CA == nil || k.SSH == nil {
		return errors.New("issuer: one of the token, ca and ssh keys is missing; make keys with NewKeys")
	}
	ca, err := x509.ParseCertificate(k.CACert)
	if err != nil {
		return fmt.Errorf("issuer: the certificate of the authority cannot be read: %w", err)
	}
	same, ok := ca.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !same.Equal(k.CA.Public()) || !ca.IsCA {
		return errors.New("issuer: the certificate of the authority is not one for its key; keep the two together")
	}
	return nil
}

const maskedKeys = "[keys]"

// Format writes a mask, whatever the verb.
func (Keys) Format(f fmt.State, _ rune) { fmt.Fprint(f, maskedKeys) }

// LogValue logs a mask.
func (Keys) LogValue() slog.Value { return slog.StringValue(maskedKeys) }

// MarshalJSON refuses: PEM is the one stored form.
func (Keys) MarshalJSON() ([]byte, error) {
	return nil, errors.New("issuer: keys are not written as JSON; use PEM")
}
