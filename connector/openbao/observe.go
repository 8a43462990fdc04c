package openbao

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/connector/openbao/rest"
)

// Observe reads what is there for the order.
func (s *server) Observe(ctx context.Context, co connector.Order, r connector.Receipt) (connector.Observation, error) {
	o := locate(co)
	if !o.possible() {
		return connector.Observation{State: connector.Absent}, ctx.Err()
	}
	_, err := s.at(ctx, o)
	var seen connector.Observation
	if err == nil && o.Kind == connector.Membership {
		seen, err = s.observeMembership(ctx, o, r)
	} else if err == nil {
		seen, err = s.observeToken(ctx, o, r)
	}
	if errors.Is(err, rest.ErrMissing) {
		return connector.Observation{State: connector.Absent}, nil
	}
	if err != nil {
		return connector.Observation{}, fault(ctx, "observe "+o.name, err)
	}
	return seen, nil
}

// A token is what the server says of one.
type token struct {
	Accessor   string            `json:"accessor"`
	Name       string            `json:"display_name"`
	Expires    string            `json:"expire_time"` // RFC 3339; empty: never
	Meta       map[string]string `json:"meta"`
	Uses       int               `json:"num_uses"`
	Orphan     bool              `json:"orphan"`
	Path       string            `json:"path"`
	Period     int64             `json:"period"`
	Policies   []string          `json:"policies"`
	OfEntity   []string          `json:"identity_policies"`
	Renewable  bool              `json:"renewable"`
	Role       string            `json:"role"`
	Type       string            `json:"type"`
	BoundCIDRs []string          `json:"bound_cidrs"`
}

// until is when the server ends the token; zero: never, or it does not say.
func (t token) until() time.Time {
	end, _ := time.Parse(time.RFC3339Nano, t.Expires)
	return end.UTC()
}

// request returns the request that the token was made for, or "". Who made it
// could write anything into its metadata, but not by which role it was made.
func (t token) request() string {
	if rest, ok := strings.CutPrefix(t.Role, prefix); ok && t.Path == "auth/token/create/"+t.Role && requestID.MatchString("req-"+rest) {
		return "req-" + rest
	}
	return ""
}

// lookup reads a token by its accessor, or returns ErrMissing.
func (s *server) lookup(ctx context.Context, accessor string) (t token, err error) {
	err = s.read(ctx, http.MethodPost, "auth/token/lookup-accessor", map[string]string{"accessor": accessor}, &t)
	if rest.Says(err, rest.NoAccessor) {
		err = rest.ErrMissing
	}
	return t, err
}

// find returns the token of an order: by its accessor, where the receipt tells
// that, else among all there are.
func (s *server) find(ctx context.Context, o order, accessor string) (t token, err error) {
	if accessor != "" {
		if t, err = s.lookup(ctx, accessor); !errors.Is(err, rest.ErrMissing) {
			return t, err
		}
	}
	t, found := token{}, errors.New("found")
	err = s.each(ctx, func(one token) error {
		if t = one; one.Role == o.name {
			return found
		}
		return nil
	})
	switch {
	case errors.Is(err, found):
		return t, nil
	case err == nil:
		err = rest.ErrMissing // it has just ended
	}
	return t, err
}

func (s *server) observeToken(ctx context.Context, o order, r connector.Receipt) (connector.Observation, error) {
	live, err := s.leases(ctx, o)
	if err == nil && len(live) == 0 {
		err = rest.ErrMissing
	}
	if err != nil {
		return connector.Observation{}, err
	}
	t, err := s.find(ctx, o, r.Detail["accessor"])
	var differs []string
	if err == nil {
		differs, err = s.tokenDiffers(ctx, o, r, t)
	}
	if errors.Is(err, rest.ErrMissing) { // it has just ended, or cannot be read: absence is for the leases to show
		if live, err = s.leases(ctx, o); err == nil && len(live) == 0 {
			err = rest.ErrMissing
		} else if err == nil {
			err = fmt.Errorf("there are %d tokens for it, and none can be read", len(live))
		}
	}
	if err != nil {
		return connector.Observation{}, err
	}
	if len(live) > 1 {
		differs = append(differs, fmt.Sprintf("there are %d tokens for it, ordered was one", len(live)))
	}
	seen := t.observation()
	seen.Differs = differs
	return seen, nil
}

// tokenDiffers says in which ways the token, and what it depends on, is not as
// ordered, or returns ErrMissing if it ends meanwhile.
func (s *server) tokenDiffers(ctx context.Context, o order, r connector.Receipt, t token) ([]string, error) {
	role, err := s.roleDiffers(ctx, o)
	if err != nil {
		return nil, err
	}
	grown, err := s.grown(ctx, o, r)
	if err != nil {
		return nil, err
	}
	open, err := s.reach(ctx, t.Accessor)
	if rest.Says(err, rest.NoAccessor) {
		err = rest.ErrMissing
	}
	if len(open) > 0 {
		grown = append(grown, "its policies have come to reach "+strings.Join(open, ", "))
	}
	return slices.Concat(t.differs(o), role, grown), err
}

// observation returns what was seen of the token, compared with nothing.
func (t token) observation() connector.Observation {
	seen := connector.Observation{External: t.Accessor, Request: t.request(), State: connector.Present, Until: t.until(), Detail: map[string]string{}}
	if seen.Request != "" {
		seen.External = t.Role
	}
	for name, value := range map[string]string{
		"accessor":       t.Accessor,
		"displayName":    t.Name,
		"path":           t.Path,
		"type":           t.Type,
		"policies":       strings.Join(t.Policies, ", "),
		"entityPolicies": strings.Join(t.OfEntity, ", "),
		"boundCidrs":     strings.Join(t.BoundCIDRs, ", "),
		"subject":        t.Meta["writ_subject"],
	} {
		if value != "" {
			seen.Detail[name] = value
		}
	}
	seen.Detail["orphan"] = strconv.FormatBool(t.Orphan)
	seen.Detail["renewable"] = strconv.FormatBool(t.Renewable)
	return seen
}

// differs says in which ways the token is not as ordered.
func (t token) differs(o order) (ways []string) {
	differ := func(format string, args ...any) { ways = append(ways, fmt.Sprintf(format, args...)) }
	if t.Role != o.name {
		differ("it was made by role %q, ordered was %q", t.Role, o.name)
	}
	if t.Meta["writ_request"] != o.Request {
		differ("it says to be for %q, ordered was %q", t.Meta["writ_request"], o.Request)
	}
	if !same(t.Policies, o.Policies) {
		differ("its policies are %q, ordered were %q", t.Policies, o.Policies)
	}
	if len(t.OfEntity) > 0 {
		differ("it has policies of an entity: %q", t.OfEntity)
	}
	switch end := t.until(); {
	case end.IsZero():
		differ("it never ends, ordered was until %s", o.Until.Format(time.RFC3339))
	case end.After(o.Until) || end.Before(o.Until.Add(-slack)):
		differ("it ends at %s, ordered was %s", end.Format(time.RFC3339), o.Until.Format(time.RFC3339))
	}
	if t.Renewable || t.Period != 0 {
		differ("it can be renewed")
	}
	if !t.Orphan {
		differ("it ends with the token that made it")
	}
	if t.Type != "service" || t.Uses != 0 {
		differ("it is of type %s for %d uses, ordered was service for any number", t.Type, t.Uses)
	}
	if !same(t.BoundCIDRs, o.BoundCIDRs) {
		differ("it works from %q, ordered was %q", t.BoundCIDRs, o.BoundCIDRs)
	}
	return ways
}

// roleDiffers says in which ways the role of the token, by which more could be
// made, is not as ordered.
func (s *server) roleDiffers(ctx context.Context, o order) (ways []string, err error) {
	var is struct {
		Policies  []string `json:"allowed_policies"`
		Globs     []string `json:"allowed_policies_glob"`
		Entities  []string `json:"allowed_entity_aliases"`
		Period    int64    `json:"token_period"`
		Max       int64    `json:"token_explicit_max_ttl"`
		Renewable bool     `json:"renewable"`
		Orphan    bool     `json:"orphan"`
	}
	err = s.read(ctx, http.MethodGet, "auth/token/roles/"+o.name, nil, &is)
	if errors.Is(err, rest.ErrMissing) {
		return []string{"the token role it was made by is gone"}, nil
	}
	if err == nil && (!same(is.Policies, o.Policies) || len(is.Globs)+len(is.Entities) > 0 || is.Period != 0 || is.Max == 0 || is.Renewable || !is.Orphan) {
		ways = append(ways, fmt.Sprintf("the token role it was made by has been changed: it allows %q", append(is.Policies, is.Globs...)))
	}
	return ways, err
}

// grown says that the entitled policies are not those of the day of the grant.
func (s *server) grown(ctx context.Context, o order, r connector.Receipt) ([]string, error) {
	was := r.Detail["digest"]
	if was == "" {
		return nil, nil
	}
	now, err := s.digest(ctx, o)
	if errors.Is(err, connector.ErrRefused) && !rest.Denied(err) || err == nil && now != was {
		return []string{"the text of its policies has been changed since the grant"}, nil
	}
	return nil, err
}

// same reports whether two lists hold the same, in any order.
func same(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
