package assent

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/writhq/writ"
)

const terms = writ.Digest("sha256:2f0c1f2b6a3a6a2f7d1f2e3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f")

var nonce = []byte("0123456789abcdef")

func challenge(t testing.TB) []byte {
	t.Helper()
	c, err := writ.Challenge(nonce, terms, writ.Yes)
	if err != nil {
		t.Fatal(err)
	}
	return c[:]
}

// enrolled returns the key of a signer as it would be enrolled.
func enrolled(t testing.TB, pub ssh.PublicKey) writ.Key {
	t.Helper()
	k, err := SSHKey(string(ssh.MarshalAuthorizedKey(pub)))
	if err != nil {
		t.Fatal(err)
	}
	k.UID = "key-1"
	return k
}

func evidence(k writ.Key, proof json.RawMessage) writ.Evidence {
	return writ.Evidence{Method: writ.BySSH, Nonce: nonce, Key: k.Name, KeyUID: k.UID, Proof: proof}
}

// TestSignaturesOfSSHKeygen hold, of every type of key that counts.
func TestSignaturesOfSSHKeygen(t *testing.T) {
	for _, kind := range [][]string{
		{"ed25519"}, {"ecdsa", "-b", "256"}, {"ecdsa", "-b", "384"}, {"ecdsa", "-b", "521"}, {"rsa", "-b", "2048"}, {"rsa", "-b", "3072"},
	} {
		t.Run(strings.Join(kind, ""), func(t *testing.T) {
			file := keygen(t, kind...)
			line, err := os.ReadFile(file + ".pub")
			if err != nil {
				t.Fatal(err)
			}
			k, err := SSHKey(string(line))
			if err != nil {
				t.Fatal(err)
			}
			for _, hash := range []string{"sha256", "sha512"} {
				proof := signWith(t, file, ApprovalNamespace, challenge(t), "-O", "hashalg="+hash)
				if err := Verify(evidence(k, proof), k, terms, writ.Yes); err != nil {
					t.Errorf("with %s: %v", hash, err)
				}
				if err := Verify(evidence(k, proof), k, terms, writ.No); !errors.Is(err, writ.Forbidden) {
					t.Errorf("a yes is taken for a no: %v", err)
				}
			}
		})
	}
}

// keygen makes a key pair with OpenSSH.
func keygen(t testing.TB, kind ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	args := append([]string{"-q", "-N", "", "-C", "test", "-f", file, "-t"}, kind...)
	if out, err := exec.Command("ssh-keygen", args...).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v: %s", err, out)
	}
	return file
}

// signWith signs with OpenSSH.
func signWith(t testing.TB, file, namespace string, message []byte, options ...string) json.RawMessage {
	t.Helper()
	cmd := exec.Command("ssh-keygen", append([]string{"-q", "-Y", "sign", "-f", file, "-n", namespace}, options...)...)
	cmd.Stdin = bytes.NewReader(message)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ssh-keygen: %v", err)
	}
	return proofOf(t, string(out))
}

func proofOf(t testing.TB, armored string) json.RawMessage {
	t.Helper()
	proof, err := json.Marshal(sshProof{armored})
	if err != nil {
		t.Fatal(err)
	}
	return proof
}

// TestSSHKeygenAgrees checks with OpenSSH what SignSSH makes.
func TestSSHKeygenAgrees(t *testing.T) {
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		file := keygen(t, kind)
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		key, err := ssh.ParsePrivateKey(data)
		if err != nil {
			t.Fatal(err)
		}
		proof, err := SignSSH(rand.Reader, key, ApprovalNamespace, challenge(t))
		if err != nil {
			t.Fatal(err)
		}
		var p sshProof
		if err := json.Unmarshal(proof, &p); err != nil {
			t.Fatal(err)
		}
		allowed, sig := filepath.Join(t.TempDir(), "allowed"), filepath.Join(t.TempDir(), "sig")
		if err := errors.Join(
			os.WriteFile(allowed, append([]byte("ann "), ssh.MarshalAuthorizedKey(key.PublicKey())...), 0o600),
			os.WriteFile(sig, []byte(p.Signature), 0o600),
		); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("ssh-keygen", "-Y", "verify", "-f", allowed, "-I", "ann", "-n", ApprovalNamespace, "-s", sig)
		cmd.Stdin = bytes.NewReader(challenge(t))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", kind, err, out)
		}
	}
}

// maker makes signatures with every part as a test wants it.
type maker struct {
	blob
	inner  func(signed []byte) *ssh.Signature
	sealed []byte // what the signature is over, if not the parts
	tail   string // after the blob
}

func (m maker) proof(t testing.TB, message []byte) json.RawMessage {
	t.Helper()
	signed := m.sealed
	if signed == nil {
		sum := sha512.Sum512(message)
		signed = ssh.Marshal(preimage{m.Magic, m.Namespace, m.Reserved, m.Hash, sum[:]})
	}
	if m.Signature == nil {
		m.Signature = ssh.Marshal(m.inner(signed))
	}
	return proofOf(t, armorBegin+base64.StdEncoding.EncodeToString(append(ssh.Marshal(m.blob), m.tail...))+armorEnd+"\n")
}

func signerOf(t testing.TB, key crypto.Signer) ssh.Signer {
	t.Helper()
	s, err := ssh.NewSignerFromSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newSigner(t testing.TB) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signerOf(t, key)
}

func making(t testing.TB, key ssh.Signer) maker {
	return maker{
		blob: blob{Magic: magic, Version: 1, PublicKey: key.PublicKey().Marshal(), Namespace: ApprovalNamespace, Hash: "sha512"},
		inner: func(signed []byte) *ssh.Signature {
			sig, err := key.Sign(rand.Reader, signed)
			if err != nil {
				t.Fatal(err)
			}
			return sig
		},
	}
}

// TestTamperedSignatures are refused, each for what is wrong with it alone.
func TestTamperedSignatures(t *testing.T) {
	key, other := newSigner(t), newSigner(t)
	k, message := enrolled(t, key.PublicKey()), challenge(t)
	sig := func(change func(*maker)) json.RawMessage {
		m := making(t, key)
		change(&m)
		return m.proof(t, message)
	}
	if err := Verify(evidence(k, sig(func(*maker) {})), k, terms, writ.Yes); err != nil {
		t.Fatalf("the one that is not tampered with: %v", err)
	}
	if err := Verify(evidence(k, sig(func(m *maker) { m.Reserved = "tag" })), k, terms, writ.Yes); err != nil {
		t.Errorf("reserved is to be ignored: %v", err)
	}
	good := string(sig(func(*maker) {}))
	for name, proof := range map[string]json.RawMessage{
		"namespace of enrolment": sig(func(m *maker) { m.Namespace = EnrolNamespace }),
		"namespace of files":     sig(func(m *maker) { m.Namespace = "file" }),
		"no namespace":           sig(func(m *maker) { m.Namespace = "" }),
		"namespace that was swapped": sig(func(m *maker) {
			sum := sha512.Sum512(message)
			m.sealed = ssh.Marshal(preimage{magic, "file", "", "sha512", sum[:]})
		}),
		"namespace with more":      sig(func(m *maker) { m.Namespace += "\x00" }),
		"other message":            making(t, key).proof(t, []byte("another message of 32 bytes here")),
		"other key":                making(t, other).proof(t, message),
		"other key under its name": sig(func(m *maker) { m.inner = making(t, other).inner }),
		"the bare message":         sig(func(m *maker) { m.sealed = message }),
		"another version":          sig(func(m *maker) { m.Version = 2 }),
		"another magic":            sig(func(m *maker) { m.Magic = [6]byte([]byte("SSHSIH")) }),
		"hash that is none":        sig(func(m *maker) { m.Hash = "md5" }),
		"hash sha1":                sig(func(m *maker) { m.Hash = "sha1" }),
		"bytes after the blob":     sig(func(m *maker) { m.tail = "x" }),
		"bytes after the signature": sig(func(m *maker) {
			inner := m.inner
			m.inner = func(b []byte) *ssh.Signature { s := inner(b); s.Rest = []byte{1, 0, 0, 0, 1}; return s }
		}),
		"another format": sig(func(m *maker) {
			inner := m.inner
			m.inner = func(b []byte) *ssh.Signature { s := inner(b); s.Format = ssh.KeyAlgoECDSA256; return s }
		}),
		"an empty signature": sig(func(m *maker) { m.Signature = []byte{} }),
		"a signature of zeroes": sig(func(m *maker) {
			m.inner = func([]byte) *ssh.Signature { return &ssh.Signature{Format: ssh.KeyAlgoED25519, Blob: make([]byte, 64)} }
		}),
		"truncated":        json.RawMessage(strings.Replace(good, "U1NIU0lH", "", 1)),
		"text before":      json.RawMessage(strings.Replace(good, `"-----BEGIN`, `"x-----BEGIN`, 1)),
		"text behind":      json.RawMessage(strings.Replace(good, `END SSH SIGNATURE-----\n`, `END SSH SIGNATURE-----\n\n`, 1)),
		"JSON behind":      json.RawMessage(good + good),
		"an unknown field": json.RawMessage(strings.Replace(good, "{", `{"alg":"none",`, 1)),
		"another spelling": json.RawMessage(strings.Replace(good, "signature", "Signature", 1)),
		"two signatures":   json.RawMessage(strings.TrimSuffix(good, "}") + "," + strings.TrimPrefix(good, "{")),
		"a list":           json.RawMessage("[" + good + "]"),
		"not base64":       proofOf(t, armorBegin+"U1NI!"+armorEnd),
		"no armor":         proofOf(t, "U1NIU0lH"),
		"nothing":          nil,
		"null":             json.RawMessage("null"),
		"too long":         proofOf(t, armorBegin+strings.Repeat("A", maxProof)+armorEnd),
	} {
		if err := Verify(evidence(k, proof), k, terms, writ.Yes); !errors.Is(err, writ.Forbidden) && !errors.Is(err, writ.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEvidenceIsOfItsDecision refuses what is true of something else.
func TestEvidenceIsOfItsDecision(t *testing.T) {
	key := newSigner(t)
	k := enrolled(t, key.PublicKey())
	good := evidence(k, making(t, key).proof(t, challenge(t)))
	with := func(change func(*writ.Evidence)) writ.Evidence {
		e := good
		change(&e)
		return e
	}
	for name, e := range map[string]writ.Evidence{
		"other nonce":   with(func(e *writ.Evidence) { e.Nonce = []byte("fedcba9876543210") }),
		"short nonce":   with(func(e *writ.Evidence) { e.Nonce = []byte("0123") }),
		"other key":     with(func(e *writ.Evidence) { e.Key = "ssh-0" }),
		"other uid":     with(func(e *writ.Evidence) { e.KeyUID = "key-2" }),
		"a session":     with(func(e *writ.Evidence) { e.Method = writ.BySession }),
		"a passkey":     with(func(e *writ.Evidence) { e.Method = writ.ByPasskey }),
		"of no method":  with(func(e *writ.Evidence) { e.Method = "" }),
		"of any method": with(func(e *writ.Evidence) { e.Method = "any" }),
	} {
		if err := Verify(e, k, terms, writ.Yes); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if err := Verify(good, k, "sha256:"+writ.Digest(strings.Repeat("0", 64)), writ.Yes); !errors.Is(err, writ.Forbidden) {
		t.Errorf("other terms: %v", err)
	}
}

// TestSHA1NeverCounts, whatever hash the envelope says.
func TestSHA1NeverCounts(t *testing.T) {
	data, err := os.ReadFile(keygen(t, "rsa", "-b", "2048"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParsePrivateKey(data)
	if err != nil {
		t.Fatal(err)
	}
	k, m := enrolled(t, key.PublicKey()), making(t, key)
	for format, counts := range map[string]bool{ssh.KeyAlgoRSA: false, ssh.KeyAlgoRSASHA256: true, ssh.KeyAlgoRSASHA512: true} {
		m.inner = func(signed []byte) *ssh.Signature {
			sig, err := key.(ssh.AlgorithmSigner).SignWithAlgorithm(rand.Reader, signed, format)
			if err != nil {
				t.Fatal(err)
			}
			return sig
		}
		if err := Verify(evidence(k, m.proof(t, challenge(t))), k, terms, writ.Yes); counts != (err == nil) {
			t.Errorf("%s: %v", format, err)
		}
	}
}

// A security key signs as an authenticator does: PROTOCOL.u2f of OpenSSH.
type securityKeyOf struct {
	pub   ssh.PublicKey
	flags byte
	sign  func(message []byte) []byte // the blob of the signature
}

func (k securityKeyOf) PublicKey() ssh.PublicKey { return k.pub }

func (k securityKeyOf) Sign(_ io.Reader, data []byte) (*ssh.Signature, error) {
	application, message := sha256.Sum256([]byte("ssh:")), sha256.Sum256(data)
	rest := []byte{k.flags, 0, 0, 0, 7}
	return &ssh.Signature{Format: k.pub.Type(), Blob: k.sign(bytes.Join([][]byte{application[:], rest, message[:]}, nil)), Rest: rest}, nil
}

func securityKeys(t testing.TB) []securityKeyOf {
	t.Helper()
	edPub, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := ec.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	parse := func(fields any) ssh.PublicKey {
		pub, err := ssh.ParsePublicKey(ssh.Marshal(fields))
		if err != nil {
			t.Fatal(err)
		}
		return pub
	}
	ecSigner := signerOf(t, ec)
	return []securityKeyOf{
		{parse(struct{ Type, Key, Application string }{ssh.KeyAlgoSKED25519, string(edPub), "ssh:"}), 1, func(m []byte) []byte { return ed25519.Sign(ed, m) }},
		{parse(struct{ Type, Curve, Key, Application string }{ssh.KeyAlgoSKECDSA256, "nistp256", string(point), "ssh:"}), 1, func(m []byte) []byte {
			sig, err := ecSigner.Sign(rand.Reader, m)
			if err != nil {
				t.Fatal(err)
			}
			return sig.Blob
		}},
	}
}

// TestSecurityKeysAreTouched: a signature that nobody touched the key for is none.
func TestSecurityKeysAreTouched(t *testing.T) {
	for _, key := range securityKeys(t) {
		k := enrolled(t, key.pub)
		for flags, counts := range map[byte]bool{0: false, 1: true, 4: false, 5: true} {
			key.flags = flags
			proof, err := SignSSH(rand.Reader, key, ApprovalNamespace, challenge(t))
			if err != nil {
				t.Fatal(err)
			}
			if err := Verify(evidence(k, proof), k, terms, writ.Yes); counts != (err == nil) {
				t.Errorf("%s with flags %d: %v", key.pub.Type(), flags, err)
			}
		}
		key.flags = 1
		m := making(t, key)
		inner := m.inner
		for name, change := range map[string]func(*ssh.Signature){
			"flags that were set after": func(s *ssh.Signature) { s.Rest = []byte{5, 0, 0, 0, 7} },
			"another counter":           func(s *ssh.Signature) { s.Rest = []byte{1, 0, 0, 0, 8} },
			"no flags":                  func(s *ssh.Signature) { s.Rest = nil },
			"more than flags":           func(s *ssh.Signature) { s.Rest = append(bytes.Clone(s.Rest), 0) },
		} {
			m.inner = func(signed []byte) *ssh.Signature { s := inner(signed); change(s); return s }
			if err := Verify(evidence(k, m.proof(t, challenge(t))), k, terms, writ.Yes); !errors.Is(err, writ.Forbidden) {
				t.Errorf("%s with %s: %v", key.pub.Type(), name, err)
			}
		}
	}
}

// TestKeysThatDoNotCount are refused before anybody signs with them.
func TestKeysThatDoNotCount(t *testing.T) {
	signer := newSigner(t)
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	certificate := &ssh.Certificate{Key: signer.PublicKey(), CertType: ssh.UserCert, ValidBefore: ssh.CertTimeInfinity}
	if err := certificate.SignCert(rand.Reader, signer); err != nil {
		t.Fatal(err)
	}
	small, err := os.ReadFile(keygen(t, "rsa", "-b", "1024") + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"nothing": "", "text": "hello", "two": line + "\n" + line, "with options": "no-touch-required " + line,
		"a certificate": string(ssh.MarshalAuthorizedKey(certificate)), "a small RSA key": string(small),
	} {
		if k, err := SSHKey(text); !errors.Is(err, writ.Invalid) {
			t.Errorf("%s: %+v, %v", name, k, err)
		}
	}
	k, err := SSHKey(line + " ann@laptop\n")
	if err != nil || k.Title != "ann@laptop" || k.Public != line || len(k.Name) != len("ssh-")+16 {
		t.Errorf("%+v, %v", k, err)
	}
}

// TestEnrolmentNamesThePerson: a signature for one person, or for a decision,
// enrols nothing for another.
func TestEnrolmentNamesThePerson(t *testing.T) {
	key, ann, eve := newSigner(t), writ.Party{Name: "human/ann", UID: "ide-1"}, writ.Party{Name: "human/eve", UID: "ide-2"}
	k := enrolled(t, key.PublicKey())
	c, err := writ.EnrolChallenge(nonce, ann)
	if err != nil {
		t.Fatal(err)
	}
	proof := func(namespace string) json.RawMessage {
		p, err := SignSSH(rand.Reader, key, namespace, c[:])
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if err := VerifyEnrol(k, proof(EnrolNamespace), nonce, ann); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"for another":         VerifyEnrol(k, proof(EnrolNamespace), nonce, eve),
		"for nobody":          VerifyEnrol(k, proof(EnrolNamespace), nonce, writ.Party{}),
		"of an approval":      VerifyEnrol(k, proof(ApprovalNamespace), nonce, ann),
		"with another nonce":  VerifyEnrol(k, proof(EnrolNamespace), []byte("fedcba9876543210"), ann),
		"of another key":      VerifyEnrol(enrolled(t, newSigner(t).PublicKey()), proof(EnrolNamespace), nonce, ann),
		"with another method": VerifyEnrol(writ.Key{Method: writ.ByPasskey}, proof(EnrolNamespace), nonce, ann),
	} {
		if err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
}
