package mint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/writhq/writ/connector"
)

// A Section is the grant section of an entitlement: what its credentials are
// good for. Which fields fit depends on the kind.
type Section struct {
	Audience      string   `json:"audience,omitempty"`      // service that is to accept the key or token; default: the target's
	Scopes        []string `json:"scopes,omitempty"`        // OAuth scope tokens (RFC 6749 section 3.3)
	Verifiers     []string `json:"verifiers,omitempty"`     // names of the only callers who are told that it is active; default: the target's, and empty: all
	Principals    []string `json:"principals,omitempty"`    // accounts an SSH certificate may log in to
	Extensions    []string `json:"extensions,omitempty"`    // of an SSH certificate; none is given unasked
	SourceAddress []string `json:"sourceAddress,omitempty"` // CIDR ranges an SSH certificate is good from
	ForceCommand  string   `json:"forceCommand,omitempty"`  // the only command an SSH certificate may run
}

// Decode decodes text, which is one JSON object, into v, and refuses fields that
// v does not have.
func Decode(text []byte, v any) error {
	if !bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		return errors.New("it is no JSON object")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}

// ParseSection reads a grant section and says what is wrong with it for
// credentials of the kind.
func ParseSection(grant json.RawMessage, kind connector.Kind) (Section, error) {
	var s Section
	if err := Decode(grant, &s); err != nil {
		return s, fmt.Errorf("issuer: the grant section cannot be read: %w", err)
	}
	return s, s.check(kind)
}

func (s Section) check(kind connector.Kind) error {
	ssh := s.Principals != nil || s.Extensions != nil || s.SourceAddress != nil || s.ForceCommand != ""
	switch {
	case !slices.Contains(Kinds, kind):
		return fmt.Errorf("issuer: it does not issue %q; choose one of %v", kind, Kinds)
	case !Bearer(kind) && (s.Audience != "" || s.Scopes != nil || s.Verifiers != nil):
		return fmt.Errorf("issuer: grant.audience, grant.scopes and grant.verifiers mean nothing for a %s; remove them", kind)
	case kind != connector.SSHCert && ssh:
		return fmt.Errorf("issuer: grant.principals, grant.extensions, grant.sourceAddress and grant.forceCommand mean nothing for a %s; remove them", kind)
	case kind == connector.SSHCert && len(s.Principals) == 0:
		return errors.New("issuer: an ssh-certificate without principals would be good for every account; set grant.principals")
	}
	for _, list := range []struct {
		name, rule string
		values     []string
		good       func(string) bool
	}{
		{"scopes", "an OAuth scope has no blank, quote or backslash", s.Scopes, scopeToken.MatchString},
		{"verifiers", "write the name of an identity", s.Verifiers, name},
		{"principals", "a principal is made of letters, digits and ._@:/+-", s.Principals, principal.MatchString},
		{"extensions", "OpenSSH knows " + strings.Join(extensions, ", "), s.Extensions, func(v string) bool { return slices.Contains(extensions, v) }},
		{"sourceAddress", "write a range such as 192.0.2.0/24, a single host as 192.0.2.1/32", s.SourceAddress, network},
	} {
		if err := checkList("grant."+list.name, list.rule, list.values, list.good); err != nil {
			return err
		}
	}
	if strings.ContainsAny(s.ForceCommand, "\r\n\x00") {
		return errors.New("issuer: grant.forceCommand must be one line")
	}
	return nil
}

func checkList(name, rule string, values []string, good func(string) bool) error {
	for i, v := range values {
		if !good(v) {
			return fmt.Errorf("issuer: %s[%d] is %q; %s", name, i, v, rule)
		}
		if slices.Contains(values[:i], v) {
			return fmt.Errorf("issuer: %s names %q twice; remove one", name, v)
		}
	}
	return nil
}

// Kinds are what can be made.
var Kinds = []connector.Kind{connector.APIKey, connector.AccessToken, connector.Certificate, connector.SSHCert}

var (
	extensions = []string{"permit-X11-forwarding", "permit-agent-forwarding", "permit-port-forwarding", "permit-pty", "permit-user-rc"}

	scopeToken = regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]+$`)
	principal  = regexp.MustCompile(`^[A-Za-z0-9._@:/+-]{1,255}$`)
)

func name(v string) bool { return v != "" && strings.TrimSpace(v) == v }

// sshd refuses a certificate whose range has host bits set.
func network(v string) bool {
	p, err := netip.ParsePrefix(v)
	return err == nil && p == p.Masked()
}

// Bearer says whether a kind is shown to the authority for verification. The
// other kinds are verified offline, by whoever trusts its public keys.
func Bearer(k connector.Kind) bool { return k == connector.APIKey || k == connector.AccessToken }

// Offline says whether somebody may honour a credential of the kind without
// asking the authority.
func Offline(k connector.Kind) bool { return k != connector.APIKey }

// Settings is the configuration of a target: what its entitlements share.
type Settings struct {
	Audience  string   `json:"audience,omitempty"`  // of keys and tokens whose grant section names none
	Verifiers []string `json:"verifiers,omitempty"` // who may be told that a key or token is active; empty: every authenticated caller
}

// ParseSettings reads the configuration of a target. Nothing at all is fine.
func ParseSettings(config json.RawMessage) (s Settings, err error) {
	if len(bytes.TrimSpace(config)) == 0 {
		return s, nil
	}
	if err := Decode(config, &s); err != nil {
		return s, fmt.Errorf("issuer: the configuration of the target cannot be read: %w", err)
	}
	return s, checkList("verifiers", "write the name of an identity", s.Verifiers, name)
}

// Section returns what the order grants at a target with these settings.
func (t Settings) Section(o connector.Order) (Section, error) {
	s, err := ParseSection(o.Grant, o.Kind)
	if err != nil {
		return s, refuse("%w", err)
	}
	if !Bearer(o.Kind) {
		return s, nil
	}
	if s.Audience == "" {
		s.Audience = t.Audience
	}
	if o.Kind == connector.AccessToken && s.Audience == "" {
		return s, refuse("issuer: an access-token needs an audience; set grant.audience or the audience of the target")
	}
	if len(s.Verifiers) == 0 {
		s.Verifiers = t.Verifiers
	}
	for _, v := range s.Verifiers {
		if len(t.Verifiers) > 0 && !slices.Contains(t.Verifiers, v) {
			return s, refuse("issuer: grant.verifiers names %q, whom the target does not allow; add it to the verifiers of the target", v)
		}
	}
	return s, nil
}
