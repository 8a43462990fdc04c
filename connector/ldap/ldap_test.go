package ldap

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/internal/realtest"
	"github.com/writhq/writ/internal/realtest/server"
)

// TestEachRightIsNeeded has a server that withholds one right after the other. The
// refusal must name it.
func TestEachRightIsNeeded(t *testing.T) {
	for name, c := range map[string]struct{ without, want string }{
		"write members":     {rights["write"], "may not write member"},
		"read groups":       {rights["groups"], "group cn=deploy,ou=groups,dc=example,dc=org does not exist, or cn=writ,"},
		"read change marks": {",entryCSN", "may not read entryCSN"},
		"read accounts":     {rights["people"], "account cn=req-a,ou=people,dc=example,dc=org does not exist, or cn=writ,"},
		"read the base":     {rights["base"], "may not read its entryUUID"},
	} {
		t.Run(name, func(t *testing.T) {
			s := siteOn(t, server.LDAPConfig{Access: access(c.without)})
			conn, o := s.open(), s.order("req-a", connector.Membership)
			if _, err := conn.Grant(t.Context(), o); err == nil || !strings.Contains(err.Error(), c.want) || name != "read the base" && !errors.Is(err, connector.ErrRefused) {
				t.Errorf("grant: %v, want a refusal that says %q", err, c.want)
			}
			if got := s.members(); len(got) > 0 {
				t.Errorf("granted without the right: %q", got)
			}
			if seen, err := conn.Observe(t.Context(), o, connector.Receipt{}); err == nil && (name == "read groups" || name == "read the base") {
				t.Errorf("what Writ may not see is observed: %+v", seen)
			}
		})
	}
}

// TestLastOneOut: a group that may not be empty gets something in place of its
// last member, which nobody takes for one.
func TestLastOneOut(t *testing.T) {
	s := newSite(t)
	conn, o := s.open(), s.order("req-a", connector.Membership)
	const only = "cn=only,ou=groups,dc=example,dc=org"
	s.make(only, "objectClass=groupOfNames", "cn=only", "member=cn=req-a,"+people)
	o.Scope["group"] = "only"
	r, err := conn.Grant(t.Context(), o) // standing membership is taken over
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := conn.Revoke(t.Context(), o, r); err != nil {
			t.Fatal(err)
		}
		if got := s.members(); len(got) > 0 {
			t.Errorf("left: %q", got)
		}
	}
	if err := conn.List(t.Context(), func(seen connector.Observation) error { return fmt.Errorf("listed: %+v", seen) }); err != nil {
		t.Error(err)
	}
	if seen, err := conn.Observe(t.Context(), o, r); err != nil || seen.State != connector.Absent {
		t.Errorf("observed %+v, %v", seen, err)
	}
}

// TestGroupAsInActiveDirectory: such a group may be empty, and is afterwards.
func TestGroupAsInActiveDirectory(t *testing.T) {
	s := newSite(t)
	const ad = "cn=ad,ou=groups,dc=example,dc=org"
	s.make(ad, "objectClass=group", "cn=ad", "groupType=2", "instanceType=4", "nTSecurityDescriptor=x", "objectCategory=cn=Group,"+people)
	conn, o := s.open(), s.order("req-a", connector.Membership)
	o.Scope["group"] = "ad"
	r, err := conn.Grant(t.Context(), o)
	if err == nil {
		err = s.works(t.Context(), o, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Revoke(t.Context(), o, r); err != nil {
		t.Fatal(err)
	}
	found, err := s.root.Search(ldap.NewSearchRequest(ad, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 0, 0, false, "(member=*)", nil, nil))
	if err != nil || len(found.Entries) > 0 {
		t.Errorf("the group still has a member: %v", err)
	}
}

// TestGroupOfUniqueNames keeps its members in another attribute.
func TestGroupOfUniqueNames(t *testing.T) {
	s := siteOn(t, server.LDAPConfig{Access: strings.Replace(access(), "attrs=member", "attrs=uniqueMember", 1)})
	const unique = "cn=unique,ou=groups,dc=example,dc=org"
	s.make(unique, "objectClass=groupOfUniqueNames", "cn=unique", "uniqueMember="+unique)
	var c config
	if err := json.Unmarshal(s.config(s.Addr), &c); err != nil {
		t.Fatal(err)
	}
	c.MemberAttribute = "uniqueMember"
	conn, err := Driver{}.Open(t.Context(), marshal(c), connector.Env{Target: "site", Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	o := s.order("req-a", connector.Membership)
	o.Scope["group"] = "unique"
	r, err := conn.Grant(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	members := func() []string {
		found, err := s.root.Search(ldap.NewSearchRequest(unique, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)", []string{"uniqueMember"}, nil))
		if err != nil {
			t.Fatal(err)
		}
		return found.Entries[0].GetAttributeValues("uniqueMember")
	}
	if got := members(); !slices.Equal(got, []string{unique, "cn=req-a," + people}) {
		t.Errorf("members: %q", got)
	}
	if seen, err := conn.Observe(t.Context(), o, r); err != nil || seen.State != connector.Present || len(seen.Differs) > 0 {
		t.Errorf("observed %+v, %v", seen, err)
	}
	if err := conn.Revoke(t.Context(), o, r); err != nil {
		t.Error(err)
	}
	if got := members(); !slices.Equal(got, []string{unique}) {
		t.Errorf("left: %q", got)
	}
}

// TestRenamedAccountIsFound: a directory that follows names, or somebody who does
// it by hand, moves the membership along.
func TestRenamedAccountIsFound(t *testing.T) {
	s := newSite(t)
	conn, o := s.open(), s.order("req-a", connector.Membership)
	r, err := conn.Grant(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	s.rename("cn=req-a,"+people, "cn=somebody")
	m := ldap.NewModifyRequest(deploy, nil)
	m.Add("member", []string{"cn=somebody," + people})
	m.Delete("member", []string{"cn=req-a," + people})
	if err := s.root.Modify(m); err != nil {
		t.Fatal(err)
	}
	if seen, err := conn.Observe(t.Context(), o, r); err != nil || seen.State != connector.Present || !slices.ContainsFunc(seen.Differs, func(way string) bool { return strings.Contains(way, "cn=somebody") }) {
		t.Errorf("observed %+v, %v", seen, err)
	}
	if err := conn.Revoke(t.Context(), o, r); err != nil {
		t.Error(err)
	}
	if got := s.members(); len(got) > 0 {
		t.Errorf("left: %q", got)
	}
}

// TestNamesAreEscaped uses an account whose name would end every kind of quotation.
func TestNamesAreEscaped(t *testing.T) {
	s := newSite(t)
	hard := `a,ou=services+cn=b\ "*)(cn=*)<>;#=é`
	s.make("cn="+ldap.EscapeDN(hard)+","+people, "objectClass=person", "cn="+hard, "sn=x", "userPassword=of-the-account")
	conn, o := s.open(), s.order("req-a", connector.Membership)
	o.Scope["account"] = hard
	r, err := conn.Grant(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.members(); len(got) != 1 {
		t.Errorf("members: %q", got)
	}
	listed := 0
	err = conn.List(t.Context(), func(seen connector.Observation) error {
		if seen.External == r.External {
			listed++
		}
		return nil
	})
	if err != nil || listed != 1 {
		t.Errorf("%s is listed %d times: %v", r.External, listed, err)
	}
	if seen, err := conn.Observe(t.Context(), o, r); err != nil || seen.State != connector.Present || len(seen.Differs) > 0 {
		t.Errorf("observed %+v, %v", seen, err)
	}
	if err := conn.Revoke(t.Context(), o, r); err != nil {
		t.Error(err)
	}
	if got := s.members(); len(got) > 0 {
		t.Errorf("left: %q", got)
	}
}

// slow is a way to the server on which the first message with a certain word
// waits, also when whoever sent it has given up.
func slow(t *testing.T, upstream, word string) (addr string, waits <-chan struct{}, let func()) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	arrived, free := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		client, err := l.Accept()
		if err != nil {
			return
		}
		defer client.Close()
		target, err := net.Dial("tcp", upstream)
		if err != nil {
			t.Error(err)
			return
		}
		defer target.Close()
		all.Go(func() { _, _ = io.Copy(client, target) })
		buf := make([]byte, 1<<16)
		for {
			n, err := client.Read(buf)
			if err != nil {
				return
			}
			late := strings.Contains(string(buf[:n]), word)
			if late {
				close(arrived)
				<-free
			}
			if _, err := target.Write(buf[:n]); err != nil {
				return
			}
			if late {
				time.Sleep(200 * time.Millisecond) // for the server to carry it out, if it would
			}
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return l.Addr().String(), arrived, sync.OnceFunc(func() { close(free) })
}

// TestRevokeDuringGrant lets what a Grant sent arrive after the Revoke. It must
// not be carried out.
func TestRevokeDuringGrant(t *testing.T) {
	s := newSite(t)
	addr, waits, let := slow(t, s.Addr, assertion) // the change itself
	defer let()
	far, err := Driver{}.Open(t.Context(), s.config(addr), connector.Env{Target: "far", Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	o := s.order("req-a", connector.Membership)
	ctx, giveUp := context.WithCancel(t.Context())
	granted := make(chan error, 1)
	go func() {
		_, err := far.Grant(ctx, o)
		granted <- err
	}()
	<-waits
	giveUp()
	if err := <-granted; !errors.Is(err, context.Canceled) {
		t.Errorf("grant: %v", err)
	}
	if err := s.open().Revoke(t.Context(), o, connector.Receipt{}); err != nil {
		t.Error(err)
	}
	let()
	time.Sleep(300 * time.Millisecond)
	if got := s.members(); len(got) > 0 {
		t.Errorf("granted after the end: %q", got)
	}
}

// certificate makes a certificate that signs itself.
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

// TestTLS connects both ways, and to a server that nobody vouches for.
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
	settings := "TLSCertificateFile " + certFile + "\nTLSCertificateKeyFile " + keyFile
	env := connector.Env{Target: "site", Secret: func(ref string) (connector.Secret, error) {
		if ref == "file:ca" {
			return connector.Conceal(string(cert)), nil
		}
		return secret(ref)
	}}
	list := func(s *site, change func(*config)) error {
		var c config
		if err := json.Unmarshal(s.config(s.Addr), &c); err != nil {
			t.Fatal(err)
		}
		c.CAFrom = "file:ca"
		change(&c)
		conn, err := Driver{}.Open(t.Context(), marshal(c), env)
		if err != nil {
			return err
		}
		return conn.List(t.Context(), func(connector.Observation) error { return nil })
	}
	start := siteOn(t, server.LDAPConfig{Access: access(), Settings: settings})
	if err := list(start, func(c *config) { c.StartTLS = true }); err != nil {
		t.Errorf("startTLS: %v", err)
	}
	if err := list(start, func(c *config) { c.StartTLS, c.CAFrom = true, "" }); err == nil {
		t.Error("startTLS: a server that nobody vouches for is believed")
	}
	bare := newSite(t)
	if err := list(bare, func(c *config) { c.StartTLS = true }); err == nil {
		t.Error("startTLS: went on without it")
	}
	l := realtest.LDAP(t, server.LDAPConfig{Access: access(), Settings: settings, TLS: true})
	err = list(&site{TB: t, LDAP: l}, func(c *config) { c.URL = "ldaps://" + l.Addr })
	if !ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) { // there are no accounts yet, but it was asked
		t.Errorf("ldaps: %v", err)
	}
	if err := list(&site{TB: t, LDAP: l}, func(c *config) { c.URL, c.CAFrom = "ldaps://"+l.Addr, "" }); err == nil || ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
		t.Errorf("ldaps: a server that nobody vouches for is told the password: %v", err)
	}
}
