// Package connectortest holds a connector to the contract of package connector,
// on a real system:
//
//	func TestContract(t *testing.T) {
//		connectortest.Run(t, connectortest.Harness{Driver: postgres.Driver{}, Target: target})
//	}
//
// The suite never takes the connector's word: whether access exists, works or is
// gone it asks the target, through functions that the harness brings and that
// must not use the connector.
package connectortest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/writhq/writ/connector"
)

// A Harness tells the suite about one kind of system.
type Harness struct {
	Driver connector.Driver

	// Target returns a target of its own for one check, cleaned up through t.
	// Checks run one after the other.
	Target func(t testing.TB) Target

	Public []string      // names in Credential.Env and Files that are no secret: "PGUSER"
	Lag    time.Duration // how long the target may take to follow a change; zero: none
	Life   time.Duration // the shortest life of access that the target can give; zero: 2 s
}

// A Target is one real target, and an independent look at it.
type Target struct {
	// Addr is the host:port where the target listens. Faults are then injected
	// into the network between. Empty: the target is in this process, and faults
	// are injected around the calls.
	Addr string

	// Config returns the configuration that reaches the target at addr, which is
	// Addr or a proxy before it. Every connector opened with it, also after
	// another one was given up as in a crash, sees the same target.
	Config func(addr string) json.RawMessage

	// Secret resolves the references in Config. Nil: there are none.
	Secret func(ref string) (connector.Secret, error)

	// Order returns an order that the target can carry out. The suite sets
	// Request, Kind, From and Until afterwards where the function left them zero.
	// Each request gets access of its own, also of a shared kind: give each its
	// own account.
	Order func(request string, kind connector.Kind) connector.Order

	// Works really uses the access: logs in and does what was granted, or, for a
	// kind without a credential (c is nil), does it as the account. It must fail
	// where access is missing.
	Works func(ctx context.Context, o connector.Order, c *connector.Credential) error

	// Count returns how many pieces of access exist in the target, whoever made
	// them. The suite only compares counts.
	Count func() int

	// Session opens something that outlives a login, and returns a way to use it
	// again. Needed where Manifest.EndsOpen, else nil.
	Session func(ctx context.Context, o connector.Order, c *connector.Credential) (use func() error, err error)

	// Alter changes granted access behind the connector's back, one way each, by
	// name. Observe must tell. Needed where Manifest.Readable; a way that does not
	// fit a kind does nothing and returns false.
	Alter map[string]func(o connector.Order, r connector.Receipt) (fits bool)

	// Restore undoes what would keep a connector from revoking altered access, such
	// as rights above its own. Revoke was called once by then, so the access may be
	// gone. Nil: revoking must succeed at once.
	Restore func(o connector.Order, r connector.Receipt)

	// Foreign makes access by hand, as somebody who does not know Writ would, and
	// returns the name that List must show it by. Needed where Manifest.ListsAll.
	Foreign func() (external string)

	// Refuse are orders that the target must refuse for good, by what is wrong:
	// a role that does not exist. Orders that Driver.Check already refuses fit too.
	Refuse func(kind connector.Kind) map[string]connector.Order
}

// A check is one part of the contract.
type check struct {
	name string
	run  func(*suite)
}

// checks are the whole contract. Each has a broken connector in the tests of
// this package that it catches.
var checks = []check{
	{"manifest is complete", manifest},
	{"granted access works and is observed", grant},
	{"granting twice leaves one access", grantTwice},
	{"a late order gives no access", grantLate},
	{"revoked access is gone", revoke},
	{"revoking needs no receipt and may be repeated", revokeAgain},
	{"revoking what never was is success", revokeNothing},
	{"revoking ends open sessions", revokeOpen},
	{"requests are independent", independent},
	{"an order for another instance does nothing", located},
	{"shared access is the same whoever it is for", shared},
	{"calls may come at once", concurrent},
	{"nothing outlives until", expire},
	{"changed access is observed", altered},
	{"list shows what exists", list},
	{"list stops at an error", listStops},
	{"check refuses mistakes", checkGrant},
	{"open refuses mistakes", openConfig},
	{"what cannot be is refused", refused},
	{"a cancelled call does nothing", cancelled},
	{"a target that is down is an error", down},
	{"a target that hangs is left at the deadline", hanging},
	{"a fault while granting leaves nothing wrong", faultyGrant},
	{"a fault while revoking leaves nothing wrong", faultyRevoke},
	{"a fault while reading changes nothing", faultyRead},
}

// Run holds the connectors of h to the contract, for every kind in the manifest.
func Run(t *testing.T, h Harness) {
	for _, kind := range h.Driver.Manifest().Kinds {
		t.Run(string(kind), func(t *testing.T) {
			for _, c := range checks {
				t.Run(c.name, func(t *testing.T) { c.run(newSuite(t, h, kind)) })
			}
		})
	}
}

// A suite is what a check works with: one kind at one fresh target.
type suite struct {
	testing.TB
	Harness
	can    connector.Manifest
	target Target
	kind   connector.Kind
	canary *canary
	before int // pieces of access that the fresh target had
}

func newSuite(t testing.TB, h Harness, kind connector.Kind) *suite {
	if h.Life == 0 {
		h.Life = 2 * time.Second
	}
	s := &suite{TB: t, Harness: h, can: h.Driver.Manifest(), kind: kind, canary: watchLogs(t)}
	t.Cleanup(func() { s.canary.search(t, h.Public) })
	s.target = h.Target(t)
	s.before = s.target.Count()
	return s
}

// open opens a connector that is watched for leaking secrets. It is closed after
// the test, unless it was before.
func (s *suite) open(addr string) connector.Connector {
	s.Helper()
	c, err := s.Driver.Open(s.Context(), s.target.Config(addr), s.env())
	if err != nil {
		s.Fatalf("open: %v", err)
	}
	w := watched{c, s.canary, sync.OnceValue(c.Close)}
	s.Cleanup(func() { s.closed(w) })
	return w
}

func (s *suite) closed(c connector.Connector) {
	s.Helper()
	if err := c.Close(); err != nil {
		s.Errorf("close: %v", err)
	}
}

func (s *suite) env() connector.Env {
	return connector.Env{Target: "test", Secret: func(ref string) (connector.Secret, error) {
		if s.target.Secret == nil {
			return connector.Secret{}, fmt.Errorf("the harness resolves no references, but %q is asked for", ref)
		}
		secret, err := s.target.Secret(ref)
		s.canary.secret(secret)
		return secret, err
	}}
}

// order returns a valid order for a new request.
func (s *suite) order() connector.Order {
	request := "req-" + strings.ToLower(rand.Text())
	o := s.target.Order(request, s.kind)
	o.Request, o.Kind = request, s.kind
	if o.From.IsZero() {
		o.From = time.Now().UTC()
	}
	if o.Until.IsZero() {
		o.Until = o.From.Add(time.Hour)
	}
	return o
}

// granted carries out o and sees that the access works.
func (s *suite) granted(c connector.Connector, o connector.Order) connector.Receipt {
	s.Helper()
	r, err := c.Grant(s.Context(), o)
	if err != nil {
		s.Fatalf("grant: %v", err)
	}
	s.works(o, r.Credential)
	return r
}

// revoked takes o back and sees that the access is gone.
func (s *suite) revoked(c connector.Connector, o connector.Order, r connector.Receipt) {
	s.Helper()
	if err := c.Revoke(s.Context(), o, r); err != nil {
		s.Fatalf("revoke: %v", err)
	}
	s.gone(o, r.Credential)
}

// works fails the check unless the access can really be used.
func (s *suite) works(o connector.Order, credential *connector.Credential) {
	s.Helper()
	if err := s.eventually(func() error { return s.target.Works(s.Context(), o, credential) }); err != nil {
		s.Fatalf("access is said to be granted, but does not work: %v", err)
	}
}

// gone fails the check if the access can still be used. A credential that is
// nil because it was lost cannot be tried; then only counting tells.
func (s *suite) gone(o connector.Order, credential *connector.Credential) {
	s.Helper()
	if credential == nil && !s.kind.Shared() {
		return
	}
	err := s.eventually(func() error {
		if s.target.Works(s.Context(), o, credential) == nil {
			return errStillWorks
		}
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
}

// counts fails the check unless the target holds n pieces of access more than at
// the start.
func (s *suite) counts(n int) {
	s.Helper()
	if got := s.target.Count() - s.before; got != n {
		s.Fatalf("the target holds %d pieces of access more than at the start, want %d", got, n)
	}
}

// observed returns what c sees of o, and checks that it is of the wanted state.
func (s *suite) observed(c connector.Connector, o connector.Order, r connector.Receipt, want connector.State) connector.Observation {
	s.Helper()
	if !s.can.Readable {
		want = connector.Unread
	}
	var seen connector.Observation
	err := s.eventually(func() (err error) {
		if seen, err = c.Observe(s.Context(), o, r); err == nil && seen.State != want {
			err = stateError{seen.State, want}
		}
		return err
	})
	if err != nil {
		s.Fatalf("observe: %v", err)
	}
	return seen
}

// eventually tries until try succeeds, for as long as the target may lag.
func (s *suite) eventually(try func() error) error {
	deadline := time.Now().Add(s.Lag)
	for {
		err := try()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// with returns object with one more field.
func with(object json.RawMessage, field string) json.RawMessage {
	inner := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(string(object)), "}"))
	if !strings.HasSuffix(inner, "{") {
		inner += ","
	}
	return json.RawMessage(inner + `"` + field + `":true}`)
}
