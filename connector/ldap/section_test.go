package ldap

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/writhq/writ/connector"
)

func TestConfigMistakesAreNamed(t *testing.T) {
	const rest = `, "bindDN": "cn=writ,dc=x", "passwordFrom": "env:WRIT_LDAP", "base": "dc=x", "groups": "ou=groups,dc=x"}`
	for config, want := range map[string]string{
		`{}`:                            "url is no URL",
		`{"url": "https://ldap"` + rest: "url is no URL",
		`{"url": "ldaps://u:pw-1234@ldap"` + rest:                                                              "url is no URL",
		`{"url": "ldap://ldap"` + rest:                                                                         "startTLS: true",
		`{"url": "ldaps://ldap", "startTLS": true` + rest:                                                      "belongs to ldap://",
		`{"url": "ldap://127.0.0.1", "caFrom": "env:WRIT_LDAP"` + rest:                                         "belongs to ldaps://",
		`{"url": "ldaps://ldap", "caFrom": "env:WRIT_LDAP"` + rest:                                             "no certificate",
		`{"url": "ldaps://ldap", "memberAttribute": "uid"` + rest:                                              "not member or uniqueMember",
		`{"url": "ldaps://ldap", "placeholder": "nobody"` + rest:                                               "placeholder",
		`{"url": "ldaps://ldap", "bindPassword": "pw-1234"` + rest:                                             `unknown field "bindPassword"`,
		`{"url": "ldaps://ldap", "base": "dc=y"` + strings.Replace(rest, `"base": "dc=x", `, "", 1):            "does not lie below",
		`{"url": "ldaps://ldap", "base": "dc=x", "bindDN": "", "groups": "dc=x", "passwordFrom": "env:X"}`:     "bindDN",
		`{"url": "ldaps://ldap", "base": "dc=x", "bindDN": "cn=a", "groups": "dc=x"}`:                          "passwordFrom is missing",
		`{"url": "ldaps://ldap", "base": "dc=x", "bindDN": "cn=a", "groups": "dc=x", "passwordFrom": "env:X"}`: "no secret env:X",
	} {
		_, err := Driver{}.Open(t.Context(), json.RawMessage(config), connector.Env{Target: "prod", Secret: secret})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "prod") || strings.Contains(err.Error(), "pw-1234") {
			t.Errorf("%s: got %v, want the target and %q", config, err, want)
		}
	}
	empty := connector.Env{Target: "prod", Secret: func(string) (connector.Secret, error) { return connector.Secret{}, nil }}
	if _, err := (Driver{}).Open(t.Context(), json.RawMessage(`{"url": "ldaps://ldap"`+rest), empty); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("a bind without a password would be anonymous: %v", err)
	}
}

func TestGrantSectionMistakesAreNamed(t *testing.T) {
	for _, c := range []struct {
		kind  connector.Kind
		grant string
		want  string
	}{
		{connector.Membership, `{}`, "no distinguished name"},
		{connector.Membership, `{"group": "cn=a,dc=x", "member": "a"}`, "member \"a\" is no distinguished name"},
		{connector.Membership, `{"group": "", "member": "cn=a"}`, "group \"\" is no distinguished name"},
		{connector.Membership, `{"group": "cn=${env.HOME}", "member": "cn=a"}`, "only ${scope.NAME}"},
		{connector.Membership, `{"group": "${scope.group}", "member": "cn=a"}`, "no distinguished name"},
		{connector.Password, `{"group": "cn=a", "member": "cn=a"}`, "is not membership"},
	} {
		if err := (Driver{}).Check(json.RawMessage(c.grant), c.kind); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: got %v, want %q", c.kind, c.grant, err, c.want)
		}
	}
}

// FuzzFill fills in anything: the outcome has the template's shape, and the value
// is all of one value.
func FuzzFill(f *testing.F) {
	for _, value := range []string{"a", "a,ou=b", "a+cn=b", `a\`, `\2c`, "#04", " a", "a\x00", `"`, "é", "=;<>", "\n", "\r", "\xff"} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		dn := fill("cn=${scope.a},ou=people,dc=x", map[string]string{"a": value})
		if dn == nil {
			return
		}
		again, err := ldap.ParseDN(dn.String())
		if err != nil || len(dn.RDNs) != 3 || len(dn.RDNs[0].Attributes) != 1 || dn.RDNs[0].Attributes[0].Value != value || !again.Equal(dn) {
			t.Errorf("%q became %q, %v", value, dn, err)
		}
	})
}
