package mint

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/url"
	"strings"
	"time"

	"github.com/writhq/writ/connector"
)

const (
	certificateMax = 7 * 24 * time.Hour // what a certificate without revocation may live
	commonNameMax  = 64                 // RFC 5280, ub-common-name
	minRSA, maxRSA = 2048, 8192         // bits
)

// noRevAvail tells verifiers not to look for revocation: RFC 9608.
var noRevAvail = pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 56}, Value: asn1.NullBytes}

// certificate makes an X.509 client certificate for the key of a CSR. Of the CSR
// only the key counts: who the certificate is for comes from the order.
func (m *Mint) certificate(o connector.Order) (Made, error) {
	csr, err := parseCSR(o.PublicKey)
	if err != nil {
		return Made{}, err
	}
	starts, ends := From(o, m.cfg.Now()).Truncate(time.Second), Until(o)
	switch {
	case ends.Sub(starts) > certificateMax:
		return Made{}, refuse("issuer: a certificate lives at most 7 days, as it cannot be recalled; ask for less")
	case ends.After(m.ca.NotAfter):
		return Made{}, refuse("issuer: the authority ends on %s, before the certificate would; rotate the keys", m.ca.NotAfter.Format(time.RFC3339))
	case len(o.Subject) > commonNameMax:
		return Made{}, refuse("issuer: the subject name has more than %d characters, too many for a certificate", commonNameMax)
	}
	serial, err := serialNumber(m.cfg.Random)
	if err != nil {
		return Made{}, err
	}
	der, err := x509.CreateCertificate(m.cfg.Random, &x509.Certificate{
		SerialNumber:          new(big.Int).SetBytes(serial),
		Subject:               pkix.Name{CommonName: o.Subject},
		URIs:                  []*url.URL{{Scheme: "writ", Opaque: (&url.URL{Path: o.Subject}).EscapedPath()}},
		NotBefore:             starts,
		NotAfter:              ends,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		ExtraExtensions:       []pkix.Extension{noRevAvail},
	}, m.ca, csr.PublicKey, m.cfg.Keys.CA)
	if err != nil {
		return Made{}, fmt.Errorf("issuer: the certificate could not be signed: %w", err)
	}
	sum := sha256.Sum256(der)
	key, err := keyDigest(csr.PublicKey)
	if err != nil {
		return Made{}, err
	}
	return Made{
		ID:          hex.EncodeToString(serial),
		Fingerprint: "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:]),
		PublicKey:   key,
		Files: map[string]connector.Secret{
			"client.crt": connector.Conceal(string(pem.EncodeToMemory(&pem.Block{Type: certBlock, Bytes: der}))),
			"ca.crt":     connector.Conceal(string(m.caPEM)),
		},
	}, nil
}

// serialNumber returns 16 random bytes that are a positive integer.
func serialNumber(random io.Reader) ([]byte, error) {
	serial := make([]byte, 16)
	if _, err := io.ReadFull(random, serial); err != nil {
		return nil, fmt.Errorf("issuer: the random source gave no serial: %w", err)
	}
	serial[0] = serial[0]&0x7f | 0x40
	return serial, nil
}

func parseCSR(text string) (*x509.CertificateRequest, error) {
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE REQUEST" || strings.TrimSpace(string(rest)) != "" {
		return nil, refuse("issuer: the public key of a certificate is given as one PEM block CERTIFICATE REQUEST (PKCS #10)")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, refuse("issuer: the certificate request cannot be read: %v", err)
	}
	switch csr.SignatureAlgorithm {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1:
		return nil, refuse("issuer: the certificate request is signed with %s; sign it with SHA-256 or better", csr.SignatureAlgorithm)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, refuse("issuer: the certificate request is not signed by its own key: %v", err)
	}
	return csr, checkKey(csr.PublicKey)
}

// checkKey refuses keys too weak, or too large to be anything but an attack.
func checkKey(public any) error {
	switch key := public.(type) {
	case ed25519.PublicKey:
		return nil
	case *ecdsa.PublicKey:
		if key.Params().BitSize >= 256 {
			return nil
		}
		return refuse("issuer: the key is ECDSA on %s; use P-256 or better", key.Params().Name)
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSA || bits > maxRSA {
			return refuse("issuer: the key is RSA with %d bits; use %d to %d", bits, minRSA, maxRSA)
		}
		return nil
	}
	return refuse("issuer: the key is a %T; use Ed25519, ECDSA or RSA", public)
}

// keyDigest names a public key by the digest of its SubjectPublicKeyInfo.
func keyDigest(public any) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	sum := sha256.Sum256(der)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:]), err
}
