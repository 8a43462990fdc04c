package postgres

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/writhq/writ/connector"
)

func TestConfigMistakesAreNamed(t *testing.T) {
	for config, want := range map[string]string{
		`{}`:                                  "dsn is no URL",
		`{"dsn": "host=db user=writ"}`:        "dsn is no URL",
		`{"dsn": "postgres://u:pw-1234@db/"}`: "passwordFrom",
		`{"dsn": "postgres://u@db/?password=pw-1234"}`:              "passwordFrom",
		`{"dsn": "postgres://db/x"}`:                                "names no role",
		`{"dsn": "postgres://u@db/x?sslmode=perhaps"}`:              "sslmode",
		`{"dsn": "postgres://u@db/", "passwordFrom": "env:ABSENT"}`: "no secret env:ABSENT",
		`{"dsn": "postgres://u@db/", "password": "pw-1234"}`:        `unknown field "password"`,
		`{"dsn": "postgres://u:pw-1234@db:port/"}`:                  "dsn is no URL",
	} {
		c, err := Driver{}.Open(t.Context(), json.RawMessage(config), connector.Env{Target: "prod", Secret: secret})
		if err == nil {
			c.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "prod") || strings.Contains(err.Error(), "pw-1234") {
			t.Errorf("%s: got %v, want the target and %q", config, err, want)
		}
	}
}

func TestGrantSectionMistakesAreNamed(t *testing.T) {
	for _, c := range []struct {
		kind  connector.Kind
		grant string
		want  string
	}{
		{connector.Password, `{}`, "role is missing"},
		{connector.Password, `{"role": "pg_read_server_files"}`, "never granted"},
		{connector.Password, `{"role": "a", "member": "b"}`, "belongs to kind membership"},
		{connector.Password, `{"role": "a", "connectionLimit": -1}`, "connectionLimit is -1"},
		{connector.Password, `{"role": "a", "settings": {"x to 1; drop": "y"}}`, "no name of a setting"},
		{connector.Password, `{"role": "${env.HOME}"}`, "only ${scope.NAME}"},
		{connector.Membership, `{"role": "a"}`, "member is missing"},
		{connector.Membership, `{"role": "a", "member": "b", "reassignTo": "c"}`, "belong to kind password"},
		{connector.APIKey, `{"role": "a"}`, "not one of password, membership"},
	} {
		if err := (Driver{}).Check(json.RawMessage(c.grant), c.kind); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: got %v, want %q", c.kind, c.grant, err, c.want)
		}
	}
}

func FuzzCheck(f *testing.F) {
	f.Add(`{"role": "${scope.team}", "connectionLimit": 5, "settings": {"search_path": "a, b"}}`, "deploy'\"")
	f.Add(`{"role": "a", "member": "b"}`, "")
	f.Fuzz(func(t *testing.T, grant, scope string) {
		for _, kind := range (Driver{}).Manifest().Kinds {
			o := connector.Order{Request: "req-a", Kind: kind, Grant: json.RawMessage(grant), Scope: map[string]string{"team": scope}}
			read, err := read(o)
			if err != nil {
				continue
			}
			if Driver.Check(Driver{}, o.Grant, kind) != nil || !read.possible() || strings.Contains(read.Role, "${scope.team}") != strings.Contains(scope, "${scope.team}") {
				t.Errorf("%s of %q with %q is read as %+v", kind, grant, scope, read.section)
			}
		}
	})
}

// TestVerifierIsStandard compares with the exchange in RFC 7677, section 3.
func TestVerifierIsStandard(t *testing.T) {
	got, err := verifier("pencil", []byte{0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e, 0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81}, 4096)
	want := "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
	if err != nil || got != want {
		t.Errorf("got  %s\nwant %s\n%v", got, want, err)
	}
}
