package redis

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/internal/realtest"
	"github.com/writhq/writ/internal/realtest/server"
)

// TestRotatedPasswordIsTaken changes the password of Writ's own user.
func TestRotatedPasswordIsTaken(t *testing.T) {
	s := newSite(t)
	password := writsPassword
	conn, err := Driver{}.Open(t.Context(), s.config(s.Addr), connector.Env{Target: "site",
		Secret: func(string) (connector.Secret, error) { return connector.Conceal(password), nil }})
	if err != nil {
		t.Fatal(err)
	}
	look := func() error { return conn.List(t.Context(), func(connector.Observation) error { return nil }) }
	s.do("ACL SETUSER writ resetpass >another")
	if err := look(); err == nil || errors.Is(err, connector.ErrRefused) || strings.Contains(err.Error(), password) {
		t.Errorf("with the old password: %v, want an error that another try can mend", err)
	}
	password = "another"
	if err := look(); err != nil {
		t.Error(err)
	}
}

// certificate makes a certificate that signs itself, for server and client alike.
func certificate(t *testing.T) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}

// TestTLS connects to a server that wants a certificate of its clients, as Redis
// does unless it is told otherwise.
func TestTLS(t *testing.T) {
	dir, err := os.MkdirTemp("", "writ-test-") // the server must be able to enter it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	cert, key := certificate(t)
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(certFile, cert, 0o644), os.WriteFile(keyFile, key, 0o644)); err != nil {
		t.Fatal(err)
	}
	users := fmt.Sprintf("user writ on >%s -@all +%s\n", writsPassword, strings.Join(rights, " +"))
	r := realtest.Redis(t, server.RedisConfig{Users: []byte(users), TLS: []string{"--tls-cert-file", certFile, "--tls-key-file", keyFile, "--tls-ca-cert-file", certFile}})
	secrets := map[string]string{"env:PW": writsPassword, "file:cert": string(cert), "file:key": string(key)}
	env := connector.Env{Target: "site", Secret: func(ref string) (connector.Secret, error) {
		if secrets[ref] == "" {
			return connector.Secret{}, fmt.Errorf("no secret %s", ref)
		}
		return connector.Conceal(secrets[ref]), nil
	}}
	c := config{URL: "rediss://writ@" + r.Addr, PasswordFrom: "env:PW", CAFrom: "file:cert", CertificateFrom: "file:cert", KeyFrom: "file:key"}
	list := func(c config) error {
		conn, err := Driver{}.Open(t.Context(), marshal(c), env)
		if err != nil {
			return err
		}
		return conn.List(t.Context(), func(connector.Observation) error { return nil })
	}
	if err := list(c); err != nil {
		t.Error(err)
	}
	distrusting, nameless, swapped := c, c, c
	distrusting.CAFrom, nameless.CertificateFrom, nameless.KeyFrom, swapped.KeyFrom = "", "", "", "file:cert"
	for name, wrong := range map[string]config{"a server nobody vouches for": distrusting, "no certificate of ours": nameless, "no key": swapped} {
		if err := list(wrong); err == nil || errors.Is(err, connector.ErrRefused) || strings.Contains(err.Error(), "PRIVATE") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestConfigMistakesAreNamed(t *testing.T) {
	for config, want := range map[string]string{
		`{}`:                           "url is no URL",
		`{"url": "http://writ@redis"}`: "url is no URL",
		`{"url": "redis://writ:pw-1234@redis:port"}`:                                                       "url is no URL",
		`{"url": "rediss://writ:pw-1234@redis"}`:                                                           "passwordFrom",
		`{"url": "rediss://writ@redis?password=pw-1234"}`:                                                  "passwordFrom",
		`{"url": "rediss://redis"}`:                                                                        "names no user",
		`{"url": "rediss://writ@redis/1", "passwordFrom": "env:WRIT_REDIS"}`:                               "names a database",
		`{"url": "rediss://writ@redis"}`:                                                                   "passwordFrom is missing",
		`{"url": "redis://writ@redis", "passwordFrom": "env:WRIT_REDIS"}`:                                  "use rediss://",
		`{"url": "redis://writ@127.0.0.1", "passwordFrom": "env:WRIT_REDIS", "caFrom": "env:WRIT_REDIS"}`:  "belong to rediss://",
		`{"url": "rediss://writ@127.0.0.1", "passwordFrom": "env:WRIT_REDIS", "caFrom": "env:WRIT_REDIS"}`: "no certificate",
		`{"url": "rediss://writ@redis", "passwordFrom": "env:ABSENT"}`:                                     "no secret env:ABSENT",
		`{"url": "rediss://writ@redis", "password": "pw-1234"}`:                                            `unknown field "password"`,
	} {
		_, err := Driver{}.Open(t.Context(), json.RawMessage(config), connector.Env{Target: "prod", Secret: secret})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "prod") || strings.Contains(err.Error(), "pw-1234") {
			t.Errorf("%s: got %v, want the target and %q", config, err, want)
		}
	}
}
