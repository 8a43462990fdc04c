package openbao

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/connector/openbao/rest"
)

// Revoke makes the ordered access not exist. What a token made, its child tokens
// and the logins of secrets engines, ends with it.
func (s *server) Revoke(ctx context.Context, co connector.Order, r connector.Receipt) error {
	o := locate(co)
	if !o.possible() {
		return ctx.Err()
	}
	_, err := s.at(ctx, o)
	if err == nil && o.Kind == connector.Membership {
		err = s.revokeMembership(ctx, o, r.External != "")
	} else if err == nil {
		err = s.end(ctx, o)
	}
	return fault(ctx, "revoke "+o.name, err)
}

// end ends what a request has. First goes the role, without which nobody can make
// another token for it, also no call that is late; then the tokens.
func (s *server) end(ctx context.Context, o order) error {
	if _, err := s.call(ctx, http.MethodDelete, "auth/token/roles/"+o.name, nil); err != nil && !errors.Is(err, rest.ErrMissing) {
		return err
	}
	if err := s.endTokens(ctx, o); err != nil {
		return err
	}
	left, err := s.leases(ctx, o)
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("%d tokens came in between; another try will find them", len(left))
	}
	return err
}

// endTokens ends all tokens made by the role of the order, and returns when they
// have ended.
func (s *server) endTokens(ctx context.Context, o order) error {
	_, err := s.call(ctx, http.MethodPost, "sys/leases/revoke-prefix/auth/token/create/"+o.name, map[string]bool{"sync": true})
	return err
}

// leases lists what lives of the tokens made by the role of the order. Their names
// tell nothing.
func (s *server) leases(ctx context.Context, o order) ([]string, error) {
	return s.keys(ctx, "sys/leases/lookup/auth/token/create/"+o.name)
}
