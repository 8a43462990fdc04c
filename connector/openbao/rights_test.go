package openbao

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/writhq/writ/connector"
)

// policyWithout returns the policy of Writ's account without one capability; with
// none, it is the whole.
func policyWithout(path, capability string) string {
	var text strings.Builder
	for _, r := range rights {
		if r.path == path {
			r.can = slices.DeleteFunc(slices.Clone(r.can), func(c string) bool { return c == capability })
		}
		if len(r.can) > 0 {
			fmt.Fprintln(&text, r)
		}
	}
	return text.String()
}

func TestPolicyIsDocumented(t *testing.T) {
	spaces := func(text string) string { return strings.Join(strings.Fields(text), " ") }
	if got, want := spaces(documentedPolicy(t)), spaces(policyWithout("", "")); got != want {
		t.Errorf("the reference page shows\n%s\nand the program needs\n%s", got, want)
	}
}

// everything does all that a connector can, twice, and returns what went wrong.
func (s *site) everything(ctx context.Context, c connector.Connector) error {
	var errs []error
	for _, kind := range []connector.Kind{connector.APIKey, connector.Membership} {
		o := s.order("req-"+strings.ToLower(rand.Text()), kind)
		if kind == connector.Membership { // it is in somebody else's group, too
			id := s.must("GET", "identity/entity/name/account%20"+o.Request, nil)["id"]
			s.must("POST", "identity/group/name/others", map[string]any{"policies": "default", "member_entity_ids": []any{id}})
		}
		for range 2 {
			_, err := c.Grant(ctx, o)
			errs = append(errs, err)
			_, err = c.Observe(ctx, o, connector.Receipt{})
			errs = append(errs, err)
		}
		errs = append(errs, c.List(ctx, func(connector.Observation) error { return nil }), c.Revoke(ctx, o, connector.Receipt{}))
	}
	return errors.Join(errs...)
}

// TestEveryRightIsNeeded takes one capability after the other from Writ's account.
func TestEveryRightIsNeeded(t *testing.T) {
	s := newSite(t)
	if err := s.everything(t.Context(), s.open()); err != nil {
		t.Fatalf("with all rights: %v", err)
	}
	for _, r := range rights {
		for _, capability := range r.can {
			s.policy("writ", policyWithout(r.path, capability))
			err := s.everything(t.Context(), s.open())
			if err == nil {
				t.Errorf("%s on %s is not needed", capability, r.path)
				continue
			}
			if want := "lacks " + capability; !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), r.String()) || !errors.Is(err, connector.ErrRefused) {
				t.Errorf("without %s on %s the error is: %v", capability, r.path, err)
			}
		}
	}
}

// TestPolicyLimitsWhatCanBeGranted narrows the account to one policy to give.
func TestPolicyLimitsWhatCanBeGranted(t *testing.T) {
	s := newSite(t)
	s.policy("other", production)
	limited := strings.Replace(policyWithout("", ""), `path "auth/token/roles/writ-*" {`,
		`path "auth/token/roles/writ-*" { allowed_parameters = { "allowed_policies" = ["production"], "*" = [] }`, 1)
	s.policy("writ", strings.ReplaceAll(limited, ` capabilities = ["create", "read", "update", "delete"] }`, "\n capabilities = [\"create\", \"read\", \"update\", \"delete\"]\n}"))
	c, o := s.open(), s.order("req-limited", connector.APIKey)
	r, err := c.Grant(t.Context(), o)
	if err == nil {
		err = c.Revoke(t.Context(), o, r)
	}
	if err != nil {
		t.Error(err)
	}
	o.Scope["stage"] = "other"
	if _, err := c.Grant(t.Context(), o); !errors.Is(err, connector.ErrRefused) || !strings.Contains(err.Error(), "allowed_parameters") {
		t.Errorf("a policy that Writ's account may not give: %v", err)
	}
}

func TestRevokeEndsWhatTheTokenMade(t *testing.T) {
	s := newSite(t)
	s.policy("production", production+` path "auth/token/create" { capabilities = ["update"] }`)
	c, o := s.open(), s.order("req-parent", connector.APIKey)
	neighbour := s.order("req-parent2", connector.APIKey) // its name begins alike
	r, err := c.Grant(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	beside, err := c.Grant(t.Context(), neighbour)
	if err != nil {
		t.Fatal(err)
	}
	status, child := s.api(s.bearer(o, r.Credential), "POST", "auth/token/create", map[string]any{})
	if status != 200 {
		t.Fatalf("a child token: %d", status)
	}
	if err := c.Revoke(t.Context(), o, connector.Receipt{}); err != nil {
		t.Fatal(err)
	}
	if status, _ := s.api(child["client_token"].(string), "GET", "secret/data/production", nil); status != 403 {
		t.Errorf("the child token is answered with %d", status)
	}
	if err := s.works(t.Context(), neighbour, beside.Credential); err != nil {
		t.Errorf("the neighbour lost its access: %v", err)
	}
}

// TestCapsAreRefused is about a server that would end a token before its time.
func TestCapsAreRefused(t *testing.T) {
	s := newSite(t)
	o := s.order("req-long", connector.APIKey)
	o.Until = o.Until.AddDate(1, 0, 0)
	if _, err := s.open().Grant(t.Context(), o); !errors.Is(err, connector.ErrRefused) || !strings.Contains(err.Error(), "max_lease_ttl") {
		t.Errorf("a year, where the server allows a month: %v", err)
	}
	if n := len(s.below("auth/token/roles")); n != 0 {
		t.Errorf("%d token roles are left", n)
	}
}
