package mint

import (
	"bytes"
	"crypto"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/writhq/writ/connector"
)

// sshCertificate makes an OpenSSH user certificate for the key of the order.
func (m *Mint) sshCertificate(o connector.Order, s Section) (Made, error) {
	public, err := parseSSHKey(o.PublicKey)
	if err != nil {
		return Made{}, err
	}
	var b [8]byte
	if _, err := io.ReadFull(m.cfg.Random, b[:]); err != nil {
		return Made{}, fmt.Errorf("issuer: the random source gave no serial: %w", err)
	}
	cert := &ssh.Certificate{
		Key:             public,
		Serial:          binary.BigEndian.Uint64(b[:])>>1 | 1<<62, // never zero, which a KRL cannot name, and the same in every signed type
		CertType:        ssh.UserCert,
		KeyId:           o.Request,
		ValidPrincipals: s.Principals,
		ValidAfter:      uint64(From(o, m.cfg.Now()).Unix()),
		ValidBefore:     uint64(Until(o).Unix()),
		Permissions:     ssh.Permissions{CriticalOptions: map[string]string{}, Extensions: map[string]string{}},
	}
	if len(s.SourceAddress) > 0 {
		cert.CriticalOptions["source-address"] = strings.Join(s.SourceAddress, ",")
	}
	if s.ForceCommand != "" {
		cert.CriticalOptions["force-command"] = s.ForceCommand
	}
	for _, name := range s.Extensions {
		cert.Extensions[name] = ""
	}
	if err := cert.SignCert(m.cfg.Random, m.ssh); err != nil {
		return Made{}, fmt.Errorf("issuer: the ssh certificate could not be signed: %w", err)
	}
	return Made{
		ID:          strconv.FormatUint(cert.Serial, 10),
		Fingerprint: ssh.FingerprintSHA256(cert),
		PublicKey:   ssh.FingerprintSHA256(public),
		Files:       map[string]connector.Secret{"id-cert.pub": connector.Conceal(string(ssh.MarshalAuthorizedKey(cert)))},
	}, nil
}

func parseSSHKey(text string) (ssh.PublicKey, error) {
	public, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(text))
	if err != nil || len(options) > 0 || len(bytes.TrimSpace(rest)) > 0 {
		return nil, refuse("issuer: the public key of an ssh-certificate is given as one line, as in id_ed25519.pub")
	}
	switch public.Type() {
	case ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256:
		return public, nil
	case ssh.KeyAlgoED25519, ssh.KeyAlgoRSA, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521:
		return public, checkKey(public.(ssh.CryptoPublicKey).CryptoPublicKey())
	}
	return nil, refuse("issuer: the key is of type %s; use ed25519, ecdsa or rsa", public.Type())
}

// sshSigner returns the signer of SSH certificates. RSA is left out: its
// signatures come in too many forms for one key to stay pinned to one.
func sshSigner(key crypto.Signer) (ssh.Signer, error) {
	s, err := ssh.NewSignerFromSigner(key)
	if err != nil {
		return nil, fmt.Errorf("issuer: the ssh key cannot be used: %w", err)
	}
	if s.PublicKey().Type() == ssh.KeyAlgoRSA {
		return nil, fmt.Errorf("issuer: the ssh key is RSA; use Ed25519 or ECDSA")
	}
	return s, nil
}
