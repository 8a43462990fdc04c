package openbao

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/writhq/writ/connector"
)

func TestConfigurationIsChecked(t *testing.T) {
	for config, want := range map[string]string{
		`{"address":"https://bao.internal:8200","tokenFrom":"env:T"}`:                                                   "",
		`{"address":"http://[::1]:8200","roleId":"writ","secretIdFrom":"env:T"}`:                                        "",
		`{"address":"http://localhost:8200","roleId":"w","secretIdFrom":"env:T","loginMount":"a/b","namespace":"team"}`: "",
		`{"tokenFrom":"env:T"}`: "address is no URL",
		`{"address":"http://bao.internal:8200","tokenFrom":"env:T"}`:                                   "in the clear",
		`{"address":"http://127.0.0.1.example.org","tokenFrom":"env:T"}`:                               "in the clear",
		`{"address":"https://user:hidden@bao.internal","tokenFrom":"env:T"}`:                           "more than scheme",
		`{"address":"https://bao.internal/v1","tokenFrom":"env:T"}`:                                    "more than scheme",
		`{"address":"https://bao.internal","holderAddress":"http://bao.internal","tokenFrom":"env:T"}`: "holderAddress would send",
		`{"address":"https://bao.internal"}`:                                                           "who Writ is",
		`{"address":"https://bao.internal","tokenFrom":"env:T","roleId":"w"}`:                          "exclude each other",
		`{"address":"https://bao.internal","roleId":"w"}`:                                              "secretIdFrom is missing",
		`{"address":"https://bao.internal","roleId":"w","secretIdFrom":"env:T","loginMount":"../sys"}`: "no path",
		`{"address":"https://bao.internal","tokenFrom":"env:NONE"}`:                                    "no secret",
		`{"address":"https://bao.internal","tokenFrom":"env:T","caFile":"/nowhere"}`:                   "caFile",
		`{"address":"https://bao.internal","tokenFrom":"env:T","namespace":"a\nX-Vault-Token: b"}`:     "line break",
	} {
		c, err := Driver{}.Open(t.Context(), json.RawMessage(config), connector.Env{Target: "t", Secret: func(ref string) (connector.Secret, error) {
			if ref == "env:NONE" {
				return connector.Secret{}, errors.New("no secret env:NONE")
			}
			return connector.Conceal("x"), nil
		}})
		if err == nil {
			c.Close()
		}
		if (want == "") != (err == nil) || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hidden")) {
			t.Errorf("%s: %v, want %q", config, err, want)
		}
	}
}

func TestGrantSectionIsChecked(t *testing.T) {
	for _, c := range []struct {
		kind          connector.Kind
		section, want string
	}{
		{connector.APIKey, `{"policies":["a","${scope.x}-b"],"boundCidrs":["10.0.0.0/8","::1/128"]}`, ""},
		{connector.Membership, `{"policies":["a"],"entity":"ci ${scope.x}"}`, ""},
		{connector.APIKey, `{}`, "policies is missing"},
		{connector.APIKey, `{"policies":["a"],"entity":"b"}`, "belongs to kind membership"},
		{connector.APIKey, `{"policies":["a"],"boundCidrs":["10.0.0.1"]}`, "no network"},
		{connector.APIKey, `{"policies":["${env.HOME}"]}`, "only ${scope.NAME}"},
		{connector.Membership, `{"policies":["a"]}`, "entity is missing"},
		{connector.Membership, `{"policies":["a"],"entity":"b","boundCidrs":["10.0.0.0/8"]}`, "belongs to kind api-key"},
		{connector.Password, `{"policies":["a"]}`, "is not one of"},
	} {
		err := Driver{}.Check(json.RawMessage(c.section), c.kind)
		if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v, want %q", c.kind, c.section, err, c.want)
		}
	}
}

// TestHoldsAreTold apart: what is the same access has the same name, and nothing else has.
func TestHoldsAreTold(t *testing.T) {
	name := func(section string) string {
		return locate(connector.Order{Request: "req-1", Kind: connector.Membership, Grant: json.RawMessage(section)}).name
	}
	one := name(`{"policies":["a","b"],"entity":"ci"}`)
	if one != name(`{"entity":"ci","policies":["b","a","b"]}`) {
		t.Error("one hold has two names")
	}
	for _, other := range []string{`{"policies":["a"],"entity":"ci"}`, `{"policies":["a","b"],"entity":"cd"}`, `{"policies":["b"],"entity":"ci\na"}`} {
		if name(other) == one {
			t.Errorf("%s has the name of another", other)
		}
	}
	if name(`{"policies":["${scope.x}"],"entity":"ci"}`) != "" {
		t.Error("a hold that cannot be has a name")
	}
}

func TestTimeLeft(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 5e8, time.UTC)
	for _, c := range []struct {
		server, until time.Duration // from now
		want          int64
		problem       string
	}{
		{0, time.Minute, 59, ""},
		{-10 * time.Second, time.Minute, 59, ""}, // it counts on its own
		{10 * time.Second, time.Minute, 49, ""},
		{0, time.Minute - 1, 58, ""},
		{0, 2 * time.Second, 1, ""},
		{0, 2*time.Second - 1, 0, "too little"},
		{16 * time.Second, time.Hour, 0, "16s apart"},
		{-time.Hour, time.Hour, 0, "apart"},
	} {
		o := order{Order: connector.Order{Until: now.Add(c.until)}}
		got, err := o.left(now.Add(c.server), now)
		if got != c.want || (c.problem == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%+v: %d, %v", c, got, err)
		}
	}
}

// TestLoginThatEnded is had anew: somebody may end all tokens of Writ's account.
func TestLoginThatEnded(t *testing.T) {
	s := newSite(t)
	c, o := s.open(), s.order("req-again", connector.APIKey)
	r, err := c.Grant(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	s.must("POST", "sys/leases/revoke-prefix/auth/approle/login", map[string]any{"sync": true})
	if err := s.works(t.Context(), o, r.Credential); err != nil {
		t.Errorf("the grant ended with Writ's own login: %v", err)
	}
	if err := c.Revoke(t.Context(), o, r); err != nil {
		t.Error(err)
	}
}

// TestTokenOfItsOwn has Writ known by a token, as one that ended.
func TestTokenOfItsOwn(t *testing.T) {
	s := newSite(t)
	made := s.must("POST", "auth/token/create", map[string]any{"policies": []string{"writ"}, "ttl": "1h"})
	s.secretID = made["client_token"].(string)
	c := s.openWith(marshal(map[string]string{"address": "http://" + s.addr, "tokenFrom": "env:BAO"}))
	o := s.order("req-token", connector.APIKey)
	r, err := c.Grant(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	s.must("POST", "auth/token/revoke-accessor", map[string]any{"accessor": made["accessor"]})
	if err := c.Revoke(t.Context(), o, r); err == nil || errors.Is(err, connector.ErrRefused) || !strings.Contains(err.Error(), "tokenFrom") {
		t.Errorf("with a token that ended: %v", err)
	}
	if err := s.works(t.Context(), o, r.Credential); err != nil {
		t.Errorf("the grant ended with Writ's own token: %v", err)
	}
}
