package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// An LDAPConfig says how a throwaway OpenLDAP server runs.
type LDAPConfig struct {
	Access   string // rules about who may do what in the database, in the words of slapd.access(5)
	Settings string // further global settings, in the words of slapd.conf(5)
	TLS      bool   // ldaps, with what Settings say
}

// An LDAP is a running OpenLDAP server on loopback. Its database is empty.
type LDAP struct {
	Addr     string // host:port
	Suffix   string // the name that all entries lie below
	RootDN   string // who may do everything
	Password string // of RootDN

	process *process
}

// StartLDAP starts an OpenLDAP server and returns once it serves. The context
// bounds the start only. Without OpenLDAP on the machine the error is ErrMissing.
func StartLDAP(ctx context.Context, c LDAPConfig) (*LDAP, error) {
	l, err := startLDAP(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("openldap: %w", err)
	}
	return l, nil
}

func startLDAP(ctx context.Context, c LDAPConfig) (*LDAP, error) {
	path, err := exec.LookPath("slapd")
	if err != nil {
		path = "/usr/sbin/slapd"
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("slapd is neither in PATH nor in /usr/sbin; install package slapd: %w", ErrMissing)
	}
	who, err := unprivileged("openldap", "nobody")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "writ-ldap-")
	if err != nil {
		return nil, err
	}
	l := &LDAP{Suffix: "dc=example,dc=org", RootDN: "cn=root,dc=example,dc=org", Password: rand.Text()}
	s := spec{path: path, env: []string{"LC_ALL=C", "TZ=UTC"}, account: who, dir: dir, throwaway: true, quit: syscall.SIGKILL}
	if err = l.prepare(s, c); err == nil {
		err = l.serve(ctx, s, c)
	}
	if err != nil {
		_ = os.RemoveAll(dir)
	}
	return l, err
}

func (l *LDAP) prepare(s spec, c LDAPConfig) error {
	conf := fmt.Sprintf(`modulepath /usr/lib/ldap
moduleload back_mdb
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/msuser.schema
%s
database mdb
suffix "%s"
rootdn "%s"
rootpw %s
directory %s
dbnosync
%s
`, c.Settings, l.Suffix, l.RootDN, l.Password, s.dir, c.Access)
	file := filepath.Join(s.dir, "slapd.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return err
	}
	return errors.Join(own(s.dir, s.account), own(file, s.account))
}

// serve starts the server on a free port; a port taken in between is tried anew.
func (l *LDAP) serve(ctx context.Context, s spec, c LDAPConfig) error {
	scheme := "ldap"
	if c.TLS {
		scheme = "ldaps"
	}
	var err error
	for range 3 {
		var port int
		if port, err = freePort(); err != nil {
			return err
		}
		l.Addr = "127.0.0.1:" + strconv.Itoa(port)
		run := s
		run.args = []string{"-f", filepath.Join(s.dir, "slapd.conf"), "-h", scheme + "://" + l.Addr, "-d", "none"}
		if l.process, err = start(run); err != nil {
			return err
		}
		if err = l.ready(ctx); err == nil {
			return nil
		}
		words := l.process.lastWords()
		l.process.spec.throwaway = false // the directory serves the next try
		l.process.stop()
		err = fmt.Errorf("%w: %s", err, words)
		if !strings.Contains(words, "Address already in use") {
			break
		}
	}
	return err
}

// ready waits until the server can be reached.
func (l *LDAP) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", l.Addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-l.process.gone:
			return errors.New("the server ended at once")
		case <-ctx.Done():
			return fmt.Errorf("the server does not serve on %s: %w", l.Addr, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Stop kills the server and removes what it kept. A second call does nothing.
func (l *LDAP) Stop() { l.process.stop() }
