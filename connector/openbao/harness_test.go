package openbao

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/connector/connectortest"
	"github.com/writhq/writ/connector/openbao/rest"
	"github.com/writhq/writ/internal/realtest"
)

// A site is a server with something to protect: secret/production, which only
// policy production may read. Writ's AppRole has exactly the policy that the
// reference page shows. All sites of a test binary are one server, one after the
// other.
type site struct {
	testing.TB
	addr, root       string
	roleID, secretID string

	mu     sync.Mutex
	logins map[string]string // of the accounts for memberships, by request
	asked  []string          // their requests, in order
}

const production = `path "secret/data/production" { capabilities = ["read"] }`

func newSite(t testing.TB) *site {
	t.Helper()
	v := realtest.Vault(t)
	s := &site{TB: t, addr: v.Addr, root: v.Token, logins: map[string]string{}}
	s.sweep()
	t.Cleanup(s.sweep)
	for _, mount := range []string{"approle", "accounts"} {
		s.must("POST", "sys/auth/"+mount, map[string]any{"type": "approle"})
	}
	s.must("POST", "secret/data/production", map[string]any{"data": map[string]string{"pin": "1234"}})
	s.policy("production", production)
	s.policy("writ", documentedPolicy(t))
	s.must("POST", "auth/approle/role/writ", map[string]any{"token_policies": "writ", "token_ttl": "1h"})
	s.roleID = s.must("GET", "auth/approle/role/writ/role-id", nil)["role_id"].(string)
	s.secretID = s.must("POST", "auth/approle/role/writ/secret-id", nil)["secret_id"].(string)
	return s
}

// documentedPolicy is the policy that the reference page tells to write.
func documentedPolicy(t testing.TB) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/reference/connectors/openbao.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```hcl\n")
	policy, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("the reference page shows no policy")
	}
	return policy
}

func (s *site) policy(name, text string) {
	s.Helper()
	s.must("PUT", "sys/policies/acl/"+name, map[string]string{"policy": text})
}

// api asks the server, without anything of the connector's.
func (s *site) api(token, method, path string, body any) (int, map[string]any) {
	s.Helper()
	var content io.Reader
	if body != nil {
		content = bytes.NewReader(marshal(body))
	}
	req, err := http.NewRequest(method, "http://"+s.addr+"/v1/"+path, content)
	if err != nil {
		s.Fatal(err)
	}
	req.Header.Set("X-Vault-Token", token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer res.Body.Close()
	var a struct{ Data, Auth map[string]any }
	if err := json.NewDecoder(res.Body).Decode(&a); err != nil && err != io.EOF {
		s.Fatal(err)
	}
	if a.Auth != nil {
		return res.StatusCode, a.Auth
	}
	return res.StatusCode, a.Data
}

// must asks as root what must succeed.
func (s *site) must(method, path string, body any) map[string]any {
	s.Helper()
	status, data := s.api(s.root, method, path, body)
	if status/100 != 2 && (status != http.StatusNotFound || method != rest.List) {
		s.Fatalf("%s %s answers %d", method, path, status)
	}
	return data
}

// below lists the keys below a path.
func (s *site) below(path string) (keys []string) {
	s.Helper()
	all, _ := s.must(rest.List, path, nil)["keys"].([]any)
	for _, key := range all {
		keys = append(keys, key.(string))
	}
	return keys
}

// sweep removes all that a site left.
func (s *site) sweep() {
	for _, mount := range []string{"approle", "accounts"} {
		s.must("DELETE", "sys/auth/"+mount, nil)
	}
	us := s.must("GET", "auth/token/lookup-self", nil)["accessor"]
	for _, accessor := range s.below("auth/token/accessors") {
		if accessor != us {
			_, _ = s.api(s.root, "POST", "auth/token/revoke-accessor", map[string]string{"accessor": accessor}) // it may be gone with its parent
		}
	}
	for _, path := range []string{"auth/token/roles", "identity/group/name", "identity/entity/name"} {
		for _, name := range s.below(path) {
			s.must("DELETE", path+"/"+name, nil)
		}
	}
	for _, name := range s.below("sys/policies/acl") {
		if name != "root" && name != "default" {
			s.must("DELETE", "sys/policies/acl/"+name, nil)
		}
	}
}

// count returns token roles, groups and tokens, all but the logins that Writ and
// the accounts made.
func (s *site) count() (n int) {
	s.Helper()
	for _, accessor := range s.below("auth/token/accessors") {
		status, t := s.api(s.root, "POST", "auth/token/lookup-accessor", map[string]string{"accessor": accessor})
		if path, _ := t["path"].(string); status == 200 && strings.HasPrefix(path, "auth/token/") {
			n++
		}
	}
	return n + len(s.below("auth/token/roles")) + len(s.below("identity/group/name"))
}

func (s *site) config(addr string) json.RawMessage {
	return marshal(map[string]string{"address": "http://" + addr, "holderAddress": "http://" + s.addr, "roleId": s.roleID, "secretIdFrom": "env:BAO"})
}

func (s *site) secret(ref string) (connector.Secret, error) {
	if ref != "env:BAO" {
		return connector.Secret{}, fmt.Errorf("no secret %s", ref)
	}
	return connector.Conceal(s.secretID), nil
}

func (s *site) order(request string, kind connector.Kind) connector.Order {
	o := connector.Order{Request: request, Serial: "s-1", Subject: "service/ci", Kind: kind, From: time.Now().UTC(), Until: time.Now().UTC().Add(time.Hour)}
	switch kind {
	case connector.Membership:
		o.Grant = marshal(map[string]any{"policies": []string{"production"}, "entity": "account " + request})
		s.account(request)
	default:
		o.Scope = map[string]string{"stage": "production"}
		o.Grant = marshal(map[string]any{"policies": []string{"${scope.stage}"}, "boundCidrs": []string{"127.0.0.0/8"}})
	}
	return o
}

// account makes an entity that logs in by an AppRole and may do nothing. Those of
// long ago go, lest every list grow with every fault.
func (s *site) account(request string) {
	s.Helper()
	role := "auth/accounts/role/" + request
	s.must("POST", role, map[string]any{"token_no_default_policy": true, "token_policies": []string{}, "token_type": "batch"})
	id := s.must("GET", role+"/role-id", nil)["role_id"]
	mount := s.must("GET", "sys/auth/accounts", nil)["accessor"]
	entity := s.must("POST", "identity/entity", map[string]any{"name": "account " + request})["id"]
	s.must("POST", "identity/entity-alias", map[string]any{"name": id, "mount_accessor": mount, "canonical_id": entity})
	secret := s.must("POST", role+"/secret-id", nil)["secret_id"]
	login := s.must("POST", "auth/accounts/login", map[string]any{"role_id": id, "secret_id": secret})["client_token"].(string)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logins[request], s.asked = login, append(s.asked, request)
	if len(s.asked) > 8 {
		s.must("DELETE", "identity/entity/name/account%20"+s.asked[0], nil)
		s.asked = s.asked[1:]
	}
}

// bearer returns the token that somebody uses the access with.
func (s *site) bearer(o connector.Order, c *connector.Credential) string {
	if c != nil {
		return c.Env["VAULT_TOKEN"].Reveal()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins[o.Request]
}

func (s *site) works(_ context.Context, o connector.Order, c *connector.Credential) error {
	status, data := s.api(s.bearer(o, c), "GET", "secret/data/production", nil)
	if inner, _ := data["data"].(map[string]any); status != 200 || inner["pin"] != "1234" {
		return fmt.Errorf("the secret is answered with %d", status)
	}
	return nil
}

// session is a child token of the access, where it may make one; what the server
// knows of open sessions is tokens.
func (s *site) session(ctx context.Context, o connector.Order, c *connector.Credential) (func() error, error) {
	return func() error { return s.works(context.Background(), o, c) }, s.works(ctx, o, c)
}

// alter are the ways in which somebody may change access behind Writ's back.
func (s *site) alter() map[string]func(connector.Order, connector.Receipt) bool {
	of := func(kind connector.Kind, do func(o connector.Order, r connector.Receipt)) func(connector.Order, connector.Receipt) bool {
		return func(o connector.Order, r connector.Receipt) bool {
			if o.Kind == kind {
				do(o, r)
			}
			return o.Kind == kind
		}
	}
	group := func(change map[string]any) func(connector.Order, connector.Receipt) bool {
		return of(connector.Membership, func(_ connector.Order, r connector.Receipt) {
			s.must("POST", "identity/group/name/"+r.External, change)
		})
	}
	role := func(change map[string]any) func(connector.Order, connector.Receipt) bool {
		return of(connector.APIKey, func(_ connector.Order, r connector.Receipt) { s.must("POST", "auth/token/roles/"+r.External, change) })
	}
	return map[string]func(connector.Order, connector.Receipt) bool{
		"the policy means more": func(connector.Order, connector.Receipt) bool {
			s.policy("production", production+` path "secret/data/other" { capabilities = ["read"] }`)
			return true
		},
		"the policy is gone": func(connector.Order, connector.Receipt) bool {
			s.must("DELETE", "sys/policies/acl/production", nil)
			return true
		},
		"another token": of(connector.APIKey, func(_ connector.Order, r connector.Receipt) {
			s.must("POST", "auth/token/create/"+r.External, map[string]any{"ttl": "10m"})
		}),
		"the token is another": of(connector.APIKey, func(_ connector.Order, r connector.Receipt) {
			s.must("POST", "auth/token/revoke-accessor", map[string]string{"accessor": r.Detail["accessor"]})
			s.must("POST", "auth/token/create/"+r.External, map[string]any{"ttl": "10m"})
		}),
		"the role allows more":     role(map[string]any{"allowed_policies": "production,default"}),
		"the role allows patterns": role(map[string]any{"allowed_policies_glob": "prod*"}),
		"the role makes periodic":  role(map[string]any{"token_period": "1h"}),
		"the role is gone":         of(connector.APIKey, func(_ connector.Order, r connector.Receipt) { s.must("DELETE", "auth/token/roles/"+r.External, nil) }),
		"the group has more":       group(map[string]any{"policies": []string{"production", "default"}}),
		"another member": of(connector.Membership, func(_ connector.Order, r connector.Receipt) {
			other := s.must("POST", "identity/entity", map[string]any{"name": "friend " + r.External})["id"]
			s.must("POST", "identity/group/name/"+r.External, map[string]any{"member_entity_ids": []any{other, r.Detail["entityId"]}})
		}),
		"a group that has more holds it": of(connector.Membership, func(_ connector.Order, r connector.Receipt) {
			id := s.must("GET", "identity/group/name/"+r.External, nil)["id"]
			s.must("POST", "identity/group/name/parent", map[string]any{"policies": "default", "member_group_ids": []any{id}})
		}),
		"a policy of its own": of(connector.Membership, func(_ connector.Order, r connector.Receipt) {
			s.must("POST", "identity/entity/id/"+r.Detail["entityId"], map[string]any{"policies": "production"})
		}),
	}
}

// restore takes back what is above the rights of Writ's account.
func (s *site) restore(o connector.Order, r connector.Receipt) {
	s.policy("production", production)
	if o.Kind == connector.Membership {
		s.must("POST", "identity/entity/id/"+r.Detail["entityId"], map[string]any{"policies": []string{}})
		s.must("DELETE", "identity/group/name/parent", nil)
	}
}

func (s *site) foreign() string {
	return s.must("POST", "auth/token/create", map[string]any{"policies": []string{"production"}, "ttl": "10m",
		"meta": map[string]string{"writ_request": "req-forged"}})["accessor"].(string)
}

func (s *site) refuse(kind connector.Kind) map[string]connector.Order {
	s.policy("orphans", `path "auth/token/create-orphan" { capabilities = ["update", "sudo"] }`)
	s.policy("everything", `path "*" { capabilities = ["create", "read", "update", "delete", "list"] }`)
	member := map[string]any{}
	if kind == connector.Membership {
		s.must("POST", "identity/entity", map[string]any{"name": "has it", "policies": "production"})
		id := s.must("POST", "identity/entity", map[string]any{"name": "has it by a group"})["id"]
		s.must("POST", "identity/group", map[string]any{"name": "readers", "policies": "production", "member_entity_ids": []any{id}})
		s.must("POST", "identity/entity", map[string]any{"name": "somebody"})
		member["entity"] = "somebody"
	}
	orders := map[string]connector.Order{}
	add := func(name, policy string, more map[string]any) {
		grant := map[string]any{"policies": []string{policy}}
		for _, fields := range []map[string]any{member, more} {
			for field, value := range fields {
				grant[field] = value
			}
		}
		orders[name] = connector.Order{Grant: marshal(grant)}
	}
	add("a policy that does not exist", "no-such-policy", nil)
	add("policy root", "root", nil)
	add("a policy in capitals", "Production", nil)
	add("a list in a name", "production,default", nil)
	add("a way up", "a/../production", nil)
	add("a parameter that is not there", "${scope.nothing}", nil)
	if kind == connector.Membership {
		add("an entity that does not exist", "production", map[string]any{"entity": "nobody"})
		add("an entity that has it", "production", map[string]any{"entity": "has it"})
		add("an entity that has it by a group", "production", map[string]any{"entity": "has it by a group"})
		add("an entity that is a path", "production", map[string]any{"entity": "../../x"})
		return orders
	}
	add("a policy that makes orphans", "orphans", nil)
	add("a policy that allows everything", "everything", nil)
	return orders
}

func (s *site) target() connectortest.Target {
	return connectortest.Target{Addr: s.addr, Config: s.config, Secret: s.secret, Order: s.order, Works: s.works, Count: s.count,
		Session: s.session, Alter: s.alter(), Restore: s.restore, Foreign: s.foreign, Refuse: s.refuse}
}

// open returns the connector of the site.
func (s *site) open() connector.Connector {
	s.Helper()
	return s.openWith(s.config(s.addr))
}

func (s *site) openWith(config json.RawMessage) connector.Connector {
	s.Helper()
	c, err := Driver{}.Open(s.Context(), config, connector.Env{Target: "site", Secret: s.secret})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { c.Close() })
	return c
}

func marshal(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

// TestContract holds the connector to the contract, by the rights that the
// documentation asks for and no more.
func TestContract(t *testing.T) {
	connectortest.Run(t, connectortest.Harness{
		Driver: Driver{},
		Public: []string{"VAULT_ADDR"},
		Life:   4 * time.Second,
		Target: func(t testing.TB) connectortest.Target { return newSite(t).target() },
	})
}
