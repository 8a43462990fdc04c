// Package redis gives access to Redis 7.0 and later, and to Valkey: a user of the
// server's access control list made for one request, with a random password and
// the entitled rules.
//
// The list belongs to one server and is not replicated, so a target is one server.
package redis

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"

	"github.com/writhq/writ/connector"
)

// Driver opens connectors to Redis servers.
type Driver struct{}

// Manifest says what Redis can do. It knows no end of a user: Writ ends it.
func (Driver) Manifest() connector.Manifest {
	return connector.Manifest{
		Name:     "redis",
		Summary:  "Redis, Valkey: a user for each grant, limited to keys, channels and commands",
		Kinds:    []connector.Kind{connector.Password},
		Readable: true,
		ListsAll: true,
		EndsOpen: true,
	}
}

// A config is the configuration of one target.
type config struct {
	URL             string `json:"url"`             // without a password: "rediss://writ@redis.internal:6379"
	PasswordFrom    string `json:"passwordFrom"`    // of Writ's own user: "file:NAME" or "env:WRIT_SECRET_NAME"
	CAFrom          string `json:"caFrom"`          // who signs the server's certificate, PEM; empty: whom the system trusts
	CertificateFrom string `json:"certificateFrom"` // of Writ, PEM, where the server asks for one
	KeyFrom         string `json:"keyFrom"`         // of that certificate, PEM
	Host            string `json:"host"`            // where holders connect, if not where Writ does
	Port            string `json:"port"`            // likewise
}

// A host is one Redis server that Writ has a user on.
type host struct {
	config
	addr     string // host:port, where Writ connects
	secure   bool   // by TLS
	user     string // Writ's own
	secret   func(ref string) (connector.Secret, error)
	instance atomic.Pointer[string]
}

// Open returns the connector of one server. It does not connect yet.
func (Driver) Open(_ context.Context, data json.RawMessage, env connector.Env) (connector.Connector, error) {
	s := &host{secret: env.Secret}
	err := decode(data, &s.config)
	if err == nil {
		err = s.locate()
	}
	if err == nil {
		_, _, err = s.keys()
	}
	if err != nil {
		return nil, fmt.Errorf("redis: configuration of target %s: %w", env.Target, err)
	}
	return s, nil
}

// locate understands the URL.
func (s *host) locate() error {
	u, err := url.Parse(s.URL)
	if err != nil || u.Scheme != "redis" && u.Scheme != "rediss" || u.Hostname() == "" {
		return errors.New("url is no URL such as rediss://writ@redis.internal:6379") // and may hold a password: not repeated
	}
	_, inline := u.User.Password()
	switch {
	case inline || u.RawQuery != "":
		return errors.New("url holds a password or parameters; take them out and name where the password is kept: passwordFrom: file:NAME or env:WRIT_SECRET_NAME")
	case u.User.Username() == "":
		return errors.New("url names no user to connect as: rediss://writ@…")
	case strings.Trim(u.Path, "/") != "":
		return errors.New("url names a database; users are for all of them")
	case s.PasswordFrom == "":
		return errors.New("passwordFrom is missing: where the password of Writ's user is kept, file:NAME or env:WRIT_SECRET_NAME")
	}
	s.user, s.secure = u.User.Username(), u.Scheme == "rediss"
	if !s.secure && !loopback(u.Hostname()) {
		return fmt.Errorf("url: passwords would cross the network to %s in the clear; use rediss://", u.Hostname())
	}
	if !s.secure && s.CAFrom+s.CertificateFrom+s.KeyFrom != "" {
		return errors.New("caFrom, certificateFrom and keyFrom belong to rediss://")
	}
	port := cmp.Or(u.Port(), "6379")
	s.addr = net.JoinHostPort(u.Hostname(), port)
	s.Host, s.Port = cmp.Or(s.Host, u.Hostname()), cmp.Or(s.Port, port)
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// keys returns what it takes to be let in. It is read each time: all of it may be
// rotated.
func (s *host) keys() (password connector.Secret, settings *tls.Config, err error) {
	if password, err = s.secret(s.PasswordFrom); err != nil || !s.secure {
		return password, nil, err
	}
	settings = &tls.Config{MinVersion: tls.VersionTLS12}
	if s.CAFrom != "" {
		pem, err := s.secret(s.CAFrom)
		if err != nil {
			return password, nil, err
		}
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM([]byte(pem.Reveal())) {
			return password, nil, fmt.Errorf("caFrom: there is no certificate (PEM) in %s", s.CAFrom)
		}
	}
	if s.CertificateFrom+s.KeyFrom == "" {
		return password, settings, nil
	}
	certificate, err := s.secret(s.CertificateFrom)
	if err != nil {
		return password, nil, err
	}
	key, err := s.secret(s.KeyFrom)
	if err != nil {
		return password, nil, err
	}
	pair, err := tls.X509KeyPair([]byte(certificate.Reveal()), []byte(key.Reveal()))
	if err != nil {
		return password, nil, fmt.Errorf("%s and %s are no certificate and its key", s.CertificateFrom, s.KeyFrom)
	}
	settings.Certificates = []tls.Certificate{pair}
	return password, settings, nil
}

// Close does nothing: each call has a connection of its own.
func (*host) Close() error { return nil }

// enter connects and logs in.
func (s *host) enter(ctx context.Context) (*wire, error) {
	password, settings, err := s.keys()
	if err != nil {
		return nil, err
	}
	w, err := dial(ctx, s.addr, settings)
	if err != nil {
		return nil, err
	}
	if _, err := w.ask(command{"AUTH", s.user, password.Reveal()}); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// decode reads exactly one object with no field that v does not have.
func decode(data json.RawMessage, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there is more after the object")
	}
	return nil
}

var forbidden = regexp.MustCompile(`^NOPERM .*'([^']+)' command`)

// fault makes an error out of what the server or the way to it said, during what
// was being done.
func (s *host) fault(ctx context.Context, doing string, err error) error {
	var said failure
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("redis: %s: %w", doing, ctx.Err())
	case !errors.As(err, &said):
		return fmt.Errorf("redis: %s: %w", doing, err)
	case said.volatile():
		return refuse("%s: server %s keeps no aclfile, so a restart would lose who has access, or bring it back; set aclfile in its configuration", doing, s.addr)
	}
	if m := forbidden.FindStringSubmatch(string(said)); m != nil {
		return refuse("%s: Writ's user %s may not run %s; run: ACL SETUSER %[2]s +%[3]s", doing, s.user, m[1])
	}
	if said.final() {
		return refuse("%s: %s", doing, said)
	}
	return fmt.Errorf("redis: %s: %s", doing, said)
}

// refuse makes an error that another try will not mend.
func refuse(format string, args ...any) error {
	return fmt.Errorf("redis: "+format+": %w", append(args, connector.ErrRefused)...)
}
