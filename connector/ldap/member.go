package ldap

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/writhq/writ/connector"
)

// Grant makes the account a member of the group.
func (d *directory) Grant(ctx context.Context, co connector.Order) (connector.Receipt, error) {
	o, err := read(co)
	if err != nil {
		return connector.Receipt{}, err
	}
	if !time.Now().Before(o.Until) {
		return connector.Receipt{}, refuse("the order for %s ended at %s", o.Request, o.Until.Format(time.RFC3339))
	}
	switch {
	case !within(d.groups, o.group) || d.groups.EqualFold(o.group):
		return connector.Receipt{}, refuse("group %s does not lie below %s, where the target's groups are", o.group, d.Groups)
	case d.stands(o.group).EqualFold(o.member):
		return connector.Receipt{}, refuse("member %s only stands in for nobody; change grant.member", o.member)
	}
	r, err := d.add(ctx, o)
	return r, d.fault(ctx, "make "+external(o.group, o.member), err)
}

func (d *directory) add(ctx context.Context, o order) (connector.Receipt, error) {
	s, err := d.enter(ctx)
	if err != nil {
		return connector.Receipt{}, err
	}
	defer s.leave()
	if err := s.here(o); err != nil {
		return connector.Receipt{}, err
	}
	account, err := s.at(o.member)
	if err != nil {
		return connector.Receipt{}, err
	}
	if account == nil || account.id == "" {
		return connector.Receipt{}, refuse("account %s does not exist, or %s may not read its entryUUID; create it or change grant.member", o.member, d.BindDN)
	}
	for range 20 {
		group, err := s.at(o.group)
		if err != nil {
			return connector.Receipt{}, err
		}
		if group == nil || group.id == "" {
			return connector.Receipt{}, refuse("group %s does not exist, or %s may not read its entryUUID; create it or change grant.group", o.group, d.BindDN)
		}
		controls, err := s.unchanged(group)
		if err != nil {
			return connector.Receipt{}, err
		}
		err = s.change(o.group, change{add: o.member.String()}, controls)
		if err == nil || ldap.IsErrorWithCode(err, ldap.LDAPResultAttributeOrValueExists) {
			return connector.Receipt{External: external(o.group, o.member), Detail: map[string]string{
				"group": o.group.String(), "groupID": group.id, "member": o.member.String(), "memberID": account.id,
			}}, nil
		}
		if !ldap.IsErrorWithCode(err, ldap.LDAPResultAssertionFailed) {
			return connector.Receipt{}, err
		}
	}
	return connector.Receipt{}, errBusy
}

// stands returns the member that a group has in place of none.
func (d *directory) stands(group *ldap.DN) *ldap.DN {
	dn, err := ldap.ParseDN(cmp.Or(d.Placeholder, group.String()))
	if err != nil {
		return group
	}
	return dn
}

// never reports whether this is what Grant refuses because it stands for nobody.
// That a group lies elsewhere is looked at: the configuration may have changed.
func (d *directory) never(o order, r connector.Receipt) bool {
	return r.External == "" && d.stands(o.group).EqualFold(o.member)
}

// Revoke makes the account no member of the group, under whatever names the two
// go by now.
func (d *directory) Revoke(ctx context.Context, co connector.Order, r connector.Receipt) error {
	o := locate(co)
	if !o.possible() || d.never(o, r) {
		return ctx.Err()
	}
	return d.fault(ctx, "end "+external(o.group, o.member), d.remove(ctx, o, r))
}

func (d *directory) remove(ctx context.Context, o order, r connector.Receipt) error {
	s, err := d.enter(ctx)
	if err != nil {
		return err
	}
	defer s.leave()
	if err := s.here(o); err != nil {
		return err
	}
	places, err := s.places(o, r)
	if err != nil {
		return err
	}
	for _, p := range places {
		if err := s.without(p); err != nil {
			return err
		}
	}
	return nil
}

// without makes sure that the member is not there, and that no earlier Grant which
// is still under way will put it there: those only succeed while the group is as
// they read it, and this changes it whether the member was there or not.
func (s *session) without(p place) error {
	member := p.member.String()
	err := s.change(p.group, change{delete: member}, nil)
	if ldap.IsErrorWithCode(err, ldap.LDAPResultObjectClassViolation) { // it is the last one
		err = s.change(p.group, change{add: s.stands(p.group).String(), delete: member}, nil)
	}
	if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchAttribute) {
		err = s.change(p.group, change{add: member, delete: member}, nil)
	}
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
		return s.sees() // the group is gone
	case ldap.IsErrorAnyOf(err, ldap.LDAPResultInsufficientAccessRights, ldap.LDAPResultAttributeOrValueExists):
		there, lookErr := s.has(p.group, p.member)
		if lookErr == nil && !there { // nobody who may not write it can have made it
			return s.sees()
		}
	}
	return err
}

// sees makes sure that what is not found is not there, rather than hidden from
// Writ's account.
func (s *session) sees() error {
	top, err := s.at(s.groups)
	if err == nil && top == nil {
		err = fmt.Errorf("%s is not there, or %s may not read it any more, so what it holds is not known", s.Groups, s.BindDN)
	}
	return err
}

// Observe reads the group.
func (d *directory) Observe(ctx context.Context, co connector.Order, r connector.Receipt) (connector.Observation, error) {
	o := locate(co)
	if !o.possible() || d.never(o, r) {
		return connector.Observation{State: connector.Absent}, ctx.Err()
	}
	seen, err := d.look(ctx, o, r)
	return seen, d.fault(ctx, "observe "+external(o.group, o.member), err)
}

func (d *directory) look(ctx context.Context, o order, r connector.Receipt) (connector.Observation, error) {
	s, err := d.enter(ctx)
	if err != nil {
		return connector.Observation{}, err
	}
	defer s.leave()
	if err := s.here(o); err != nil {
		return connector.Observation{}, err
	}
	places, err := s.places(o, r)
	if err != nil {
		return connector.Observation{}, err
	}
	for _, p := range places {
		there, err := s.has(p.group, p.member)
		if err != nil {
			return connector.Observation{}, err
		}
		if there {
			seen := observed(p.group, p.member)
			seen.Differs, err = s.differs(o, r, p)
			return seen, err
		}
	}
	return connector.Observation{State: connector.Absent}, s.sees()
}

// differs says in which ways the membership is not the one that was granted: by
// name, or because another entry goes by it.
func (s *session) differs(o order, r connector.Receipt, p place) (ways []string, err error) {
	for _, e := range []struct {
		what, id    string
		is, ordered *ldap.DN
	}{{"group", r.Detail["groupID"], p.group, o.group}, {"account", r.Detail["memberID"], p.member, o.member}} {
		now, err := s.at(e.is)
		switch {
		case err != nil:
			return nil, err
		case now == nil:
			ways = append(ways, fmt.Sprintf("the %s %s is gone", e.what, e.is))
		case e.id != "" && now.id != e.id:
			ways = append(ways, fmt.Sprintf("the %s %s is another one than when access was granted", e.what, e.is))
		}
		if !e.is.EqualFold(e.ordered) {
			ways = append(ways, fmt.Sprintf("the %s is called %s, ordered was %s", e.what, e.is, e.ordered))
		}
	}
	return ways, nil
}

func observed(group, member *ldap.DN) connector.Observation {
	return connector.Observation{External: external(group, member), State: connector.Present,
		Detail: map[string]string{"group": group.String(), "member": member.String()}}
}
