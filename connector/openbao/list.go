package openbao

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/connector/openbao/rest"
)

// List calls f for every token, for every group that gives its members policies,
// and for every entity that has policies of its own.
func (s *server) List(ctx context.Context, f func(connector.Observation) error) error {
	var stop error
	show := func(seen connector.Observation) error {
		stop = f(seen)
		return stop
	}
	err := s.each(ctx, func(t token) error { return show(t.observation()) })
	if err == nil {
		err = s.eachGroup(ctx, show)
	}
	if err == nil {
		err = s.eachEntity(ctx, show)
	}
	if stop != nil {
		return stop
	}
	return fault(ctx, "list tokens, groups and entities", err)
}

// each calls f for every token. One that ends meanwhile is left out.
func (s *server) each(ctx context.Context, f func(token) error) error {
	accessors, err := s.keys(ctx, "auth/token/accessors")
	if err != nil {
		return err
	}
	for _, accessor := range accessors {
		t, err := s.lookup(ctx, accessor)
		if err == nil {
			err = f(t)
		}
		if err != nil && !errors.Is(err, rest.ErrMissing) {
			return err
		}
	}
	return nil
}

func (s *server) eachGroup(ctx context.Context, f func(connector.Observation) error) error {
	names, err := s.keys(ctx, "identity/group/name")
	if err != nil {
		return err
	}
	for _, name := range names {
		g, err := s.group(ctx, name)
		if err == nil && len(g.Policies) > 0 && len(g.Entities)+len(g.Groups) > 0 {
			err = f(g.observation())
		}
		if err != nil && !errors.Is(err, rest.ErrMissing) {
			return err
		}
	}
	return nil
}

func (s *server) eachEntity(ctx context.Context, f func(connector.Observation) error) error {
	names, err := s.keys(ctx, "identity/entity/name")
	if err != nil {
		return err
	}
	for _, name := range names {
		var e entity
		err := s.read(ctx, http.MethodGet, "identity/entity/name/"+name, nil, &e)
		if err == nil && len(e.Policies) > 0 {
			err = f(connector.Observation{External: "entity " + e.Name, State: connector.Present,
				Detail: map[string]string{"kind": "entity", "policies": strings.Join(e.Policies, ", ")}})
		}
		if err != nil && !errors.Is(err, rest.ErrMissing) {
			return err
		}
	}
	return nil
}
