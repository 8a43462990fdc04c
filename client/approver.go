package client

import (
	"context"
	"net/url"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/door"
)

type (
	// Less is what an approver gives instead of what was asked for.
	Less = door.Less
	// Absence is while somebody else decides in the caller's place.
	Absence = door.Absence
)

// Narrow gives less than the terms with this digest.
func (c *Client) Narrow(ctx context.Context, id writ.ID, digest writ.Digest, to Less) (writ.Request, error) {
	return do[writ.Request](ctx, c, call{"POST", path(id, "narrow"), to, ifMatch(digest)})
}

// Require asks for one more person's approval.
func (c *Client) Require(ctx context.Context, id writ.ID, digest writ.Digest, approver writ.Ref) (writ.Request, error) {
	in := map[string]writ.Ref{"approver": approver}
	return do[writ.Request](ctx, c, call{"POST", path(id, "require"), in, ifMatch(digest)})
}

// Delegations returns those that the caller made or that name the caller.
func (c *Client) Delegations(ctx context.Context) ([]writ.Delegation, error) {
	out, err := do[struct{ Delegations []writ.Delegation }](ctx, c, call{"GET", "/v1/delegations", nil, nil})
	return out.Delegations, err
}

// Delegate names who decides in the caller's place.
func (c *Client) Delegate(ctx context.Context, a Absence) (writ.Delegation, error) {
	return do[writ.Delegation](ctx, c, call{"POST", "/v1/delegations", a, nil})
}

// Return ends a delegation.
func (c *Client) Return(ctx context.Context, name string) error {
	_, err := do[struct{}](ctx, c, call{"DELETE", "/v1/delegations/" + url.PathEscape(name), nil, nil})
	return err
}
