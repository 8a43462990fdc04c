package worker

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/connector/connectortest"
	"github.com/writhq/writ/internal/store"
)

// orders returns every order of n grants and their ends, where it makes no
// difference which of them is called first: each number comes twice, first for
// the grant and then for the end.
func orders(n int) (out [][]int) {
	var grow func(so []int, begun int, open []int)
	grow = func(so []int, begun int, open []int) {
		if len(so) == 2*n {
			out = append(out, slices.Clone(so))
			return
		}
		if begun < n {
			grow(append(so, begun), begun+1, append(slices.Clone(open), begun))
		}
		for i, k := range open {
			grow(append(so, k), begun, slices.Delete(slices.Clone(open), i, i+1))
		}
	}
	grow(nil, 0, nil)
	return out
}

// TestLastOneOutEndsTheMembership has two and three requests hold one membership
// at once, begun and ended in every order, all for one subject and each for
// another.
func TestLastOneOutEndsTheMembership(t *testing.T) {
	s := newSite(t)
	w := newWorld(t, setup{Target: s.dsn(s.addr)}, faults{})
	w.work(t)
	all := slices.Concat(orders(2), orders(3))
	if len(all) != 3+15 {
		t.Fatalf("%d orders", len(all))
	}
	for _, order := range all {
		w.holdInTurn(t, s, order, func(int) writ.Ref { return machine(1) })
		w.holdInTurn(t, s, order, machine)
	}
}

// holdInTurn has subjects hold one membership and let it go in this order.
func (w *world) holdInTurn(t testing.TB, s *site, order []int, subject func(int) writ.Ref) {
	t.Helper()
	requests, live := map[int]writ.Request{}, 0
	for step, k := range order {
		if r, ok := requests[k]; ok {
			if _, err := w.door.Release(t.Context(), w.as(subject(k)), r.ID); err != nil {
				t.Fatal(err)
			}
			w.reach(t, r.ID, writ.StatusClosed)
			live--
		} else {
			requests[k] = w.active(t, subject(k), membership(1), time.Hour)
			live++
		}
		if there := len(s.access(t)) == 1; there != (live > 0) {
			t.Fatalf("order %v of %s, %s, …, step %d: %d hold the membership, it is there: %t", order, subject(0), subject(1), step, live, there)
		}
	}
}

// TestSiblingsBearFaults lets the end of one fail while another one comes or is
// there: the access is never taken from whoever still has it, and never left.
func TestSiblingsBearFaults(t *testing.T) {
	s := newSite(t)
	var broken atomic.Pointer[string] // the operation that fails, after it was done
	w := newWorld(t, setup{Target: s.dsn(s.addr)}, faults{call: func(c *call) error {
		if op := broken.Load(); op != nil && *op == c.op && c.over {
			return errors.New("the answer was lost")
		}
		return nil
	}})
	w.work(t)
	fails := func(op string) {
		broken.Store(&op)
	}
	release := func(r writ.Request) {
		t.Helper()
		if _, err := w.door.Release(t.Context(), w.as(machine(1)), r.ID); err != nil {
			t.Fatal(err)
		}
	}
	tried := func(r writ.Request) {
		t.Helper()
		if _, err := w.await(r.ID, func(r writ.Request) bool { return r.Tries > 0 }); err != nil {
			t.Fatal(err)
		}
	}
	there := func(want bool, when string) {
		t.Helper()
		if got := len(s.access(t)) == 1; got != want {
			t.Errorf("%s: it is there: %t", when, got)
		}
	}

	one := w.active(t, machine(1), membership(1), time.Hour)
	fails("revoke")
	release(one)
	tried(one)
	two := w.authorized(t, machine(1), membership(1), time.Hour)
	w.reach(t, two.ID, writ.StatusActive)
	there(true, "the end of the first failed, and the second was granted")
	broken.Store(nil)
	w.reach(t, one.ID, writ.StatusClosed)
	there(true, "the first ended, the second goes on")

	three := w.active(t, machine(1), membership(1), time.Hour)
	fails("observe")
	release(two)
	tried(two)
	there(true, "the second cannot be read back, the third goes on")
	broken.Store(nil)
	w.reach(t, two.ID, writ.StatusClosed)
	there(true, "the second ended, the third goes on")
	release(three)
	w.reach(t, three.ID, writ.StatusClosed)
	there(false, "the third ended")
	w.balance(t, s)
}

// TestSiblingsUnderLoad has many requests hold a few memberships at once, over a
// network that fails now and then.
func TestSiblingsUnderLoad(t *testing.T) {
	lives, faulty := 36, 6
	if raced || testing.Short() {
		lives, faulty = 12, 3
	}
	s := newSite(t)
	proxy := connectortest.NewProxy(t, s.addr)
	w := newWorld(t, setup{Target: s.dsn(proxy.Addr()), Lease: crashLease}, faults{})
	w.work(t)
	over := make(chan struct{})
	var chaos, load sync.WaitGroup
	chaos.Go(func() { disturb(proxy, faulty, over) })
	for n := range 6 {
		load.Go(func() {
			for i := range lives / 6 {
				if err := w.hold(t, n%2, i%2 == 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	load.Wait()
	last, err := w.ask(t.Context(), machine(0), membership(0), time.Hour) // which stays
	if err != nil {
		t.Fatal(err)
	}
	close(over)
	chaos.Wait()
	proxy.Heal()
	w.settle(t)
	w.balance(t, s)
	if want, got := []string{external(last)}, s.access(t); !equal(got, want) {
		t.Errorf("there is %v, want %v", got, want)
	}
	w.end(t, s)
}

// hold asks for a membership and lets it go: when it is there or has failed to
// be, or, in haste, while it is being granted.
func (w *world) hold(t testing.TB, n int, haste bool) error {
	r, err := w.ask(t.Context(), machine(n), membership(n), time.Hour)
	if err != nil {
		return err
	}
	_, err = w.await(r.ID, func(r writ.Request) bool {
		return r.Status == writ.StatusActive || r.Tries > 0 || haste && r.Attempt > 0
	})
	if err != nil {
		return err
	}
	_, err = w.door.Release(t.Context(), w.as(machine(n)), r.ID)
	return err
}

// disturb makes the network fail n times, each time at another message and in
// another way.
func disturb(proxy *connectortest.Proxy, n int, over <-chan struct{}) {
	chance := rand.New(rand.NewPCG(3, 4))
	for range n {
		struck := proxy.Arm(connectortest.Fault{Message: 20 + chance.IntN(60), Done: chance.IntN(2) == 0, Stall: chance.IntN(3) == 0})
		select {
		case <-struck:
		case <-over:
			return
		}
		select { // the network is down for a moment
		case <-time.After(time.Duration(chance.IntN(100)) * time.Millisecond):
		case <-over:
			return
		}
		proxy.Heal()
	}
}

// TestNobodyKeepsWhatEndsForAll has three requests hold one membership, a
// restart, and the end of all three in one transaction: of none may another one
// be seen to keep the access.
func TestNobodyKeepsWhatEndsForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, setup{Dir: t.TempDir(), Target: "postgres://writ@127.0.0.1:1/nowhere"}, faults{}) // nobody connects
		var all []writ.Request
		for range 3 {
			r := w.authorized(t, machine(1), membership(1), time.Hour)
			r, err := w.worker.begin(t.Context(), r, writ.BeginGrant{})
			if err == nil {
				r, err = w.worker.decide(t.Context(), r.ID, writ.ReportGrant{
					Attempt: r.Attempt, Receipt: writ.Receipt{External: external(r)}, Seen: writ.Observation{State: connector.Present},
				})
			}
			if err != nil || r.Status != writ.StatusActive {
				t.Fatalf("%s: %v", r.Status, err)
			}
			all = append(all, r)
		}
		w.shut(t)
		w = newWorld(t, w.setup, faults{})
		var calls sync.WaitGroup
		calls.Go(func() { w.whileDeciding(t, time.Second) })
		time.Sleep(time.Millisecond)
		for _, r := range all { // together, then
			calls.Go(func() {
				if _, err := w.door.Release(t.Context(), w.as(machine(1)), r.ID); err != nil {
					t.Error(err)
				}
			})
		}
		calls.Wait()
		for _, r := range all {
			r, err := w.worker.decide(t.Context(), r.ID, writ.BeginRevoke{})
			if err != nil || r.KeptBy != "" {
				t.Errorf("%s is kept by %q: %v", r.ID, r.KeptBy, err)
			}
		}
	})
}

// whileDeciding keeps the store busy with one decision.
func (w *world) whileDeciding(t testing.TB, long time.Duration) {
	t.Helper()
	_, err := w.store.Update(t.Context(), store.Change{Decide: func(writ.Request, writ.Facts) ([]writ.Event, error) {
		time.Sleep(long)
		return nil, nil
	}})
	if err != nil {
		t.Error(err)
	}
}
