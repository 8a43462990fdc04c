package connectortest

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/writhq/writ/connector"
)

const stranger = "noSuchField"

func manifest(s *suite) {
	m := s.can
	if m.Name == "" || m.Name != strings.ToLower(m.Name) || m.Summary == "" {
		s.Errorf("the manifest needs a lower-case name and a summary: %+v", m)
	}
	kinds := slices.Clone(m.Kinds)
	slices.Sort(kinds)
	if len(slices.Compact(kinds)) != len(m.Kinds) {
		s.Errorf("a kind is there twice: %q", m.Kinds)
	}
	if m.EndsOpen != (s.target.Session != nil) || m.ListsAll != (s.target.Foreign != nil) || m.Readable && len(s.target.Alter) == 0 {
		s.Error("EndsOpen, ListsAll, Readable of the manifest and Session, Foreign, Alter of the harness do not fit")
	}
}

func checkGrant(s *suite) {
	o := s.order()
	if err := s.Driver.Check(o.Grant, o.Kind); err != nil {
		s.Errorf("a valid grant section is refused: %v", err)
	}
	if err := s.Driver.Check(with(o.Grant, stranger), o.Kind); err == nil || !strings.Contains(err.Error(), stranger) {
		s.Errorf("an unknown field is not named: %v", err)
	}
	for _, broken := range []string{"", "{", "[]", `"text"`, string(o.Grant) + "{}"} {
		if s.Driver.Check(json.RawMessage(broken), o.Kind) == nil {
			s.Errorf("accepted as a grant section: %q", broken)
		}
	}
	if s.Driver.Check(o.Grant, "no-such-kind") == nil {
		s.Error("a kind is accepted that the manifest does not have")
	}
}

func openConfig(s *suite) {
	config := s.target.Config(s.target.Addr)
	c, err := s.Driver.Open(s.Context(), with(config, stranger), s.env())
	s.canary.said(nil, err)
	if err == nil {
		s.Error("a configuration with an unknown field is accepted")
		_ = c.Close()
	} else if !strings.Contains(err.Error(), stranger) {
		s.Errorf("an unknown field is not named: %v", err)
	}
	for _, broken := range []string{"{", "[]", string(config) + "{}"} {
		c, err := s.Driver.Open(s.Context(), json.RawMessage(broken), s.env())
		s.canary.said(nil, err)
		if err == nil {
			s.Errorf("accepted as a configuration: %q", broken)
			_ = c.Close()
		}
	}
}

func refused(s *suite) {
	c := s.open(s.target.Addr)
	orders := map[string]connector.Order{"an unknown field in the grant section": s.order(), "an unknown kind": s.order()}
	for name, o := range orders {
		if o.Kind = "no-such-kind"; name != "an unknown kind" {
			o.Kind, o.Grant = s.kind, with(o.Grant, stranger)
		}
		orders[name] = o
	}
	if s.target.Refuse != nil {
		for name, o := range s.target.Refuse(s.kind) {
			valid := s.order()
			o.Request, o.Kind, o.From, o.Until = valid.Request, s.kind, valid.From, valid.Until
			orders[name] = o
		}
	}
	s.before = s.target.Count() // what makes orders impossible may count
	for name, o := range orders {
		r, err := c.Grant(s.Context(), o)
		if !errors.Is(err, connector.ErrRefused) {
			s.Errorf("%s: grant returned %v, want an error that wraps ErrRefused", name, err)
		}
		if r.Credential != nil {
			s.Errorf("%s: a credential was issued", name)
		}
		s.counts(0)
		if err := c.Revoke(s.Context(), o, connector.Receipt{}); err != nil { // every request ends, also a refused one
			s.Errorf("%s: revoke: %v", name, err)
		}
		s.observed(c, o, connector.Receipt{}, connector.Absent)
		s.counts(0)
	}
}

func cancelled(s *suite) {
	c, o := s.open(s.target.Addr), s.order()
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	for name, call := range calls(o) {
		if err := call(ctx, c); !errors.Is(err, context.Canceled) {
			s.Errorf("%s returned %v, want context.Canceled", name, err)
		}
	}
	s.counts(0)
	s.revoked(c, o, s.granted(c, o)) // it was no harm
}

// calls are all calls of a connector, for one order, by name.
func calls(o connector.Order) map[string]func(context.Context, connector.Connector) error {
	return map[string]func(context.Context, connector.Connector) error{
		"grant": func(ctx context.Context, c connector.Connector) error {
			_, err := c.Grant(ctx, o)
			return err
		},
		"revoke": func(ctx context.Context, c connector.Connector) error {
			return c.Revoke(ctx, o, connector.Receipt{})
		},
		"observe": func(ctx context.Context, c connector.Connector) error {
			seen, err := c.Observe(ctx, o, connector.Receipt{})
			if err == nil && seen.State == connector.Unread {
				return context.Canceled // it says that it does not know, which is as good
			}
			return err
		},
		"list": func(ctx context.Context, c connector.Connector) error {
			return c.List(ctx, func(connector.Observation) error { return nil })
		},
	}
}

func down(s *suite) {
	if s.target.Addr == "" {
		return
	}
	proxy := NewProxy(s, s.target.Addr)
	proxy.Down()
	c, o := s.open(proxy.Addr()), s.order() // open must not need the target
	for name, call := range calls(o) {
		if err := call(s.Context(), c); err == nil || errors.Is(err, connector.ErrRefused) {
			s.Errorf("%s at a target that is down returned %v, want an error that another try can mend", name, err)
		}
	}
	proxy.Heal()
	s.granted(c, o) // it found back
}

func hanging(s *suite) {
	if s.target.Addr == "" {
		return
	}
	proxy := NewProxy(s, s.target.Addr)
	for name, call := range calls(s.order()) {
		c := s.open(proxy.Addr())
		proxy.Arm(Fault{Message: 1, Stall: true})
		ctx, cancel := context.WithTimeout(s.Context(), 200*time.Millisecond)
		start := time.Now()
		err := call(ctx, c)
		cancel()
		if took := time.Since(start); err == nil || errors.Is(err, connector.ErrRefused) || took > 3*time.Second {
			s.Errorf("%s with a deadline of 200 ms at a target that hangs returned %v after %s", name, err, took)
		}
		proxy.Heal()
	}
	s.counts(0)
}
