package openbao

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/writhq/writ/connector"
)

// A section is the grant section of an entitlement. ${scope.NAME} stands for an
// approved scope parameter in policies and entity.
type section struct {
	Policies []string `json:"policies"` // what is granted

	// For kind api-key.
	BoundCIDRs []string `json:"boundCidrs"` // where the token works from; empty: from anywhere

	// For kind membership.
	Entity string `json:"entity"` // the identity entity that gets the policies
}

// Check says what is wrong with a grant section.
func (Driver) Check(grant json.RawMessage, kind connector.Kind) error {
	_, err := parse(grant, kind)
	return err
}

func parse(grant json.RawMessage, kind connector.Kind) (section, error) {
	var g section
	err := decode(grant, &g)
	if err == nil {
		err = g.check(kind)
	}
	if err != nil {
		return g, refuse("grant section: %v", err)
	}
	return g, nil
}

func (g section) check(kind connector.Kind) error {
	switch {
	case kind != connector.APIKey && kind != connector.Membership:
		return fmt.Errorf("kind %q is not one of api-key, membership", kind)
	case len(g.Policies) == 0:
		return errors.New("policies is missing: the policies that are granted")
	case kind == connector.Membership && g.Entity == "":
		return errors.New("entity is missing: the name of the identity entity that gets the policies")
	case kind == connector.Membership && g.BoundCIDRs != nil:
		return errors.New("boundCidrs belongs to kind api-key; a membership has no token")
	case kind == connector.APIKey && g.Entity != "":
		return errors.New("entity belongs to kind membership; a token stands for itself")
	}
	for _, cidr := range g.BoundCIDRs {
		if _, err := netip.ParsePrefix(cidr); err != nil {
			return fmt.Errorf("boundCidrs: %q is no network such as 10.1.0.0/16", cidr)
		}
	}
	for _, text := range append([]string{g.Entity}, g.Policies...) {
		if left := parameter.ReplaceAllString(text, ""); strings.Contains(left, "${") {
			return fmt.Errorf("%q: only ${scope.NAME} can be filled in", text)
		}
	}
	return nil
}

var (
	parameter = regexp.MustCompile(`\$\{scope\.([A-Za-z0-9_-]+)\}`)
	requestID = regexp.MustCompile(`^req-[0-9a-z]{1,58}$`)
	policyID  = regexp.MustCompile(`^[a-z0-9_][a-z0-9_.:@/-]*$`) // the server itself knows names in small letters only
	plainPath = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9_.:@-]*(/[A-Za-z0-9_-][A-Za-z0-9_.:@-]*)*$`)
)

// An order is a connector.Order understood.
type order struct {
	connector.Order
	section
	name string // of the token role, or the group, that the access goes by; empty: none could be
}

// read understands o, or refuses what cannot be granted.
func read(co connector.Order) (order, error) {
	if _, err := parse(co.Grant, co.Kind); err != nil {
		return order{}, err
	}
	o := locate(co)
	switch {
	case slices.Contains(o.Policies, "") || co.Kind == connector.Membership && o.Entity == "":
		return o, refuse("the grant section needs scope parameters that the order does not have")
	case !requestID.MatchString(co.Request):
		return o, refuse("request id %q is no name for a token role: req- and up to 58 letters and digits", o.Request)
	case strings.ContainsAny(o.Entity, "/\x00"):
		return o, refuse("grant.entity: %q is no name that a path can hold", o.Entity)
	}
	for _, p := range o.Policies {
		if p == "root" {
			return o, refuse("policy root is never granted: nothing ends what it may do")
		}
		if !policyID.MatchString(p) || strings.Contains(p, "..") {
			return o, refuse("%q is no name of a policy: small letters, digits and _ . : @ / -", p)
		}
	}
	return o, nil
}

// locate understands as much of o as it takes to find what may have been granted
// for it, also where it would not be granted any more. What is left empty cannot
// have been.
func locate(co connector.Order) order {
	o := order{Order: co}
	_ = json.Unmarshal(co.Grant, &o.section) // as much as can be read
	policies := make([]string, 0, len(o.Policies))
	for _, p := range o.Policies {
		policies = append(policies, o.fill(p))
	}
	slices.Sort(policies)
	o.Policies, o.Entity = slices.Compact(policies), o.fill(o.Entity)
	switch {
	case co.Kind == connector.Membership:
		o.name = o.group()
	case requestID.MatchString(co.Request):
		o.name = prefix + strings.TrimPrefix(co.Request, "req-")
	}
	return o
}

// prefix is how everything begins that Writ makes; its account's rights end there.
const prefix = "writ-"

// fill fills scope parameters in, or returns "" if one is missing.
func (o order) fill(text string) string {
	missing := false
	text = parameter.ReplaceAllStringFunc(text, func(p string) string {
		value := o.Scope[parameter.FindStringSubmatch(p)[1]]
		missing = missing || value == ""
		return value
	})
	if missing {
		return ""
	}
	return text
}

// group is the name of the group that gives the entity the policies. It depends on
// these alone: requests for the same hold the same.
func (o order) group() string {
	if o.Entity == "" || len(o.Policies) == 0 || slices.Contains(o.Policies, "") {
		return ""
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q", o.Entity, o.Policies))
	return prefix + hex.EncodeToString(sum[:16])
}

// possible reports whether Grant may have carried the order out at all. What it
// refuses before it touches anything needs no end.
func (o order) possible() bool {
	return o.name != "" && slices.Contains(Driver{}.Manifest().Kinds, o.Kind)
}

// left is how many whole seconds a token may live that is made now, so that by
// neither clock it ends after until. Clocks that are apart would end it at another
// time than ordered.
func (o order) left(server, now time.Time) (int64, error) {
	if apart := server.Sub(now).Abs(); apart > slack {
		return 0, fmt.Errorf("the server's clock is %s apart from Writ's; set them right", apart.Round(time.Second))
	}
	if server.After(now) {
		now = server
	}
	seconds := int64(o.Until.Sub(now)/time.Second) - 1
	if seconds < 1 {
		return 0, final("too little is left: it ends at %s", o.Until.Format(time.RFC3339))
	}
	return seconds, nil
}

// slack is how much earlier than ordered access may end: whole seconds and clocks
// that differ a little.
const slack = 15 * time.Second
