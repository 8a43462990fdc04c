package ldap

import (
	"context"
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/writhq/writ/connector"
)

// List calls f for every member of every group.
func (d *directory) List(ctx context.Context, f func(connector.Observation) error) error {
	var stop error
	err := d.each(ctx, func(group, member *ldap.DN) error {
		if d.stands(group).EqualFold(member) {
			return nil
		}
		stop = f(observed(group, member))
		return stop
	})
	if stop != nil {
		return stop
	}
	return d.fault(ctx, "list members", err)
}

func (d *directory) each(ctx context.Context, f func(group, member *ldap.DN) error) error {
	s, err := d.enter(ctx)
	if err != nil {
		return err
	}
	defer s.leave()
	if err := s.sees(); err != nil {
		return err
	}
	found, err := s.SearchWithPaging(ldap.NewSearchRequest(d.Groups, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false,
		"("+d.MemberAttribute+"=*)", []string{d.MemberAttribute}, nil), 500)
	if err != nil {
		return err
	}
	for _, e := range found.Entries {
		group, members, err := s.members(e)
		if err != nil {
			return err
		}
		for _, member := range members {
			if err := f(group, member); err != nil {
				return err
			}
		}
	}
	return nil
}

// members returns the name of a group and those of all its members.
func (s *session) members(e *ldap.Entry) (group *ldap.DN, all []*ldap.DN, err error) {
	if group, err = ldap.ParseDN(e.DN); err != nil {
		return nil, nil, fmt.Errorf("the server calls a group %q: %w", e.DN, err)
	}
	for _, a := range e.Attributes {
		if !strings.EqualFold(a.Name, s.MemberAttribute) { // Active Directory cuts long lists: member;range=0-1499
			return nil, nil, fmt.Errorf("group %s has more members than the server tells at once (%s)", e.DN, a.Name)
		}
		for _, value := range a.Values {
			member, err := ldap.ParseDN(value)
			if err != nil {
				return nil, nil, fmt.Errorf("group %s has a member %q that is no name: %w", e.DN, value, err)
			}
			all = append(all, member)
		}
	}
	return group, all, nil
}
