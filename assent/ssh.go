package assent

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/writhq/writ"
)

// The namespaces of signatures. A signature made for one purpose, or with
// another program, is good for no other.
const (
	ApprovalNamespace = "writ-approval@v1"
	EnrolNamespace    = "writ-enrol@v1"
)

const (
	armorBegin = "-----BEGIN SSH SIGNATURE-----\n"
	armorEnd   = "\n-----END SSH SIGNATURE-----"
	maxProof   = 16 << 10 // bytes; the signature of an RSA key of 16384 bits has 6 KiB
	minRSA     = 2048     // bits
	maxRSA     = 8192     // bits: more only makes checking slow
)

// formats are the types of keys that count, each with the formats of their
// signatures. RSA with SHA-1 is none.
var formats = map[string][]string{
	ssh.KeyAlgoED25519:    {ssh.KeyAlgoED25519},
	ssh.KeyAlgoECDSA256:   {ssh.KeyAlgoECDSA256},
	ssh.KeyAlgoECDSA384:   {ssh.KeyAlgoECDSA384},
	ssh.KeyAlgoECDSA521:   {ssh.KeyAlgoECDSA521},
	ssh.KeyAlgoRSA:        {ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512},
	ssh.KeyAlgoSKED25519:  {ssh.KeyAlgoSKED25519},
	ssh.KeyAlgoSKECDSA256: {ssh.KeyAlgoSKECDSA256},
}

// An sshProof is the proof of a signature by ssh.
type sshProof struct {
	Signature string `json:"signature"` // armored, as ssh-keygen -Y sign writes it
}

// A blob is an SSH signature as PROTOCOL.sshsig of OpenSSH, section 2, has it.
type blob struct {
	Magic     [6]byte
	Version   uint32
	PublicKey []byte
	Namespace string
	Reserved  string
	Hash      string
	Signature []byte
}

// A preimage is what is signed: section 3.
type preimage struct {
	Magic     [6]byte
	Namespace string
	Reserved  string
	Hash      string
	Sum       []byte
}

var magic = [6]byte([]byte("SSHSIG"))

// SSHKey returns the key of one line as in authorized_keys or a .pub file, with
// its name and without whom it is of. Options are refused, and so are types that
// do not count: DSA, certificates, RSA of less than 2048 bits.
func SSHKey(line string) (writ.Key, error) {
	pub, comment, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil || len(options) > 0 || len(bytes.TrimSpace(rest)) > 0 {
		return writ.Key{}, writ.Errorf(writ.Invalid, "that is no single SSH public key; send the one line of a .pub file")
	}
	if err := usable(pub); err != nil {
		return writ.Key{}, err
	}
	sum := sha256.Sum256(pub.Marshal())
	return writ.Key{
		Header: writ.Header{Kind: "key", Name: "ssh-" + hex.EncodeToString(sum[:8])},
		Method: writ.BySSH, Title: comment,
		Public: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(pub))),
	}, nil
}

func usable(pub ssh.PublicKey) error {
	if formats[pub.Type()] == nil {
		return writ.Errorf(writ.Invalid, "an SSH key of type %s does not count; make one with 'ssh-keygen -t ed25519' or 'ssh-keygen -t ed25519-sk'", pub.Type())
	}
	c, ok := pub.(ssh.CryptoPublicKey)
	if !ok {
		return nil
	}
	if key, ok := c.CryptoPublicKey().(*rsa.PublicKey); ok && (key.N.BitLen() < minRSA || key.N.BitLen() > maxRSA) {
		return writ.Errorf(writ.Invalid, "an RSA key of %d bits does not count; it has %d to %d", key.N.BitLen(), minRSA, maxRSA)
	}
	return nil
}

// verifySSH checks that proof is k's signature in the namespace over message.
func verifySSH(proof json.RawMessage, k writ.Key, namespace string, message []byte) error {
	b, err := parseSSH(proof)
	if err != nil {
		return err
	}
	pub, _, _, _, err := ssh.ParseAuthorizedKey([]byte(k.Public))
	if err != nil {
		return writ.Errorf(writ.Invalid, "key %s is no SSH public key", k.Name)
	}
	if err := usable(pub); err != nil {
		return err
	}
	switch {
	case b.Namespace != namespace:
		return writ.Errorf(writ.Forbidden, "the signature is for %q, not for %q; sign again", b.Namespace, namespace)
	case !bytes.Equal(b.PublicKey, pub.Marshal()):
		return writ.Errorf(writ.Forbidden, "the signature was made with another key than %s; sign with that, or name the one you used", k.Name)
	}
	signed, err := b.signed(message)
	if err != nil {
		return err
	}
	sig, err := b.signature(pub)
	if err != nil {
		return err
	}
	if err := pub.Verify(signed, sig); err != nil {
		return writ.Errorf(writ.Forbidden, "the signature does not hold for this challenge and key %s (a security key must be touched); ask for a new challenge and sign it", k.Name)
	}
	return nil
}

// parseSSH reads a proof. Nothing may stand before, behind or within it that is
// no part of it.
func parseSSH(proof json.RawMessage) (b blob, err error) {
	no := func(what string) (blob, error) {
		return blob{}, writ.Errorf(writ.Invalid, `the proof is no SSH signature: %s; it is {"signature": "-----BEGIN SSH SIGNATURE-----…"}`, what)
	}
	if len(proof) > maxProof {
		return no("it is too long")
	}
	armored, ok := member(proof)
	if !ok {
		return no("it is not the JSON that is expected")
	}
	body, begins := strings.CutPrefix(armored, armorBegin)
	body, ends := strings.CutSuffix(strings.TrimSuffix(body, "\n"), armorEnd)
	raw, err := base64.StdEncoding.Strict().DecodeString(body)
	if !begins || !ends || err != nil {
		return no("its armor is damaged")
	}
	if err := ssh.Unmarshal(raw, &b); err != nil || b.Magic != magic || b.Version != 1 {
		return no("its content is damaged or of another version")
	}
	return b, nil
}

// member returns the one member of a proof. Token by token, because the same
// proof must mean the same to every reader: a member that is there twice, or is
// written with a capital, is not.
func member(proof json.RawMessage) (signature string, ok bool) {
	d := json.NewDecoder(bytes.NewReader(proof))
	var tokens []json.Token
	for range 4 {
		t, err := d.Token()
		if err != nil {
			return "", false
		}
		tokens = append(tokens, t)
	}
	signature, text := tokens[2].(string)
	_, err := d.Token()
	return signature, text && tokens[0] == json.Delim('{') && tokens[1] == "signature" && tokens[3] == json.Delim('}') && err == io.EOF
}

// signed returns the bytes that the key signed.
func (b blob) signed(message []byte) ([]byte, error) {
	p := preimage{Magic: magic, Namespace: b.Namespace, Reserved: b.Reserved, Hash: b.Hash}
	switch b.Hash {
	case "sha256":
		sum := sha256.Sum256(message)
		p.Sum = sum[:]
	case "sha512":
		sum := sha512.Sum512(message)
		p.Sum = sum[:]
	default:
		return nil, writ.Errorf(writ.Invalid, "an SSH signature with hash %q does not count; use sha512 or sha256", b.Hash)
	}
	return ssh.Marshal(p), nil
}

// signature returns the innermost part, if its format is one of the key's.
func (b blob) signature(pub ssh.PublicKey) (*ssh.Signature, error) {
	var sig ssh.Signature
	if err := ssh.Unmarshal(b.Signature, &sig); err != nil {
		return nil, writ.Errorf(writ.Invalid, "the SSH signature is damaged")
	}
	for _, f := range formats[pub.Type()] {
		if sig.Format == f && (len(sig.Rest) == 0 || securityKey(pub)) {
			return &sig, nil
		}
	}
	return nil, writ.Errorf(writ.Invalid, "a signature of format %s by a key of type %s does not count", sig.Format, pub.Type())
}

// securityKey reports whether flags and a counter follow a key's signatures.
func securityKey(pub ssh.PublicKey) bool {
	return pub.Type() == ssh.KeyAlgoSKED25519 || pub.Type() == ssh.KeyAlgoSKECDSA256
}

// SignSSH returns the proof that a key makes of message in a namespace.
func SignSSH(random io.Reader, key ssh.Signer, namespace string, message []byte) (json.RawMessage, error) {
	pub := key.PublicKey()
	if err := usable(pub); err != nil {
		return nil, err
	}
	b := blob{Magic: magic, Version: 1, PublicKey: pub.Marshal(), Namespace: namespace, Hash: "sha512"}
	signed, err := b.signed(message)
	if err != nil {
		return nil, err
	}
	sig, err := sign(random, key, signed)
	if err != nil {
		return nil, err
	}
	b.Signature = ssh.Marshal(sig)
	var text strings.Builder
	encoded := base64.StdEncoding.EncodeToString(ssh.Marshal(b))
	for len(encoded) > 70 {
		text.WriteString(encoded[:70] + "\n")
		encoded = encoded[70:]
	}
	return json.Marshal(sshProof{armorBegin + text.String() + encoded + armorEnd + "\n"})
}

func sign(random io.Reader, key ssh.Signer, signed []byte) (*ssh.Signature, error) {
	if s, ok := key.(ssh.AlgorithmSigner); ok && key.PublicKey().Type() == ssh.KeyAlgoRSA {
		return s.SignWithAlgorithm(random, signed, ssh.KeyAlgoRSASHA512)
	}
	return key.Sign(random, signed)
}
