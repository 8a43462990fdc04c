package web

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/door"
)

type (
	narrowInput struct {
		Decision
		Body door.Less
	}
	requireInput struct {
		Decision
		Body struct {
			Approver writ.Ref `json:"approver" example:"human/max"`
		}
	}
	delegateInput struct {
		Repeatable
		Body door.Absence
	}
	returnInput struct {
		Repeatable
		Name string `path:"name"`
	}

	// Delegations are those that a caller made or that name the caller.
	Delegations struct {
		Delegations []writ.Delegation `json:"delegations"`
	}
)

// approving is what approvers do besides saying yes or no.
func (s *server) approving(api huma.API) {
	d := s.Door
	route(s, api, op("narrow", "POST", "/v1/requests/{id}/narrow", "Give less than was asked for"),
		func(ctx context.Context, who door.Caller, in narrowInput) (writ.Request, error) {
			digest, err := seen(in.IfMatch)
			if err != nil {
				return writ.Request{}, err
			}
			return d.Narrow(ctx, who, in.ID, digest, in.Body)
		})
	route(s, api, op("require", "POST", "/v1/requests/{id}/require", "Ask for one more person's approval"),
		func(ctx context.Context, who door.Caller, in requireInput) (writ.Request, error) {
			digest, err := seen(in.IfMatch)
			if err != nil {
				return writ.Request{}, err
			}
			return d.Require(ctx, who, in.ID, digest, in.Body.Approver)
		})
	route(s, api, op("delegations", "GET", "/v1/delegations", "Who decides in whose place"),
		func(_ context.Context, who door.Caller, _ none) (Delegations, error) {
			return Delegations{d.Delegations(who)}, nil
		})
	route(s, api, created(op("delegate", "POST", "/v1/delegations", "Name who decides in your place")),
		func(ctx context.Context, who door.Caller, in delegateInput) (writ.Delegation, error) {
			return d.Delegate(ctx, who, in.Body)
		})
	route(s, api, op("return", "DELETE", "/v1/delegations/{name}", "Decide yourself again"),
		func(ctx context.Context, who door.Caller, in returnInput) (struct{}, error) {
			return struct{}{}, d.Return(ctx, who, in.Name)
		})
}
