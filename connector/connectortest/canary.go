package connectortest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/writhq/writ/connector"
)

var errStillWorks = errors.New("access is said to be revoked, but still works")

type stateError struct{ got, want connector.State }

func (e stateError) Error() string { return fmt.Sprintf("%s, want %s", e.got, e.want) }

// A canary collects everything a connector lets out, and every secret there is,
// to search the one for the other.
type canary struct {
	mu          sync.Mutex
	out         bytes.Buffer
	secrets     []string
	credentials []*connector.Credential
}

// watchLogs returns a canary that hears the default loggers until the test ends.
func watchLogs(t testing.TB) *canary {
	c := &canary{}
	logger, writer, flags := slog.Default(), log.Writer(), log.Flags()
	slog.SetDefault(slog.New(slog.NewTextHandler(c, &slog.HandlerOptions{Level: slog.LevelDebug})))
	t.Cleanup(func() {
		slog.SetDefault(logger)
		log.SetOutput(writer)
		log.SetFlags(flags)
	})
	return c
}

// Write takes a line of a log.
func (c *canary) Write(line []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.Write(line)
}

// said takes a value as it would be stored and as it would be printed.
func (c *canary) said(v any, err error) {
	data, jsonErr := json.Marshal(v)
	fmt.Fprintf(c, "%s\n%+v\n%v %v\n", data, v, err, jsonErr)
}

func (c *canary) secret(s connector.Secret) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.secrets = append(c.secrets, s.Reveal())
}

func (c *canary) credential(made *connector.Credential) {
	if made == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.credentials = append(c.credentials, made)
}

// search fails the test if anything that was let out holds a secret.
func (c *canary) search(t testing.TB, public []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, made := range c.credentials {
		c.learn(made.Env, public)
		c.learn(made.Files, public)
	}
	out := c.out.String()
	for _, secret := range c.secrets {
		if at := strings.Index(out, secret); secret != "" && at >= 0 {
			t.Errorf("a secret leaked, after %q", out[max(0, at-80):at])
			return
		}
	}
}

// learn takes what is secret in a part of a credential.
func (c *canary) learn(part map[string]connector.Secret, public []string) {
	for name, value := range part {
		if !slices.Contains(public, name) {
			c.secrets = append(c.secrets, value.Reveal())
		}
	}
}

// watched is a connector whose every answer the canary hears.
type watched struct {
	connector.Connector
	canary *canary
	close  func() error // once
}

func (w watched) Close() error { return w.close() }

func (w watched) Grant(ctx context.Context, o connector.Order) (connector.Receipt, error) {
	r, err := w.Connector.Grant(ctx, o)
	w.canary.said(r, err)
	w.canary.credential(r.Credential)
	return r, err
}

func (w watched) Revoke(ctx context.Context, o connector.Order, r connector.Receipt) error {
	err := w.Connector.Revoke(ctx, o, r)
	w.canary.said(nil, err)
	return err
}

func (w watched) Observe(ctx context.Context, o connector.Order, r connector.Receipt) (connector.Observation, error) {
	seen, err := w.Connector.Observe(ctx, o, r)
	w.canary.said(seen, err)
	return seen, err
}

func (w watched) List(ctx context.Context, f func(connector.Observation) error) error {
	err := w.Connector.List(ctx, func(seen connector.Observation) error {
		w.canary.said(seen, nil)
		return f(seen)
	})
	w.canary.said(nil, err)
	return err
}
