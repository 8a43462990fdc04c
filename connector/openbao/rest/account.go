package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/writhq/writ/connector"
)

// A Login is how Writ is known to the server: by a token, or by an AppRole.
// References are as in connector.Env.
type Login struct {
	TokenFrom    string // where the token is; read for each question
	RoleID       string // of the AppRole
	SecretIDFrom string // where its secret id is; read for each login
	Mount        string // where the AppRole is; empty: "approle"
}

// An Account is Writ's own on the server, and the token that speaks for it.
type Account struct {
	client *Client
	how    Login
	secret func(ref string) (connector.Secret, error)

	turn  chan struct{} // holds one while somebody works with what is below
	token string        // of an AppRole: the login; else what was renewed last
	next  time.Time     // when to log in again, or to renew
}

// NewAccount returns an account that logs in when it is first needed.
func NewAccount(c *Client, how Login, secret func(ref string) (connector.Secret, error)) *Account {
	return &Account{client: c, how: how, secret: secret, turn: make(chan struct{}, 1)}
}

// take waits for the turn to work with the token, give ends it.
func (a *Account) take(ctx context.Context) error {
	select {
	case a.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *Account) give() { <-a.turn }

// Speak returns a token that speaks for Writ. A login is used for two thirds of
// its life. A token that was given is renewed at half of its life, if it can be;
// it must then be used at least that often.
func (a *Account) Speak(ctx context.Context) (string, error) {
	if err := a.take(ctx); err != nil {
		return "", err
	}
	defer a.give()
	if a.how.TokenFrom == "" {
		return a.login(ctx)
	}
	given, err := a.secret(a.how.TokenFrom)
	if err != nil {
		return "", err
	}
	if token := given.Reveal(); token != a.token || time.Now().After(a.next) {
		return token, a.renew(ctx, token)
	}
	return a.token, nil
}

func (a *Account) login(ctx context.Context) (string, error) {
	if a.token != "" && time.Now().Before(a.next) {
		return a.token, nil
	}
	secretID, err := a.secret(a.how.SecretIDFrom)
	if err != nil {
		return "", err
	}
	mount := a.how.Mount
	if mount == "" {
		mount = "approle"
	}
	now := time.Now()
	got, err := a.client.Ask(ctx, "", http.MethodPost, "auth/"+mount+"/login",
		map[string]string{"role_id": a.how.RoleID, "secret_id": secretID.Reveal()})
	switch {
	case err != nil:
		return "", fmt.Errorf("log in with the AppRole at auth/%s: %w; see roleId, secretIdFrom, and whether the secret id has ended", mount, err)
	case got.Auth == nil:
		return "", errors.New("the login was answered without a token")
	}
	a.token, a.next = got.Auth.Token, now.Add(time.Duration(got.Auth.Duration)*time.Second*2/3)
	return a.token, nil
}

// renew prolongs a token that was given to Writ. One that cannot be renewed is
// used until it ends, and replaced where it is kept.
func (a *Account) renew(ctx context.Context, token string) error {
	now := time.Now()
	got, err := a.client.Ask(ctx, token, http.MethodPost, "auth/token/renew-self", map[string]string{})
	var said Refusal
	switch {
	case err == nil && got.Auth != nil && got.Auth.Renewable:
		a.next = now.Add(time.Duration(got.Auth.Duration) * time.Second / 2)
	case err == nil || errors.As(err, &said) && said.Status < http.StatusInternalServerError:
		a.next = now.Add(time.Hour)
	default:
		return err
	}
	a.token = token
	return nil
}

// Forget drops a login that the server does not know any more. It reports whether
// there can be another.
func (a *Account) Forget(ctx context.Context, token string) bool {
	if a.how.TokenFrom != "" || a.take(ctx) != nil {
		return false
	}
	defer a.give()
	if a.token == token {
		a.token = ""
	}
	return true
}

// Leave ends the login, if there is one. A token that was given is not ours to end.
func (a *Account) Leave(ctx context.Context) {
	if a.take(ctx) != nil {
		return
	}
	defer a.give()
	if a.how.TokenFrom == "" && a.token != "" {
		_, _ = a.client.Ask(ctx, a.token, http.MethodPost, "auth/token/revoke-self", nil) // else it ends by its own TTL
		a.token = ""
	}
}
