package issuer

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/writhq/writ/connector"
)

func TestCertificateSaysWhatWasOrderedAndNoMore(t *testing.T) {
	_, target := open(t, Config{DB: sqliteDB(t), Sole: true})
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serials := map[string]bool{}
	for n, key := range []any{clientKey, p384, rsaKey, edKey} {
		o := order(t, fmt.Sprintf("req-%d", n), connector.Certificate, time.Now())
		o.Subject, o.PublicKey = "team/ci deploy", csrOf(t, key)
		r, text := grant(t, target, o)
		block, rest := pem.Decode([]byte(text))
		if len(rest) > 0 {
			t.Fatalf("more than one certificate: %s", text)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if c.Subject.String() != "CN=team/ci deploy" || len(c.URIs) != 1 || c.URIs[0].String() != "writ:team/ci%20deploy" {
			t.Errorf("it is for %s, %v", c.Subject, c.URIs)
		}
		if len(c.DNSNames)+len(c.EmailAddresses)+len(c.IPAddresses) > 0 {
			t.Errorf("it holds what the request asked for: %v %v", c.DNSNames, c.EmailAddresses)
		}
		if c.IsCA || c.KeyUsage != x509.KeyUsageDigitalSignature || len(c.ExtKeyUsage) != 1 || c.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth || len(c.UnknownExtKeyUsage) > 0 {
			t.Errorf("CA %t, usage %v, %v", c.IsCA, c.KeyUsage, c.ExtKeyUsage)
		}
		if c.NotAfter.After(o.Until) || o.Until.Sub(c.NotAfter) > time.Second || c.NotBefore.After(o.From) {
			t.Errorf("from %s until %s, ordered %s until %s", c.NotBefore, c.NotAfter, o.From, o.Until)
		}
		if serial := hex.EncodeToString(c.SerialNumber.Bytes()); serial != r.Detail["id"] || len(serial) != 32 || serials[serial] {
			t.Errorf("serial %s, recorded %s, seen before %t", serial, r.Detail["id"], serials[serial])
		} else {
			serials[serial] = true
		}
		noRevAvail := 0
		for _, e := range c.Extensions {
			if e.Id.String() == "2.5.29.56" && !e.Critical && bytes.Equal(e.Value, []byte{5, 0}) {
				noRevAvail++
			}
		}
		if noRevAvail != 1 || len(c.CRLDistributionPoints)+len(c.OCSPServer) > 0 {
			t.Errorf("noRevAvail %d times, CRL %v, OCSP %v", noRevAvail, c.CRLDistributionPoints, c.OCSPServer)
		}
	}
}

func TestCertificateOpensTLSAndOnlyAsClient(t *testing.T) {
	_, target := open(t, Config{DB: sqliteDB(t), Sole: true})
	r, _ := grant(t, target, order(t, "req-1", connector.Certificate, time.Now()))
	var peer *x509.Certificate
	if serial, err := handshake(r.Credential, func(c *x509.Certificate) { peer = c }); err != nil || serial != r.Detail["id"] || peer.Subject.CommonName != "ci-deploy" {
		t.Errorf("serial %s, %v", serial, err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(r.Credential.Files["ca.crt"].Reveal()))
	if _, err := peer.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err == nil {
		t.Error("it would pass as a server's")
	}
	foreign := *r.Credential
	foreign.Files = map[string]connector.Secret{"client.crt": r.Credential.Files["client.crt"], "ca.crt": connector.Conceal(otherCA(t))}
	if _, err := handshake(&foreign, nil); err == nil {
		t.Error("a server that trusts another authority accepts it")
	}
}

func otherCA(t *testing.T) string {
	t.Helper()
	keys, err := testKeys().Rotate("Writ test CA", rand.Reader, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: keys.CACert}))
}

func TestCertificateLifeIsBounded(t *testing.T) {
	c := newClock()
	_, target := open(t, Config{DB: sqliteDB(t), Sole: true, Now: c.now})
	for life, refused := range map[time.Duration]bool{7 * 24 * time.Hour: false, 7*24*time.Hour + 2*time.Second: true} {
		o := order(t, "req-"+life.String(), connector.Certificate, c.now())
		o.Until = o.From.Add(life)
		if _, err := target.Grant(t.Context(), o); errors.Is(err, connector.ErrRefused) != refused {
			t.Errorf("%s: %v", life, err)
		}
	}
	ca, err := x509.ParseCertificate(testKeys().CACert)
	if err != nil {
		t.Fatal(err)
	}
	c.at.Store(ca.NotAfter.Add(-3 * 24 * time.Hour).UnixNano())
	o := order(t, "req-late", connector.Certificate, c.now())
	o.Until = o.From.Add(6 * 24 * time.Hour)
	if _, err := target.Grant(t.Context(), o); !errors.Is(err, connector.ErrRefused) || !strings.Contains(err.Error(), "rotate") {
		t.Errorf("a certificate that outlives its authority: %v", err)
	}
}

// tool returns the path of a program of OpenSSH. Where it is missing the test is
// skipped, but not under CI.
func tool(t *testing.T, name string) string {
	t.Helper()
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/usr/local/sbin") {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("not tested here: %s is not installed", name)
	return ""
}

func TestSSHKeygenReadsTheCertificate(t *testing.T) {
	keygen := tool(t, "ssh-keygen")
	_, target := open(t, Config{DB: sqliteDB(t), Sole: true})
	o := order(t, "req-1", connector.SSHCert, time.Now())
	o.Grant = []byte(`{"principals":["deploy","backup"],"extensions":["permit-pty"],"sourceAddress":["192.0.2.0/24","::1/128"],"forceCommand":"/usr/bin/uptime"}`)
	r, text := grant(t, target, o)
	file := filepath.Join(t.TempDir(), "id-cert.pub")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), keygen, "-L", "-f", file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got := regexp.MustCompile(`\s+`).ReplaceAllString(string(out), " ")
	local := func(at time.Time) string { return at.Local().Format("2006-01-02T15:04:05") }
	for _, want := range []string{
		"Type: ssh-ed25519-cert-v01@openssh.com user certificate",
		`Key ID: "req-1"`,
		"Serial: " + r.Detail["id"],
		"Valid: from " + local(o.From.Truncate(time.Second)) + " to " + local(o.Until.Truncate(time.Second)),
		"Principals: deploy backup Critical Options: force-command /usr/bin/uptime source-address 192.0.2.0/24,::1/128 Extensions: permit-pty ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
	if strings.Contains(got, "Extensions: permit-pty permit") || strings.Contains(got, "permit-port") {
		t.Errorf("more than was asked for: %s", got)
	}
}

// An sshd is a real OpenSSH server that trusts the authority.
type sshd struct {
	port     string
	dir      string
	revoked  string // path of its RevokedKeys
	keygen   string
	identity string // path of the private key that certificates are for
}

func startSSHD(t *testing.T, ca []byte) *sshd {
	t.Helper()
	program := tool(t, "sshd")
	s := &sshd{dir: t.TempDir(), keygen: tool(t, "ssh-keygen")}
	tool(t, "ssh")
	s.revoked, s.identity = filepath.Join(s.dir, "revoked"), filepath.Join(s.dir, "id")
	write := func(name, content string) string {
		t.Helper()
		path := filepath.Join(s.dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, key := range []string{"host", "id"} {
		if out, err := exec.Command(s.keygen, "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(s.dir, key)).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	s.port = freePort(t)
	write("revoked", "")
	config := write("sshd_config", strings.Join([]string{
		"ListenAddress 127.0.0.1", "Port " + s.port, "HostKey " + filepath.Join(s.dir, "host"), "PidFile none",
		"TrustedUserCAKeys " + write("ca.pub", string(ca)), "RevokedKeys " + s.revoked,
		"AuthorizedPrincipalsFile " + write("principals", "deploy\n"), "AuthorizedKeysFile none",
		"UsePAM no", "StrictModes no", "PasswordAuthentication no", "KbdInteractiveAuthentication no", "PermitRootLogin yes",
	}, "\n")+"\n")
	if os.Getuid() == 0 { // where it separates its privileges
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	cmd := exec.Command(program, "-D", "-e", "-f", config)
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("sshd said: %s", log.String())
		}
	})
	for range 100 {
		if conn, err := net.Dial("tcp", "127.0.0.1:"+s.port); err == nil {
			conn.Close()
			return s
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("sshd does not listen")
	return nil
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// login runs a command over SSH with the certificate, as whoever runs the tests.
func (s *sshd) login(t *testing.T, certificate, command string) (out string, err error) {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(s.dir, "id-cert.pub")
	if err := os.WriteFile(file, []byte(certificate), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	b, err := exec.CommandContext(ctx, tool(t, "ssh"), "-F", "none", "-p", s.port, "-i", s.identity, "-o", "CertificateFile="+file,
		"-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile="+filepath.Join(s.dir, "known"), me.Username+"@127.0.0.1", command).CombinedOutput()
	return strings.TrimSpace(string(b)), err
}

func TestSSHDHonoursCertificatesUntilTheyEnd(t *testing.T) {
	t.Parallel()
	i, target := open(t, Config{DB: sqliteDB(t), Sole: true})
	server := httptest.NewServer(i.Handler())
	defer server.Close()
	s := startSSHD(t, fetched(t, server.URL+"/ssh_ca.pub"))
	public, err := os.ReadFile(s.identity + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	issue := func(request, section string, life time.Duration) (connector.Order, string) {
		t.Helper()
		o := order(t, request, connector.SSHCert, time.Now())
		o.PublicKey, o.Grant, o.Until = string(public), []byte(section), time.Now().Add(life)
		_, certificate := grant(t, target, o)
		return o, certificate
	}
	enters := func(certificate, want string) {
		t.Helper()
		if out, err := s.login(t, certificate, "echo asked"); err != nil || out != want {
			t.Errorf("login: %s, %v; want %s", out, err, want)
		}
	}
	refused := func(why, certificate string) {
		t.Helper()
		if out, err := s.login(t, certificate, "echo asked"); err == nil || !strings.Contains(out, "Permission denied") {
			t.Errorf("%s: let in: %s, %v", why, out, err)
		}
	}
	o, plain := issue("req-1", `{"principals":["deploy"]}`, time.Hour)
	enters(plain, "asked")
	_, forced := issue("req-2", `{"principals":["deploy"],"forceCommand":"echo forced","sourceAddress":["127.0.0.0/8"]}`, time.Hour)
	enters(forced, "forced")
	_, elsewhere := issue("req-3", `{"principals":["deploy"],"sourceAddress":["192.0.2.0/24"]}`, time.Hour)
	refused("from another address", elsewhere)
	_, other := issue("req-4", `{"principals":["backup"]}`, time.Hour)
	refused("for another account", other)
	_, short := issue("req-5", `{"principals":["deploy"]}`, 2*time.Second)
	expired := time.Now().Add(2 * time.Second)

	revoke(t, target, o)
	if err := os.WriteFile(s.revoked, fetched(t, server.URL+"/ssh_krl"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("revoked", plain)
	enters(forced, "forced")
	time.Sleep(time.Until(expired))
	refused("expired", short)
}

func fetched(t *testing.T, url string) []byte {
	t.Helper()
	reply, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	content, err := io.ReadAll(reply.Body)
	if err != nil || reply.StatusCode != 200 {
		t.Fatalf("GET %s: %s, %v", url, reply.Status, err)
	}
	return content
}

// The list that ssh-keygen reads holds what was ended early, under old keys too,
// and forgets it once it would have run out.
func TestKRLHoldsWhatEndedEarly(t *testing.T) {
	keygen := tool(t, "ssh-keygen")
	c, db, dir := newClock(), sqliteDB(t), t.TempDir()
	before, target := open(t, Config{DB: db, Sole: true, Now: c.now})
	o := order(t, "req-1", connector.SSHCert, c.now())
	_, certificate := grant(t, target, o)
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	rotated, err := testKeys().Rotate("next", rand.Reader, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	i, target := open(t, Config{DB: db, Sole: true, Now: c.now, Keys: rotated})
	if keys := sshLines(i.mint.SSHCAs()); bytes.Count(keys, []byte("\n")) != 2 {
		t.Errorf("published: %s", keys)
	}
	_, kept := grant(t, target, order(t, "req-2", connector.SSHCert, c.now()))
	listed := func(certificate string) bool {
		t.Helper()
		list, err := i.KRL(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		krl, file := filepath.Join(dir, "krl"), filepath.Join(dir, "cert.pub")
		if err := errors.Join(os.WriteFile(krl, list, 0o600), os.WriteFile(file, []byte(certificate), 0o600)); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), keygen, "-Q", "-f", krl, file).CombinedOutput()
		revoked := strings.Contains(string(out), "REVOKED")
		if err != nil && !revoked || !revoked && !strings.Contains(string(out), "ok") {
			t.Fatalf("%v: %s", err, out)
		}
		return revoked
	}
	if listed(certificate) || listed(kept) {
		t.Error("listed before they ended")
	}
	revoke(t, target, o)
	c.forward(krlFor)
	if !listed(certificate) || listed(kept) {
		t.Error("the one that ended is not listed, or the other one is")
	}
	c.forward(2 * time.Hour)
	list, err := i.KRL(t.Context())
	if err != nil || len(list) > 100 {
		t.Errorf("%d bytes after everything has run out, %v", len(list), err)
	}
}

func TestSSHCertificatesHaveSerialsOfTheirOwn(t *testing.T) {
	_, target := open(t, Config{DB: sqliteDB(t), Sole: true})
	seen := map[uint64]bool{}
	for n := range 50 {
		_, text := grant(t, target, order(t, fmt.Sprintf("req-%d", n), connector.SSHCert, time.Now()))
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		c := key.(*ssh.Certificate)
		if c.Serial == 0 || seen[c.Serial] || c.KeyId != fmt.Sprintf("req-%d", n) || len(c.ValidPrincipals) != 1 {
			t.Errorf("serial %d, key id %s, principals %v", c.Serial, c.KeyId, c.ValidPrincipals)
		}
		seen[c.Serial] = true
	}
}
