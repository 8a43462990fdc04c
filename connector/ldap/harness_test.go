package ldap

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/connector/connectortest"
	"github.com/writhq/writ/internal/realtest"
	"github.com/writhq/writ/internal/realtest/server"
)

// A site is a directory with something to protect: ou=vault, which only members of
// group deploy may read. Writ's account has exactly the rights that the
// documentation asks for.
type site struct {
	testing.TB
	*server.LDAP
	root *ldap.Conn
}

const (
	writsPassword = "the-password-of-writ"
	bindDN        = "cn=writ,ou=services,dc=example,dc=org"
	deploy        = "cn=deploy,ou=groups,dc=example,dc=org"
	people        = "ou=people,dc=example,dc=org"
)

// rights are those that the documentation asks for, by what they are for.
var rights = map[string]string{
	"write":  `access to dn.children="ou=groups,dc=example,dc=org" attrs=member by dn.exact="cn=writ,ou=services,dc=example,dc=org" write`,
	"groups": `access to dn.subtree="ou=groups,dc=example,dc=org" attrs=entry,objectClass,entryUUID,entryCSN by dn.exact="cn=writ,ou=services,dc=example,dc=org" read`,
	"people": `access to dn.subtree="ou=people,dc=example,dc=org" attrs=entry,objectClass,entryUUID by dn.exact="cn=writ,ou=services,dc=example,dc=org" read`,
	"base":   `access to dn.base="dc=example,dc=org" attrs=entry,objectClass,entryUUID by dn.exact="cn=writ,ou=services,dc=example,dc=org" read`,
}

// access returns the rules of the site, without some rights of Writ's.
func access(without ...string) string {
	rules := []string{`access to dn.subtree="ou=vault,dc=example,dc=org" by group/groupOfNames/member.exact="` + deploy + `" read by group/group/member.exact="cn=ad,ou=groups,dc=example,dc=org" read`,
		`access to attrs=userPassword by anonymous auth`}
	for _, name := range []string{"write", "groups", "people", "base"} {
		rule := rights[name]
		for _, take := range without {
			rule = strings.Replace(rule, take, "", 1)
		}
		if strings.Contains(rule, "access to") {
			rules = append(rules, rule)
		}
	}
	return strings.Join(append(rules, "access to * by * none"), "\n")
}

func newSite(t testing.TB) *site {
	t.Helper()
	return siteOn(t, server.LDAPConfig{Access: access()})
}

func siteOn(t testing.TB, c server.LDAPConfig) *site {
	t.Helper()
	s := &site{TB: t, LDAP: realtest.LDAP(t, c)}
	conn, err := ldap.DialURL("ldap://" + s.Addr)
	if err == nil {
		err = conn.Bind(s.RootDN, s.Password)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	s.root = conn
	s.make("dc=example,dc=org", "objectClass=dcObject", "objectClass=organization", "o=example", "dc=example")
	for _, ou := range []string{"groups", "people", "services", "vault"} {
		s.make("ou="+ou+",dc=example,dc=org", "objectClass=organizationalUnit", "ou="+ou)
	}
	s.account(bindDN, writsPassword)
	s.make("cn=secret,ou=vault,dc=example,dc=org", "objectClass=applicationProcess", "cn=secret")
	s.make(deploy, "objectClass=groupOfNames", "cn=deploy", "member="+deploy)
	return s
}

// make adds an entry with attributes name=value.
func (s *site) make(dn string, attributes ...string) {
	s.Helper()
	add, values := ldap.NewAddRequest(dn, nil), map[string][]string{}
	for _, a := range attributes {
		name, value, _ := strings.Cut(a, "=")
		values[name] = append(values[name], value)
	}
	for name, all := range values {
		add.Attribute(name, all)
	}
	if err := s.root.Add(add); err != nil {
		s.Fatalf("add %s: %v", dn, err)
	}
}

func (s *site) account(dn, password string) {
	s.Helper()
	name, _, _ := strings.Cut(strings.TrimPrefix(dn, "cn="), ",")
	s.make(dn, "objectClass=person", "cn="+name, "sn=x", "userPassword="+password)
}

func (s *site) drop(dn string) {
	s.Helper()
	if err := s.root.Del(ldap.NewDelRequest(dn, nil)); err != nil {
		s.Fatalf("delete %s: %v", dn, err)
	}
}

// members returns all members of all groups, but for the groups themselves.
func (s *site) members() (all []string) {
	s.Helper()
	found, err := s.root.Search(ldap.NewSearchRequest("ou=groups,dc=example,dc=org", ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, "(member=*)", []string{"member"}, nil))
	if err != nil {
		s.Fatal(err)
	}
	for _, e := range found.Entries {
		for _, member := range e.GetAttributeValues("member") {
			if member != e.DN {
				all = append(all, member+" in "+e.DN)
			}
		}
	}
	return all
}

func (s *site) count() int { return len(s.members()) }

func (s *site) config(addr string) json.RawMessage {
	return marshal(config{URL: "ldap://" + addr, BindDN: bindDN, PasswordFrom: "env:WRIT_LDAP", Base: "dc=example,dc=org", Groups: "ou=groups,dc=example,dc=org"})
}

func secret(ref string) (connector.Secret, error) {
	if ref != "env:WRIT_LDAP" {
		return connector.Secret{}, fmt.Errorf("no secret %s", ref)
	}
	return connector.Conceal(writsPassword), nil
}

func marshal(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

func (s *site) order(request string, kind connector.Kind) connector.Order {
	s.account("cn="+request+","+people, "of-the-account")
	return connector.Order{
		Request: request, Serial: "s-1", Kind: kind, From: time.Now().UTC(), Until: time.Now().UTC().Add(time.Hour),
		Scope: map[string]string{"account": request, "group": "deploy"},
		Grant: marshal(section{Group: "cn=${scope.group},ou=groups,dc=example,dc=org", Member: "cn=${scope.account}," + people}),
	}
}

// works reads the vault as the account.
func (s *site) works(_ context.Context, o connector.Order, _ *connector.Credential) error {
	conn, err := ldap.DialURL("ldap://" + s.Addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.Bind("cn="+o.Scope["account"]+","+people, "of-the-account"); err != nil {
		return err
	}
	found, err := conn.Search(ldap.NewSearchRequest("ou=vault,dc=example,dc=org", ldap.ScopeSingleLevel, ldap.NeverDerefAliases, 0, 0, false, "(cn=secret)", nil, nil))
	if err == nil && len(found.Entries) != 1 {
		err = errors.New("nothing to be seen")
	}
	return err
}

// alter makes another group or account go by the name.
func (s *site) alter() map[string]func(connector.Order, connector.Receipt) bool {
	return map[string]func(connector.Order, connector.Receipt) bool{
		"the account is made anew": func(o connector.Order, _ connector.Receipt) bool {
			dn := "cn=" + o.Scope["account"] + "," + people
			s.drop(dn)
			s.account(dn, "of-the-account")
			return true
		},
		"the group is made anew": func(o connector.Order, _ connector.Receipt) bool {
			s.drop(deploy)
			s.make(deploy, "objectClass=groupOfNames", "cn=deploy", "member="+deploy, "member=cn="+o.Scope["account"]+","+people)
			return true
		},
		"the account is gone": func(o connector.Order, _ connector.Receipt) bool {
			s.drop("cn=" + o.Scope["account"] + "," + people)
			return true
		},
		"the group is renamed": func(connector.Order, connector.Receipt) bool {
			s.rename(deploy, "cn=deployers")
			return true
		},
	}
}

func (s *site) rename(dn, rdn string) {
	s.Helper()
	if err := s.root.ModifyDN(ldap.NewModifyDNRequest(dn, rdn, true, "")); err != nil {
		s.Fatal(err)
	}
}

// restore gives the group its name back, for the next way to alter it.
func (s *site) restore(connector.Order, connector.Receipt) {
	if err := s.root.ModifyDN(ldap.NewModifyDNRequest("cn=deployers,ou=groups,dc=example,dc=org", "cn=deploy", true, "")); err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
		s.Fatal(err)
	}
}

func (s *site) foreign() string {
	s.account("cn=By Hand,"+people, "x")
	s.make("cn=others,ou=groups,dc=example,dc=org", "objectClass=groupOfNames", "cn=others", "member=cn=By Hand,"+people)
	return "cn=by hand,ou=people,dc=example,dc=org in cn=others,ou=groups,dc=example,dc=org"
}

func (s *site) refuse(connector.Kind) map[string]connector.Order {
	orders := map[string]connector.Order{}
	for name, g := range map[string]section{
		"a group that does not exist":            {"cn=nothing,ou=groups,dc=example,dc=org", bindDN},
		"an account that does not exist":         {deploy, "cn=nobody," + people},
		"a group elsewhere":                      {"cn=secret,ou=vault,dc=example,dc=org", "cn=nobody," + people},
		"all groups":                             {"ou=groups,dc=example,dc=org", "cn=nobody," + people},
		"the group as its own member":            {deploy, "CN=Deploy,ou=groups, dc=example,dc=org"},
		"a parameter that is not there":          {"cn=${scope.nothing},ou=groups,dc=example,dc=org", bindDN},
		"an account that Writ's account may not": {deploy, bindDN},
	} {
		orders[name] = connector.Order{Grant: marshal(g)}
	}
	for _, value := range []string{"x,ou=services,dc=example,dc=org", "deploy,ou=groups", "*", "writ)(cn=*", `x\`, " x", "x+cn=y", "x\x00", `\2c`, "#04", `"x"`, "<x;"} {
		orders["an account called "+value] = connector.Order{Scope: map[string]string{"a": value}, Grant: marshal(section{deploy, "cn=${scope.a}," + people})}
		orders["a group called "+value] = connector.Order{Scope: map[string]string{"a": value}, Grant: marshal(section{"cn=${scope.a},ou=groups,dc=example,dc=org", people})}
	}
	return orders
}

func (s *site) target() connectortest.Target {
	return connectortest.Target{Addr: s.Addr, Config: s.config, Secret: secret, Order: s.order, Works: s.works, Count: s.count,
		Alter: s.alter(), Restore: s.restore, Foreign: s.foreign, Refuse: s.refuse}
}

// open returns the connector of the site.
func (s *site) open() connector.Connector {
	s.Helper()
	c, err := Driver{}.Open(s.Context(), s.config(s.Addr), connector.Env{Target: "site", Secret: secret})
	if err != nil {
		s.Fatal(err)
	}
	return c
}

// TestContract holds the connector to the contract, by the rights that the
// documentation asks for and no more.
func TestContract(t *testing.T) {
	connectortest.Run(t, connectortest.Harness{
		Driver: Driver{},
		Target: func(t testing.TB) connectortest.Target { return newSite(t).target() },
	})
}
