package connectortest

import (
	"context"
	"fmt"
	"time"

	"github.com/writhq/writ/connector"
)

// A call is one call of a connector, with whatever it returns kept by the one
// who made it.
type call func(context.Context, connector.Connector) error

// A scene is one connector that is about to suffer an accident.
type scene struct {
	*suite
	accident accident
	proxy    *Proxy // nil where the target has no network
	conn     connector.Connector
}

// An accident makes a call go wrong. It reports whether it had the occasion to:
// a call may be over before.
type accident struct {
	name string
	do   func(*scene, call) (struck bool)
}

// stage lets play once with a fresh connector that is about to suffer a.
func (s *suite) stage(a accident, play func(*scene) (struck bool)) (struck bool) {
	sc := &scene{suite: s, accident: a}
	addr := s.target.Addr
	if addr != "" {
		sc.proxy = NewProxy(s, addr)
		addr = sc.proxy.Addr()
	}
	sc.conn = s.open(addr)
	defer func() { s.closed(sc.conn) }()
	return play(sc)
}

// suffer makes one call that the accident strikes, and returns what the call said.
func (sc *scene) suffer(f call) (said error, struck bool) {
	struck = sc.accident.do(sc, func(ctx context.Context, c connector.Connector) error {
		said = f(ctx, c)
		return said
	})
	return said, struck
}

// again repeats a call without faults. A connector may take more than one try to
// notice that what it kept open is dead, but must get there.
func (sc *scene) again(f call) {
	sc.Helper()
	var err error
	for range 3 {
		if err = f(sc.Context(), sc.conn); err == nil {
			return
		}
	}
	sc.Fatalf("%s: repeated three times without faults: %v", sc.accident.name, err)
}

// crash gives the connector up and opens another, as a new process would.
func (sc *scene) crash() {
	sc.closed(sc.conn)
	sc.conn = sc.open(sc.target.Addr)
}

// accidents plays with every accident there is: {it was done, it was not done} ×
// {error, timeout, crash}, at every message where there is a network.
func (s *suite) accidents(play func(*scene) (struck bool)) {
	for _, a := range around() {
		s.stage(a, play)
	}
	if s.target.Addr == "" {
		for _, after := range []time.Duration{0, 50 * time.Microsecond, time.Millisecond, 5 * time.Millisecond} {
			s.stage(deadline(after), play)
		}
		return
	}
	s.stage(accident{"connection refused", func(sc *scene, f call) bool {
		sc.proxy.Down()
		_ = f(sc.Context(), sc.conn)
		sc.proxy.Heal()
		return true
	}}, play)
	for _, f := range []Fault{{}, {Done: true}, {Stall: true}, {Done: true, Stall: true}} {
		s.atEachMessage(f, false, play)
		if !f.Stall { // a stall and then a crash is a cut
			s.atEachMessage(f, true, play)
		}
	}
}

// atEachMessage plays with fault f at every message there is.
func (s *suite) atEachMessage(f Fault, crash bool, play func(*scene) (struck bool)) {
	for f.Message = 1; s.stage(network(f, crash), play); f.Message++ {
	}
	if f.Message == 1 {
		s.Error("no fault struck: the connector does not use the address it was given")
	}
}

// around returns the accidents that need no network.
func around() []accident {
	return []accident{
		{"answer lost", func(sc *scene, f call) bool {
			_ = f(sc.Context(), sc.conn)
			return true
		}},
		{"crash after the call", func(sc *scene, f call) bool {
			_ = f(sc.Context(), sc.conn)
			sc.crash()
			return true
		}},
		deadline(-time.Second),
	}
}

// deadline returns the accident of a deadline so long after the call began. Over
// a network, where a question may still be under way when the call is given up,
// only the proxy can tell when nothing more will come of it.
func deadline(after time.Duration) accident {
	return accident{fmt.Sprintf("deadline %s after the call began", after), func(sc *scene, f call) bool {
		ctx, cancel := context.WithTimeout(sc.Context(), after)
		defer cancel()
		_ = f(ctx, sc.conn)
		return true
	}}
}

// network returns the accident of fault f during the call, after which the
// connector is given up if it crashes.
func network(f Fault, crash bool) accident {
	return accident{fmt.Sprintf("network fault %+v, crash %t", f, crash), func(sc *scene, do call) (hit bool) {
		struck := sc.proxy.Arm(f)
		ctx, cancel := context.WithCancel(sc.Context())
		defer cancel()
		over := make(chan error, 1)
		go func() { over <- do(ctx, sc.conn) }()
		go func() {
			select {
			case <-struck:
				if f.Stall {
					cancel() // stands for a deadline, without waiting for one
				}
			case <-ctx.Done():
			}
		}()
		select {
		case <-over:
		case <-time.After(10 * time.Second):
			sc.Fatalf("%s: the call hangs", sc.accident.name)
		}
		select {
		case <-struck:
			hit = true
		default:
		}
		sc.proxy.Heal()
		if crash {
			sc.crash()
		}
		return hit
	}}
}

// faultyGrant lets granting fail in every way and then either repeats it, or
// takes back what may be there without having any receipt.
func faultyGrant(s *suite) {
	s.accidents(func(sc *scene) bool {
		o, r := s.order(), connector.Receipt{}
		carryOut := func(ctx context.Context, c connector.Connector) (err error) {
			r, err = c.Grant(ctx, o)
			return err
		}
		said, struck := sc.suffer(carryOut)
		if said == nil {
			s.works(o, r.Credential)
		}
		sc.again(carryOut)
		sc.asGranted(o, r)
		s.revoked(sc.conn, o, r)
		sc.asRevoked(o, r)
		return struck
	})
	s.accidents(func(sc *scene) bool {
		o := s.order()
		_, struck := sc.suffer(func(ctx context.Context, c connector.Connector) error {
			_, err := c.Grant(ctx, o)
			return err
		})
		sc.again(func(ctx context.Context, c connector.Connector) error {
			return c.Revoke(ctx, o, connector.Receipt{})
		})
		sc.asRevoked(o, connector.Receipt{})
		return struck
	})
}

// faultyRevoke lets revoking fail in every way and then repeats it.
func faultyRevoke(s *suite) {
	s.accidents(func(sc *scene) bool {
		o := s.order()
		r := s.granted(sc.conn, o)
		takeBack := func(ctx context.Context, c connector.Connector) error { return c.Revoke(ctx, o, r) }
		said, struck := sc.suffer(takeBack)
		if said == nil {
			s.gone(o, r.Credential)
		}
		lost := r
		r = connector.Receipt{}
		sc.again(takeBack)
		s.gone(o, lost.Credential)
		sc.asRevoked(o, lost)
		return struck
	})
}

// faultyRead lets observing and listing fail in every way: they must never answer
// wrongly, and must change nothing.
func faultyRead(s *suite) {
	s.accidents(func(sc *scene) bool {
		o := s.order()
		r := s.granted(sc.conn, o)
		var seen connector.Observation
		said, observing := sc.suffer(func(ctx context.Context, c connector.Connector) (err error) {
			seen, err = c.Observe(ctx, o, r)
			return err
		})
		if said == nil && (seen.State == connector.Absent || len(seen.Differs) > 0) {
			s.Fatalf("%s: observed %+v", sc.accident.name, seen)
		}
		found := false
		said, listing := sc.suffer(func(ctx context.Context, c connector.Connector) error {
			return c.List(ctx, func(seen connector.Observation) error {
				found = found || seen.External == r.External
				return nil
			})
		})
		if said == nil && !found {
			s.Fatalf("%s: list left out what exists, without an error", sc.accident.name)
		}
		sc.asGranted(o, r)
		s.revoked(sc.conn, o, r)
		sc.asRevoked(o, r)
		return observing || listing
	})
}

func (sc *scene) asGranted(o connector.Order, r connector.Receipt) {
	sc.Helper()
	sc.works(o, r.Credential)
	var seen connector.Observation
	sc.again(func(ctx context.Context, c connector.Connector) (err error) {
		seen, err = c.Observe(ctx, o, r)
		return err
	})
	if sc.can.Readable && (seen.State != connector.Present || len(seen.Differs) > 0) {
		sc.Fatalf("%s: observed %+v", sc.accident.name, seen)
	}
	if listed := named(sc.listed(sc.conn), r.External); len(listed) != 1 {
		sc.Fatalf("%s: one access, listed %d times: %+v", sc.accident.name, len(listed), listed)
	}
}

func (sc *scene) asRevoked(o connector.Order, r connector.Receipt) {
	sc.Helper()
	sc.observed(sc.conn, o, r, connector.Absent)
	if got := sc.target.Count(); got != sc.before {
		sc.Fatalf("%s: the target holds %d pieces of access more than at the start", sc.accident.name, got-sc.before)
	}
}
