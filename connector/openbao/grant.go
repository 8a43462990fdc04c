package openbao

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/connector/openbao/rest"
)

// Grant makes the ordered access exist.
func (s *server) Grant(ctx context.Context, co connector.Order) (connector.Receipt, error) {
	o, err := read(co)
	if err != nil {
		return connector.Receipt{}, err
	}
	if !time.Now().Before(o.Until) {
		return connector.Receipt{}, refuse("the order for %s ended at %s", o.Request, o.Until.Format(time.RFC3339))
	}
	is, err := s.at(ctx, o)
	var digest string
	if err == nil {
		digest, err = s.digest(ctx, o)
	}
	var r connector.Receipt
	if err == nil && o.Kind == connector.Membership {
		r, err = s.grantMembership(ctx, o)
	} else if err == nil {
		r, err = s.grantToken(ctx, o, is)
	}
	if err != nil {
		return connector.Receipt{}, fault(ctx, "grant "+o.name, err)
	}
	r.External = o.name
	r.Detail["policies"], r.Detail["digest"] = strings.Join(o.Policies, ", "), digest
	return r, nil
}

// digest is of the text of the entitled policies. The server takes names of
// policies that do not exist; they would come to life later.
func (s *server) digest(ctx context.Context, o order) (string, error) {
	sum := sha256.New()
	for _, name := range o.Policies {
		var p struct{ Policy string }
		err := s.read(ctx, http.MethodGet, "sys/policies/acl/"+name, nil, &p)
		if errors.Is(err, rest.ErrMissing) {
			return "", final("policy %s does not exist; write it or change grant.policies", name)
		}
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%d %s %d %s\n", len(name), name, len(p.Policy), p.Policy)
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil)), nil
}

// grantToken makes a token by a role of its own, in whose name lies the request:
// all tokens made by it have leases below that name, and can be found and ended
// without knowing any of them. With the role gone no late call makes another.
func (s *server) grantToken(ctx context.Context, o order, is state) (connector.Receipt, error) {
	seconds, err := o.left(is.clock(), time.Now())
	if err != nil {
		return connector.Receipt{}, err
	}
	if _, err := s.call(ctx, http.MethodPost, "auth/token/roles/"+o.name, o.role(seconds)); err != nil {
		return connector.Receipt{}, err
	}
	if err := s.endTokens(ctx, o); err != nil { // those of an earlier try
		return connector.Receipt{}, err
	}
	made, err := s.call(ctx, http.MethodPost, "auth/token/create/"+o.name, o.token(seconds))
	if err == nil && made.Auth == nil {
		err = errors.New("the server made a token and did not show it")
	}
	if err != nil {
		return connector.Receipt{}, err
	}
	t, err := s.lookup(ctx, made.Auth.Accessor)
	if errors.Is(err, rest.ErrMissing) {
		return connector.Receipt{}, errors.New("the token ended at once; another grant or revoke of it came in between")
	}
	if err == nil {
		err = s.allow(ctx, o, t)
	}
	if errors.Is(err, connector.ErrRefused) { // nobody has it yet
		err = errors.Join(err, s.end(ctx, o))
	}
	if err != nil {
		return connector.Receipt{}, err
	}
	return s.handOver(o, made.Auth.Token, t), nil
}

// role is a token role that allows what was ordered and no more.
func (o order) role(seconds int64) map[string]any {
	return map[string]any{
		// As one text: so allowed_parameters in the policy of Writ's account can
		// limit what it may grant.
		"allowed_policies":        strings.Join(o.Policies, ","),
		"orphan":                  true, // it must not end with Writ's own login
		"renewable":               false,
		"token_type":              "service",
		"token_no_default_policy": true,
		"token_explicit_max_ttl":  seconds,
		"token_bound_cidrs":       strings.Join(o.BoundCIDRs, ","),

		// What somebody may have set on a role that is there already.
		"allowed_policies_glob":  "",
		"allowed_entity_aliases": "",
		"token_period":           0,
	}
}

func (o order) token(seconds int64) map[string]any {
	return map[string]any{
		"policies":          o.Policies,
		"no_default_policy": true,
		"renewable":         false,
		"ttl":               fmt.Sprintf("%ds", seconds),
		"explicit_max_ttl":  fmt.Sprintf("%ds", seconds),
		"display_name":      o.name,
		"meta": map[string]string{"writ_request": o.Request, "writ_serial": o.Serial, "writ_subject": o.Subject,
			"writ_entitlement": o.Entitlement},
	}
}

// allow refuses a token that would end at another time than ordered, or that
// could outlive its end.
func (s *server) allow(ctx context.Context, o order, t token) error {
	switch end := t.until(); {
	case end.IsZero() || end.After(o.Until):
		return final("the server would let the token live until %s, ordered was %s", end.Format(time.RFC3339), o.Until.Format(time.RFC3339))
	case end.Before(o.Until.Add(-slack)):
		return final("the server would end the token at %s already, ordered was %s; see max_lease_ttl of auth/token", end.Format(time.RFC3339), o.Until.Format(time.RFC3339))
	}
	reach, err := s.reach(ctx, t.Accessor)
	if err == nil && len(reach) > 0 {
		err = final("policies %s allow to write %s, by which the holder could keep access; name policies that do not", strings.Join(o.Policies, ", "), strings.Join(reach, ", "))
	}
	return err
}

// escapes are where somebody who may write could make access that no end of a
// token ends.
var escapes = []string{"auth/token/create-orphan", "auth/token/roles/any", "auth/approle/role/any", "identity/entity", "identity/entity-alias",
	"identity/group", "sys/auth/any", "sys/policies/acl/any", "sys/policy/any"}

// reach returns the escapes that a token may write.
func (s *server) reach(ctx context.Context, accessor string) (open []string, err error) {
	var can map[string][]string
	err = s.read(ctx, http.MethodPost, "sys/capabilities-accessor", map[string]any{"accessor": accessor, "paths": escapes}, &can)
	for _, path := range escapes {
		if slices.ContainsFunc(can[path], func(c string) bool { return c == "create" || c == "update" || c == "root" }) {
			open = append(open, path)
		}
	}
	return open, err
}

// handOver gives out the token, by the names that the command lines of both
// servers read.
func (s *server) handOver(o order, text string, t token) connector.Receipt {
	env := map[string]connector.Secret{"VAULT_ADDR": connector.Conceal(s.holders), "VAULT_TOKEN": connector.Conceal(text)}
	if s.namespace != "" {
		env["VAULT_NAMESPACE"] = connector.Conceal(s.namespace)
	}
	sum := sha256.Sum256([]byte(text))
	return connector.Receipt{
		Fingerprint: "sha256:" + hex.EncodeToString(sum[:]),
		Detail:      map[string]string{"accessor": t.Accessor},
		Credential:  &connector.Credential{Kind: o.Kind, Env: env, Until: t.until()},
	}
}

// final is refuse for what fault puts words before.
func final(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, connector.ErrRefused)...)
}
