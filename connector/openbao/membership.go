package openbao

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/connector/openbao/rest"
)

// An entity is what the server says of one.
type entity struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Policies []string `json:"policies"`
	Groups   []string `json:"group_ids"` // ids, also of groups that hold its groups
}

// A group is what the server says of one.
type group struct {
	ID       string            `json:"id"`
	Name     string            `json:"name"`
	Type     string            `json:"type"`
	Policies []string          `json:"policies"`
	Entities []string          `json:"member_entity_ids"`
	Groups   []string          `json:"member_group_ids"`
	Parents  []string          `json:"parent_group_ids"`
	Meta     map[string]string `json:"metadata"`
}

// grantMembership makes a group of the entity alone that has the policies. The
// entity's own policies stay untouched: two who change those at once would lose
// what the other wrote.
func (s *server) grantMembership(ctx context.Context, o order) (connector.Receipt, error) {
	e, err := s.entity(ctx, o)
	if errors.Is(err, rest.ErrMissing) {
		err = final("entity %s does not exist; create it or change grant.entity", o.Entity)
	}
	if err != nil {
		return connector.Receipt{}, err
	}
	by, err := s.others(ctx, o, e)
	if err == nil && len(by) > 0 {
		err = final("entity %s has it already, by %s; its end would not be Writ's to bring: take that away first", o.Entity, strings.Join(by, ", "))
	}
	if err != nil {
		return connector.Receipt{}, err
	}
	_, err = s.call(ctx, http.MethodPost, "identity/group/name/"+o.name, map[string]any{
		"type": "internal", "policies": o.Policies, "member_entity_ids": []string{e.ID}, "member_group_ids": []string{},
		"metadata": map[string]string{"made_by": "writ", "entity": o.Entity},
	})
	return connector.Receipt{Detail: map[string]string{"entity": o.Entity, "entityId": e.ID}}, err
}

func (s *server) entity(ctx context.Context, o order) (e entity, err error) {
	return e, s.read(ctx, http.MethodGet, "identity/entity/name/"+o.Entity, nil, &e)
}

// others says by what else than Writ's groups the entity has entitled policies.
func (s *server) others(ctx context.Context, o order, e entity) (by []string, err error) {
	entitled := func(p string) bool { return slices.Contains(o.Policies, p) }
	if slices.ContainsFunc(e.Policies, entitled) {
		by = append(by, "policies of its own")
	}
	for _, id := range e.Groups {
		var g group
		err := s.read(ctx, http.MethodGet, "identity/group/id/"+id, nil, &g)
		if err != nil && !errors.Is(err, rest.ErrMissing) {
			return nil, err
		}
		if !strings.HasPrefix(g.Name, prefix) && slices.ContainsFunc(g.Policies, entitled) {
			by = append(by, "group "+g.Name)
		}
	}
	return by, nil
}

// revokeMembership removes the group. What somebody else gave the entity since is
// not Writ's to take, but then the access has not ended.
func (s *server) revokeMembership(ctx context.Context, o order, granted bool) error {
	if _, err := s.call(ctx, http.MethodDelete, "identity/group/name/"+o.name, nil); err != nil && !errors.Is(err, rest.ErrMissing) || !granted {
		return err
	}
	e, err := s.entity(ctx, o)
	if errors.Is(err, rest.ErrMissing) {
		return nil
	}
	var by []string
	if err == nil {
		by, err = s.others(ctx, o, e)
	}
	if err == nil && len(by) > 0 {
		err = fmt.Errorf("Writ's part is gone, but entity %s has it by %s since; take that away", o.Entity, strings.Join(by, ", "))
	}
	return err
}

func (s *server) observeMembership(ctx context.Context, o order, r connector.Receipt) (connector.Observation, error) {
	g, err := s.group(ctx, o.name)
	if err == nil && len(g.Entities)+len(g.Groups) == 0 {
		err = rest.ErrMissing // the entity is gone, and the server took it out
	}
	if err != nil {
		return connector.Observation{}, err
	}
	e, err := s.entity(ctx, o)
	if err != nil && !errors.Is(err, rest.ErrMissing) {
		return connector.Observation{}, err
	}
	by, err := s.others(ctx, o, e)
	if err != nil {
		return connector.Observation{}, err
	}
	seen := g.observation()
	if seen.Differs, err = s.grown(ctx, o, r); err != nil {
		return connector.Observation{}, err
	}
	if len(by) > 0 {
		seen.Differs = append(seen.Differs, "the entity has it also by "+strings.Join(by, ", "))
	}
	if !slices.Equal(g.Entities, []string{e.ID}) || len(g.Groups) > 0 {
		seen.Differs = append(seen.Differs, fmt.Sprintf("its members are %q, ordered was %s with id %s", append(g.Entities, g.Groups...), o.Entity, e.ID))
	}
	if !same(g.Policies, o.Policies) {
		seen.Differs = append(seen.Differs, fmt.Sprintf("its policies are %q, ordered were %q", g.Policies, o.Policies))
	}
	if len(g.Parents) > 0 {
		seen.Differs = append(seen.Differs, fmt.Sprintf("it has the policies of groups %q too", g.Parents))
	}
	return seen, nil
}

func (s *server) group(ctx context.Context, name string) (g group, err error) {
	return g, s.read(ctx, http.MethodGet, "identity/group/name/"+name, nil, &g)
}

// observation returns what was seen of the group, compared with nothing.
func (g group) observation() connector.Observation {
	seen := connector.Observation{External: g.Name, State: connector.Present, Detail: map[string]string{
		"kind": g.Type + " group", "policies": strings.Join(g.Policies, ", "), "members": strings.Join(append(g.Entities, g.Groups...), ", ")}}
	if of := g.Meta["entity"]; of != "" {
		seen.Detail["entity"] = of
	}
	return seen
}
