package client

import (
	"context"
	"net/url"

	"github.com/writhq/writ"
)

// Challenge asks for what the caller signs to say yes to a request.
func (c *Client) Challenge(ctx context.Context, id writ.ID) (Challenge, error) {
	in := map[string]writ.Decision{"decision": writ.Yes}
	return do[Challenge](ctx, c, call{"POST", path(id, "challenge"), in, nil})
}

// ApproveWith says yes to the terms with this digest, with evidence that it is
// the caller's own yes.
func (c *Client) ApproveWith(ctx context.Context, id writ.ID, digest writ.Digest, e writ.Evidence) (writ.Request, error) {
	if e.Method == "" {
		return c.Approve(ctx, id, digest)
	}
	in := map[string]writ.Evidence{"evidence": e}
	return do[writ.Request](ctx, c, call{"POST", path(id, "approve"), in, ifMatch(digest)})
}

// EnrolChallenge asks for what the caller signs to enrol a key.
func (c *Client) EnrolChallenge(ctx context.Context) (Challenge, error) {
	return do[Challenge](ctx, c, call{"POST", "/v1/keys/challenge", nil, nil})
}

// Enrol makes a key one of the caller's.
func (c *Client) Enrol(ctx context.Context, e Enrolment) (writ.Key, error) {
	return do[writ.Key](ctx, c, call{"POST", "/v1/keys", e, nil})
}

// Keys returns the caller's keys.
func (c *Client) Keys(ctx context.Context) ([]writ.Key, error) {
	out, err := do[struct{ Keys []writ.Key }](ctx, c, call{"GET", "/v1/keys", nil, nil})
	return out.Keys, err
}

// Disenrol takes a key away.
func (c *Client) Disenrol(ctx context.Context, name string) error {
	_, err := do[struct{}](ctx, c, call{"DELETE", "/v1/keys/" + url.PathEscape(name), nil, nil})
	return err
}
