package worker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/connector"
)

// crowd grants n keys to the machines and returns them.
func (w *world) crowd(t testing.TB, n int, lasts time.Duration) []writ.ID {
	t.Helper()
	var wg sync.WaitGroup
	ids := make([]writ.ID, n)
	for i := range n {
		wg.Go(func() {
			r, err := w.ask(t.Context(), machine(i), someKey, lasts)
			if err != nil {
				t.Error(err)
			}
			ids[i] = r.ID
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	for _, id := range ids {
		w.reach(t, id, writ.StatusActive)
	}
	return ids
}

func TestThousandsThatEndAtOnce(t *testing.T) {
	n := 2000
	if raced || testing.Short() {
		n = 100
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, setup{}, faults{})
		w.work(t)
		ids := w.crowd(t, n, time.Hour)
		time.Sleep(time.Hour + 5*time.Second)
		for _, id := range ids {
			r := w.get(t, id)
			if r.Status != writ.StatusClosed || r.Attempt != 3 || r.ClosedAt.Sub(r.Until) > 2*time.Second {
				t.Fatalf("%s is %s, %s after its end, attempt %d", id, r.Status, r.ClosedAt.Sub(r.Until), r.Attempt)
			}
		}
		if left := w.listed(t, "keys"); len(left) > 0 {
			t.Errorf("the target has %d keys left", len(left))
		}
	})
}

// listed returns what a target says that it has.
func (w *world) listed(t testing.TB, target string) (names []string) {
	t.Helper()
	dir := w.store.Directory()
	c, err := w.targets.connector(t.Context(), dir, writ.Definition{Target: target, TargetUID: dir.Targets[target].UID, Connector: dir.Targets[target].Connector})
	if err == nil {
		err = c.List(t.Context(), func(seen connector.Observation) error {
			names = append(names, seen.External)
			return nil
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestTargetThatHangsHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const parallel = 8
		var hanging atomic.Bool
		var waiting atomic.Int32
		w := newWorld(t, setup{Parallel: parallel}, faults{call: func(c *call) error {
			if hanging.Load() && c.target == "keys" {
				if n := waiting.Add(1); n > parallel+few {
					t.Errorf("%d calls wait for a target that does not answer", n)
				}
				defer waiting.Add(-1)
				<-c.ctx.Done()
				return context.Cause(c.ctx)
			}
			return nil
		}})
		w.put(t, targetDocument("others", "issuer", `{"audience":"others"}`), entitlement("others/read", "api-key", "automatic", `{}`))
		w.work(t)
		stuck := w.crowd(t, 30, 5*time.Minute)
		hanging.Store(true)
		time.Sleep(5*time.Minute - 30*time.Second)
		var others []writ.Request
		for n := range 5 { // each ends a minute after the one before, in the middle of it
			others = append(others, w.active(t, machine(n), "others/read", time.Duration(n+1)*time.Minute))
		}
		time.Sleep(7 * time.Minute)
		for _, r := range others {
			now := w.get(t, r.ID)
			if lag := now.ClosedAt.Sub(now.Until); now.Status != writ.StatusClosed || lag > 15*time.Second {
				t.Errorf("%s is %s, closed %s after its end", r.ID, now.Status, lag)
			}
		}
		hanging.Store(false)
		time.Sleep(10 * time.Minute)
		for _, id := range stuck {
			if now := w.get(t, id); now.Status != writ.StatusClosed {
				t.Errorf("%s is %s after the target came back", id, now.Status)
			}
		}
	})
}

func TestConnectorThatPanicsHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		broken.Store(true)
		w := newWorld(t, setup{}, faults{call: func(c *call) error {
			if broken.Load() && c.order.Subject == string(machine(1)) {
				panic("a connector with a mistake")
			}
			return nil
		}})
		w.work(t)
		bad := w.authorized(t, machine(1), someKey, time.Hour)
		w.active(t, machine(2), someKey, time.Hour)
		r, err := w.await(bad.ID, func(r writ.Request) bool { return r.Tries > 0 })
		if err != nil || r.Status != writ.StatusGranting {
			t.Fatalf("%s: %v", r.Status, err)
		}
		broken.Store(false)
		w.reach(t, bad.ID, writ.StatusActive)
		broken.Store(true)
		if _, err := w.door.Release(t.Context(), w.as(machine(1)), bad.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		if now := w.get(t, bad.ID); now.Status != writ.StatusRevoking || now.Tries < 5 {
			t.Errorf("it is %s after %d tries", now.Status, now.Tries)
		}
		broken.Store(false)
		time.Sleep(9 * time.Minute) // the longest between two tries
		w.reach(t, bad.ID, writ.StatusClosed)
	})
}

func TestClockThatJumps(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, setup{Dir: dir}, faults{})
		stop := w.work(t)
		r := w.active(t, machine(1), someKey, 48*time.Hour)
		key := w.claim(t, machine(1), r.ID)[envKey]
		stop()
		w.shut(t)
		time.Sleep(365 * 24 * time.Hour)
		w = newWorld(t, setup{Dir: dir}, faults{})
		w.work(t)
		r = w.reach(t, r.ID, writ.StatusClosed)
		if r.End.Cause != writ.Expired || w.works(t, key) {
			t.Errorf("after a year it ended because of %s", r.End.Cause)
		}
	})
	synctest.Test(t, func(t *testing.T) { // its clock begins where that of the first began: a year back
		w, err := open(t.Context(), setup{Dir: dir}, faults{})
		if err == nil {
			w.shut(t)
		}
		if !errors.Is(err, writ.Unavailable) {
			t.Errorf("with a clock that was set back a year, opening said %v", err)
		}
	})
}

// TestClockThatGoesBackALittle sets the clock back by half a minute, which the
// store bears: nothing may start earlier, end earlier or end twice for it.
func TestClockThatGoesBackALittle(t *testing.T) {
	dir := t.TempDir()
	var r writ.Request
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, setup{Dir: dir}, faults{})
		time.Sleep(30 * time.Second)
		w.work(t)
		r = w.active(t, machine(1), someKey, time.Minute)
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, setup{Dir: dir}, faults{})
		w.work(t)
		for _, e := range []time.Duration{0, 85 * time.Second} {
			time.Sleep(e)
			if now := w.get(t, r.ID); now.Status != writ.StatusActive {
				t.Fatalf("at %s it is %s; its end is %s", time.Now().UTC(), now.Status, r.Until)
			}
		}
		time.Sleep(10 * time.Second)
		if now := w.get(t, r.ID); now.Status != writ.StatusClosed || now.Attempt != 3 {
			t.Errorf("at %s it is %s, attempt %d; its end was %s", time.Now().UTC(), now.Status, now.Attempt, r.Until)
		}
	})
}
