package worker

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/writhq/writ/connector"
)

// A call is one call of a real connector that somebody listens to.
type call struct {
	ctx    context.Context
	target string
	op     string // grant, observe or revoke
	order  connector.Order
	over   bool  // it was made: the listener is told a second time
	err    error // what it said, once it is over
}

// errSwallow, said by a listener before a call, makes it look like a success
// that does nothing.
var errSwallow = errors.New("swallowed")

// tapped opens real connectors whose calls somebody listens to. An error of the
// listener before the call is returned in its place; one after it, instead of
// its answer.
type tapped struct {
	connector.Driver
	listen func(*call) error
}

func (d tapped) Open(ctx context.Context, config json.RawMessage, env connector.Env) (connector.Connector, error) {
	c, err := d.Driver.Open(ctx, config, env)
	if err != nil || d.listen == nil {
		return c, err
	}
	return tap{c, env.Target, d.listen}, nil
}

type tap struct {
	connector.Connector
	target string
	listen func(*call) error
}

func (t tap) do(c *call, f func() error) error {
	c.target = t.target
	if err := t.listen(c); err != nil {
		if errors.Is(err, errSwallow) {
			return nil
		}
		return err
	}
	c.err, c.over = f(), true
	if err := t.listen(c); err != nil {
		return err
	}
	return c.err
}

func (t tap) Instance(ctx context.Context) (string, error) {
	if l, ok := t.Connector.(connector.Locator); ok {
		return l.Instance(ctx)
	}
	return "", nil
}

func (t tap) Grant(ctx context.Context, o connector.Order) (r connector.Receipt, err error) {
	err = t.do(&call{ctx: ctx, op: "grant", order: o}, func() error { r, err = t.Connector.Grant(ctx, o); return err })
	return r, err
}

func (t tap) Revoke(ctx context.Context, o connector.Order, r connector.Receipt) error {
	return t.do(&call{ctx: ctx, op: "revoke", order: o}, func() error { return t.Connector.Revoke(ctx, o, r) })
}

func (t tap) Observe(ctx context.Context, o connector.Order, r connector.Receipt) (seen connector.Observation, err error) {
	err = t.do(&call{ctx: ctx, op: "observe", order: o}, func() error { seen, err = t.Connector.Observe(ctx, o, r); return err })
	return seen, err
}
