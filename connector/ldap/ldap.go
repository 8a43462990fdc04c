// Package ldap gives access through membership in the groups of a directory: an
// account that exists becomes a member of the entitled group (RFC 4511; groups as
// groupOfNames of RFC 4519, or as Active Directory's group).
package ldap

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/writhq/writ/connector"
)

// Driver opens connectors to directories.
type Driver struct{}

// Manifest says what a directory can do. It knows no end of a membership, and
// nothing of what is open in the systems that look at it.
func (Driver) Manifest() connector.Manifest {
	return connector.Manifest{
		Name:     "ldap",
		Summary:  "LDAP directory: membership in a group",
		Kinds:    []connector.Kind{connector.Membership},
		Readable: true,
		ListsAll: true,
	}
}

// A config is the configuration of one target.
type config struct {
	URL             string `json:"url"`             // "ldaps://ldap.internal:636", or ldap:// with startTLS
	StartTLS        bool   `json:"startTLS"`        // ask for TLS on an ldap:// connection
	CAFrom          string `json:"caFrom"`          // who signs the server's certificate, PEM; empty: whom the system trusts
	BindDN          string `json:"bindDN"`          // Writ's own account
	PasswordFrom    string `json:"passwordFrom"`    // of that account: "file:NAME" or "env:WRIT_SECRET_NAME"
	Base            string `json:"base"`            // entry at the top of the directory, whose id tells it from others
	Groups          string `json:"groups"`          // entry that all groups lie below: nothing else is touched, all of it is listed
	MemberAttribute string `json:"memberAttribute"` // "member" or "uniqueMember"; empty: member
	Placeholder     string `json:"placeholder"`     // member that stands in where a group may not be empty; empty: the group itself
}

// A directory is one directory that Writ has an account in.
type directory struct {
	config
	addr         string // host:port
	host         string
	base, groups *ldap.DN
	secret       func(ref string) (connector.Secret, error)
}

// Open returns the connector of one directory. It does not connect yet.
func (Driver) Open(_ context.Context, data json.RawMessage, env connector.Env) (connector.Connector, error) {
	d := &directory{secret: env.Secret}
	err := decode(data, &d.config)
	if err == nil {
		err = errors.Join(d.locate(), d.understand())
	}
	if err == nil {
		_, _, err = d.keys()
	}
	if err != nil {
		return nil, fmt.Errorf("ldap: configuration of target %s: %w", env.Target, err)
	}
	return d, nil
}

// locate understands the URL.
func (d *directory) locate() error {
	u, err := url.Parse(d.URL)
	if err != nil || u.Scheme != "ldap" && u.Scheme != "ldaps" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/")+u.RawQuery != "" {
		return errors.New("url is no URL such as ldaps://ldap.internal, a host and nothing more") // and may hold a password: not repeated
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"ldap": "389", "ldaps": "636"}[u.Scheme]
	}
	d.host, d.addr = u.Hostname(), net.JoinHostPort(u.Hostname(), port)
	ip := net.ParseIP(d.host)
	near := d.host == "localhost" || ip != nil && ip.IsLoopback()
	switch {
	case u.Scheme == "ldaps" && d.StartTLS:
		return errors.New("startTLS belongs to ldap://; ldaps:// is TLS from the start")
	case u.Scheme == "ldap" && !d.StartTLS && !near:
		return fmt.Errorf("url: Writ's password would cross the network to %s in the clear; use ldaps://, or startTLS: true", d.host)
	case u.Scheme == "ldap" && !d.StartTLS && d.CAFrom != "":
		return errors.New("caFrom belongs to ldaps:// or startTLS")
	}
	return nil
}

// understand reads the names in the configuration.
func (d *directory) understand() error {
	if d.PasswordFrom == "" {
		return errors.New("passwordFrom is missing: where the password of bindDN is kept, file:NAME or env:WRIT_SECRET_NAME")
	}
	if d.MemberAttribute == "" {
		d.MemberAttribute = "member"
	}
	if !slices.Contains([]string{"member", "uniqueMember"}, d.MemberAttribute) {
		return fmt.Errorf("memberAttribute is %q, not member or uniqueMember", d.MemberAttribute)
	}
	var bad error
	name := func(field, text string) *ldap.DN {
		dn, err := ldap.ParseDN(text)
		if err != nil || len(dn.RDNs) == 0 {
			bad = errors.Join(bad, fmt.Errorf("%s: %q is no distinguished name such as ou=groups,dc=example,dc=org", field, text))
		}
		return dn
	}
	name("bindDN", d.BindDN)
	d.base, d.groups = name("base", d.Base), name("groups", d.Groups)
	if d.Placeholder != "" {
		name("placeholder", d.Placeholder)
	}
	if bad == nil && !within(d.base, d.groups) {
		return fmt.Errorf("groups %q does not lie below base %q", d.Groups, d.Base)
	}
	return bad
}

// keys returns what it takes to be let in. It is read each time: it may be rotated.
func (d *directory) keys() (connector.Secret, *tls.Config, error) {
	password, err := d.secret(d.PasswordFrom)
	if err == nil && password.Reveal() == "" { // a bind without a password is anonymous, and succeeds (RFC 4513, section 5.1.2)
		err = fmt.Errorf("%s is empty", d.PasswordFrom)
	}
	settings := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: d.host}
	if err != nil || d.CAFrom == "" {
		return password, settings, err
	}
	pem, err := d.secret(d.CAFrom)
	if err != nil {
		return password, nil, err
	}
	settings.RootCAs = x509.NewCertPool()
	if !settings.RootCAs.AppendCertsFromPEM([]byte(pem.Reveal())) {
		return password, nil, fmt.Errorf("caFrom: there is no certificate (PEM) in %s", d.CAFrom)
	}
	return password, settings, nil
}

// Close does nothing: each call has a connection of its own.
func (*directory) Close() error { return nil }

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

// fault makes an error out of what the server or the way to it said, during what
// was being done.
func (d *directory) fault(ctx context.Context, doing string, err error) error {
	var said *ldap.Error
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("ldap: %s: %w", doing, ctx.Err())
	case errors.Is(err, connector.ErrRefused):
		return err
	case !errors.As(err, &said):
		return fmt.Errorf("ldap: %s: %w", doing, err)
	case said.ResultCode == ldap.LDAPResultInsufficientAccessRights:
		return refuse("%s: %s may not write %s there; see which rights it needs in docs/reference/connectors/ldap.md", doing, d.BindDN, d.MemberAttribute)
	case slices.Contains(final, said.ResultCode):
		return refuse("%s: %v", doing, said)
	}
	return fmt.Errorf("ldap: %s: %w", doing, said)
}

// final are result codes (RFC 4511, appendix A) by which the server means no, now
// and later.
var final = []uint16{
	ldap.LDAPResultUndefinedAttributeType, ldap.LDAPResultConstraintViolation, ldap.LDAPResultInvalidAttributeSyntax,
	ldap.LDAPResultInvalidDNSyntax, ldap.LDAPResultUnwillingToPerform, ldap.LDAPResultObjectClassViolation,
}

// refuse makes an error that another try will not mend.
func refuse(format string, args ...any) error {
	return fmt.Errorf("ldap: "+format+": %w", append(args, connector.ErrRefused)...)
}
