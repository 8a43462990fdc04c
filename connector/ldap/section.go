package ldap

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"

	"github.com/writhq/writ/connector"
)

// A section is the grant section of an entitlement: distinguished names (RFC
// 4514), in which ${scope.NAME} stands for an approved scope parameter.
type section struct {
	Group  string `json:"group"`  // the entitled group: "cn=deploy,ou=groups,dc=example,dc=org"
	Member string `json:"member"` // the account that becomes a member: "uid=${scope.account},ou=people,…"
}

// Check says what is wrong with a grant section.
func (Driver) Check(grant json.RawMessage, kind connector.Kind) error {
	_, err := parse(grant, kind)
	return err
}

func parse(grant json.RawMessage, kind connector.Kind) (section, error) {
	var g section
	if err := decode(grant, &g); err != nil {
		return g, refuse("grant section: %v", err)
	}
	if kind != connector.Membership {
		return g, refuse("grant section: kind %q is not membership", kind)
	}
	for field, text := range map[string]string{"group": g.Group, "member": g.Member} {
		// Its shape, whatever is filled in.
		if dn, err := ldap.ParseDN(parameter.ReplaceAllString(text, "x")); err != nil || len(dn.RDNs) == 0 {
			return g, refuse("grant section: %s %q is no distinguished name such as cn=deploy,ou=groups,dc=example,dc=org", field, text)
		}
		if strings.Contains(parameter.ReplaceAllString(text, ""), "${") {
			return g, refuse("grant section: %s %q: only ${scope.NAME} can be filled in", field, text)
		}
	}
	return g, nil
}

var parameter = regexp.MustCompile(`\$\{scope\.([A-Za-z0-9_-]+)\}`)

// An order is a connector.Order understood.
type order struct {
	connector.Order
	group, member *ldap.DN // nil: it needs parameters that the order does not have
}

// read understands o, or refuses what cannot be granted.
func read(co connector.Order) (order, error) {
	if _, err := parse(co.Grant, co.Kind); err != nil {
		return order{}, err
	}
	o := locate(co)
	if o.group == nil || o.member == nil {
		return o, refuse("the group or member needs scope parameters that the order does not have, or that are no names")
	}
	return o, nil
}

// locate understands as much of o as it takes to find what may have been granted
// for it, also where it would not be granted any more.
func locate(co connector.Order) order {
	o := order{Order: co}
	var g section
	if json.Unmarshal(co.Grant, &g) == nil && co.Kind == connector.Membership {
		o.group, o.member = fill(g.Group, co.Scope), fill(g.Member, co.Scope)
	}
	return o
}

// possible reports whether Grant may have carried the order out at all.
func (o order) possible() bool { return o.group != nil && o.member != nil }

// fill puts scope parameters into a name, each as a part of one value: what would
// end it is escaped, and the outcome has the shape that the template has.
func fill(template string, scope map[string]string) *ldap.DN {
	missing := false
	text := parameter.ReplaceAllStringFunc(template, func(found string) string {
		value := scope[parameter.FindStringSubmatch(found)[1]]
		missing = missing || value == "" || strings.TrimSpace(value) != value || strings.ContainsRune(value, 0) || !utf8.ValidString(value)
		return ldap.EscapeDN(value)
	})
	dn, err := ldap.ParseDN(text)
	shape, shapeErr := ldap.ParseDN(parameter.ReplaceAllString(template, "x"))
	if missing || err != nil || shapeErr != nil || !slices.Equal(types(dn), types(shape)) {
		return nil
	}
	return dn
}

// types returns the attribute types of a name in order, one element for each RDN.
func types(dn *ldap.DN) (all []string) {
	for _, rdn := range dn.RDNs {
		part := ""
		for _, a := range rdn.Attributes {
			part += "+" + a.Type
		}
		all = append(all, part)
	}
	return all
}

// within reports whether a name is another, or below it.
func within(top, dn *ldap.DN) bool { return top.EqualFold(dn) || top.AncestorOfFold(dn) }

// external is the name a membership goes by: the same for every spelling of it.
func external(group, member *ldap.DN) string {
	return fmt.Sprintf("%s in %s", strings.ToLower(member.String()), strings.ToLower(group.String()))
}
