package postgres

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/writhq/writ/connector"
)

// A section is the grant section of an entitlement.
type section struct {
	Role string `json:"role"` // the entitled role; ${scope.NAME} stands for an approved scope parameter

	// For kind membership.
	Member string `json:"member"` // the account that becomes a member

	// For kind password.
	ConnectionLimit int               `json:"connectionLimit"` // connections at once; 0: any number
	Settings        map[string]string `json:"settings"`        // of each session; commas separate the elements of a list
	ReassignTo      string            `json:"reassignTo"`      // who gets what the holder made; empty: the entitled role
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
	if err := g.check(kind); err != nil {
		return g, refuse("grant section: %v", err)
	}
	return g, nil
}

func (g section) check(kind connector.Kind) error {
	switch {
	case kind != connector.Password && kind != connector.Membership:
		return fmt.Errorf("kind %q is not one of password, membership", kind)
	case g.Role == "":
		return fmt.Errorf("role is missing: the role whose rights are granted")
	case slices.Contains(dangerous, g.Role):
		return fmt.Errorf("role %s reaches the files and programs of the server and is never granted", g.Role)
	case kind == connector.Membership && g.Member == "":
		return fmt.Errorf("member is missing: the account that becomes a member of the role")
	case kind == connector.Membership && (g.ConnectionLimit != 0 || g.Settings != nil || g.ReassignTo != ""):
		return fmt.Errorf("connectionLimit, settings and reassignTo belong to kind password; a membership has none")
	case kind == connector.Password && g.Member != "":
		return fmt.Errorf("member belongs to kind membership; a password is for a role of its own")
	case g.ConnectionLimit < 0:
		return fmt.Errorf("connectionLimit is %d; leave it out for any number", g.ConnectionLimit)
	}
	for name := range g.Settings {
		if !settingName.MatchString(name) {
			return fmt.Errorf("settings: %q is no name of a setting", name)
		}
	}
	if left := parameter.ReplaceAllString(g.Role, ""); strings.Contains(left, "${") {
		return fmt.Errorf("role %q: only ${scope.NAME} can be filled in", g.Role)
	}
	return nil
}

// dangerous are the predefined roles whose members can become anybody.
var dangerous = []string{"pg_execute_server_program", "pg_read_server_files", "pg_write_server_files"}

var (
	settingName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$`)
	parameter   = regexp.MustCompile(`\$\{scope\.([A-Za-z0-9_-]+)\}`)
	requestID   = regexp.MustCompile(`^req-[0-9a-z]{1,58}$`)
)

// An order is a connector.Order understood.
type order struct {
	connector.Order
	section
	name string // of the role made for the request; empty: none could be
}

// read understands o, or refuses what cannot be granted.
func read(co connector.Order) (order, error) {
	if _, err := parse(co.Grant, co.Kind); err != nil {
		return order{}, err
	}
	o := locate(co)
	switch {
	case o.Role == "":
		return o, refuse("grant.role needs scope parameters that the order does not have")
	case o.name == "":
		return o, refuse("request id %q is no name for a role: req- and up to 58 letters and digits", o.Request)
	case strings.ContainsRune(o.Role+o.Member+o.ReassignTo+o.Serial, 0):
		return o, refuse("a name holds a zero byte")
	}
	return o, nil
}

// locate understands as much of o as it takes to find what may have been granted
// for it, also where it would not be granted any more. What is left empty cannot
// have been.
func locate(co connector.Order) order {
	o := order{Order: co}
	_ = json.Unmarshal(co.Grant, &o.section) // as much as can be read
	for _, p := range parameter.FindAllStringSubmatch(o.Role, -1) {
		if co.Scope[p[1]] == "" {
			o.Role = ""
		}
		o.Role = strings.ReplaceAll(o.Role, p[0], co.Scope[p[1]])
	}
	if requestID.MatchString(co.Request) {
		o.name = "writ_" + strings.TrimPrefix(co.Request, "req-")
	}
	return o
}

// possible reports whether Grant may have carried the order out at all. What it
// refuses before it touches anything needs no end.
func (o order) possible() bool {
	switch o.Kind {
	case connector.Password:
		return o.name != ""
	case connector.Membership:
		return o.name != "" && o.Role != "" && o.Member != ""
	}
	return false
}

// roles are those whose rights the order gives out, as people read them.
func (o order) roles() string {
	if o.ReassignTo == "" {
		return "role " + ident(o.Role)
	}
	return "role " + ident(o.Role) + " or " + ident(o.ReassignTo)
}

// mark is how the comment begins that a role made for the order carries.
func (o order) mark() string { return markPrefix + o.Request + " " }

const markPrefix = "made by Writ for request "

// marked returns the request that a role with this comment was made for, or "".
func marked(comment string) string {
	if rest, ok := strings.CutPrefix(comment, markPrefix); ok {
		request, _, _ := strings.Cut(rest, " ")
		return request
	}
	return ""
}

// tag is how the statements begin that make the access exist. The server shows it
// while they run.
func (o order) tag() string { return "/* Writ grants " + o.Request + " */ " }

// external is the name the access goes by.
func (o order) external() string {
	if o.Kind == connector.Membership {
		return membership(o.Role, o.Member)
	}
	return o.name
}

func membership(role, member string) string { return role + "/" + member }
