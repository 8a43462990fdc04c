package ldap

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/writhq/writ/connector"
)

// A session is one connection on which Writ's account is known.
type session struct {
	*ldap.Conn
	*directory
	stop func() bool
}

// enter connects and logs in. Once the context is done, so is the connection.
func (d *directory) enter(ctx context.Context) (*session, error) {
	password, settings, err := d.keys()
	if err != nil {
		return nil, err
	}
	within, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var dialer net.Dialer
	raw, err := dialer.DialContext(within, "tcp", d.addr)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	conn, secure := raw, strings.HasPrefix(d.URL, "ldaps:")
	if secure {
		wrapped := tls.Client(raw, settings)
		if err := wrapped.HandshakeContext(within); err != nil {
			stop()
			_ = raw.Close()
			return nil, err
		}
		conn = wrapped
	}
	s := &session{ldap.NewConn(conn, secure), d, stop}
	s.Start()
	if d.StartTLS {
		err = s.StartTLS(settings)
	}
	if err == nil {
		err = s.Bind(d.BindDN, password.Reveal())
	}
	if err != nil {
		s.leave()
		return nil, err
	}
	return s, nil
}

func (s *session) leave() {
	s.stop()
	_ = s.Conn.Close()
}

// An entry is what is read of one. Fields that Writ's account may not see are empty.
type entry struct {
	dn  *ldap.DN
	id  string // entryUUID=… (RFC 4530) or objectGUID=… in hex (Active Directory)
	csn string // changes with the entry, where the server has it
}

// find returns the entries that a filter finds, at or below a name.
func (s *session) find(base *ldap.DN, scope int, filter string) (all []entry, err error) {
	found, err := s.Search(ldap.NewSearchRequest(base.String(), scope, ldap.NeverDerefAliases, 0, 0, false, filter, []string{"entryUUID", "objectGUID", "entryCSN"}, nil))
	if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, f := range found.Entries {
		dn, err := ldap.ParseDN(f.DN)
		if err != nil {
			return nil, fmt.Errorf("the server calls an entry %q: %w", f.DN, err)
		}
		e := entry{dn: dn, csn: f.GetAttributeValue("entryCSN")}
		if id := f.GetAttributeValue("entryUUID"); id != "" {
			e.id = "entryUUID=" + id
		} else if id := f.GetRawAttributeValue("objectGUID"); len(id) > 0 {
			e.id = "objectGUID=" + hex.EncodeToString(id)
		}
		all = append(all, e)
	}
	return all, nil
}

// at returns the entry of a name; nil: there is none, or none to be seen.
func (s *session) at(dn *ldap.DN) (*entry, error) {
	found, err := s.find(dn, ldap.ScopeBaseObject, "(objectClass=*)")
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// known returns the entry that had an id when access was granted, wherever it is
// by now; nil: it is gone, or the id is not known.
func (s *session) known(id string) (*entry, error) {
	name, value, ok := strings.Cut(id, "=")
	if !ok {
		return nil, nil
	}
	value = ldap.EscapeFilter(value)
	if raw, err := hex.DecodeString(value); name == "objectGUID" && err == nil {
		value = ""
		for _, b := range raw {
			value += fmt.Sprintf(`\%02x`, b)
		}
	}
	found, err := s.find(s.base, ldap.ScopeWholeSubtree, "("+name+"="+value+")")
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// here refuses, for another try, unless this is the directory that o is for.
func (s *session) here(o order) error {
	is, err := s.identify()
	if err != nil || o.Instance == "" || is == o.Instance {
		return err
	}
	return fmt.Errorf("this is %s, but the order is for %s; point the target's configuration to that one", is, o.Instance)
}

// identify returns the id of the entry at the top, which all replicas share and
// which a directory keeps for as long as it lives.
func (s *session) identify() (string, error) {
	top, err := s.at(s.base)
	if err != nil {
		return "", err
	}
	if top == nil || top.id == "" {
		return "", fmt.Errorf("base %s is not there, or %s may not read its entryUUID (objectGUID)", s.Base, s.BindDN)
	}
	return "directory " + top.id, nil
}

// Instance returns which directory this is.
func (d *directory) Instance(ctx context.Context) (is string, err error) {
	s, err := d.enter(ctx)
	if err == nil {
		is, err = s.identify()
		s.leave()
	}
	return is, d.fault(ctx, "ask which directory this is", err)
}

// assertion is a control by which a server changes an entry only if a filter
// still holds (RFC 4528).
const assertion = "1.3.6.1.1.12"

// unchanged returns the control by which a change is made only while the entry is
// as it was read; nil where the server does not know it.
func (s *session) unchanged(e *entry) ([]ldap.Control, error) {
	found, err := s.Search(ldap.NewSearchRequest("", ldap.ScopeBaseObject, ldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)", []string{"supportedControl"}, nil))
	if err != nil {
		return nil, err
	}
	if len(found.Entries) == 0 || !slices.Contains(found.Entries[0].GetAttributeValues("supportedControl"), assertion) {
		return nil, nil
	}
	if e.csn == "" {
		return nil, refuse("%s may not read entryCSN of %s, without which a grant could arrive after its end", s.BindDN, e.dn)
	}
	filter, err := ldap.CompileFilter("(entryCSN=" + ldap.EscapeFilter(e.csn) + ")")
	if err != nil {
		return nil, err
	}
	return []ldap.Control{ldap.NewControlString(assertion, true, string(filter.Bytes()))}, nil
}

// A change adds members to a group, then deletes some, in one step.
type change struct{ add, delete string }

func (s *session) change(group *ldap.DN, c change, controls []ldap.Control) error {
	m := ldap.NewModifyRequest(group.String(), controls)
	if c.add != "" {
		m.Add(s.MemberAttribute, []string{c.add})
	}
	if c.delete != "" {
		m.Delete(s.MemberAttribute, []string{c.delete})
	}
	return s.Modify(m)
}

// has reports whether a group has a member.
func (s *session) has(group, member *ldap.DN) (bool, error) {
	found, err := s.find(group, ldap.ScopeBaseObject, "("+s.MemberAttribute+"="+ldap.EscapeFilter(member.String())+")")
	return len(found) > 0, err
}

// A place is where a membership may be: as it was ordered and, where the receipt
// tells ids, as the entries are called by now.
type place struct{ group, member *ldap.DN }

func (s *session) places(o order, r connector.Receipt) ([]place, error) {
	groups, err := s.names(o.group, r.Detail["groupID"])
	if err != nil {
		return nil, err
	}
	members, err := s.names(o.member, r.Detail["memberID"])
	if err != nil {
		return nil, err
	}
	var all []place
	for _, g := range groups {
		for _, m := range members {
			all = append(all, place{g, m})
		}
	}
	return all, nil
}

func (s *session) names(ordered *ldap.DN, id string) ([]*ldap.DN, error) {
	e, err := s.known(id)
	if err != nil || e == nil || e.dn.EqualFold(ordered) {
		return []*ldap.DN{ordered}, err
	}
	return []*ldap.DN{ordered, e.dn}, nil
}

var errBusy = errors.New("the group was changed by others each time; another try will do")
