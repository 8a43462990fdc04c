package worker

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/internal/realtest"
)

// TestTwoProcesses lets two processes work on one PostgreSQL store and one
// PostgreSQL target. Both ask, and both approve whatever anybody asks for. One
// of them is killed in the middle.
func TestTwoProcesses(t *testing.T) {
	lives := 300
	if raced || testing.Short() {
		lives = 60
	}
	s := newSite(t)
	w := newWorld(t, setup{Dir: t.TempDir(), DSN: realtest.Database(t), Target: s.dsn(s.addr), Lease: 3 * time.Second}, faults{})
	e := errand{Setup: w.setup, Do: "load", What: []string{stagedKey, stagedLogin, someLogin, ownMembership}, Lives: 8, Of: accounts / 2}
	one := e.start(t)
	e.First = accounts / 2
	two := e.start(t)
	watched, stop := w.watchEnds(t, s)
	acks := closing(one, lives/3)
	acks = append(acks, closing(two, lives/3)...)
	one.kill()
	acks = append(acks, one.wait(t)...)
	for _, r := range w.all(t, writ.StatusAuthorized, writ.StatusGranting, writ.StatusRevoking) {
		if _, err := w.await(r.ID, func(r writ.Request) bool { return r.Status == writ.StatusActive || r.Status == writ.StatusClosed }); err != nil {
			t.Errorf("the other process does not take over %s: %v", r.ID, err)
		}
	}
	acks = append(acks, closing(two, lives/3)...)
	acks = append(acks, two.stop(t)...)
	stop()
	if watched() == 0 {
		t.Error("nobody looked while it went on")
	}
	w.work(t)
	w.settle(t)
	w.kept(t, acks)
	w.balance(t, s)
	for _, r := range w.all(t) {
		w.approvedOnce(t, r)
	}
	w.end(t, s)
}

// closing reads what a child acknowledges until so many lives have ended.
func closing(c *child, lives int) (acks []ack) {
	for lives > 0 {
		a, ok := <-c.acks
		if !ok {
			break
		}
		acks = append(acks, a)
		if a.status == writ.StatusClosed {
			lives--
		}
	}
	return acks
}

// approvedOnce refuses a request that was not approved by exactly one person in
// each stage, or is authorized without.
func (w *world) approvedOnce(t testing.TB, r writ.Request) {
	t.Helper()
	var stages, people []string
	for _, v := range r.Votes {
		stages, people = append(stages, v.Stage), append(people, string(v.By.Name))
	}
	slices.Sort(people)
	full := slices.Equal(stages, []string{"manager", "security"}) && len(slices.Compact(people)) == 2
	if r.Terms.Route == "staged" && !r.From.IsZero() && !full {
		t.Errorf("%s is authorized by %v in %v", r.ID, people, stages)
	}
}

// watchEnds looks again and again, until stop, whether what was closed is gone
// from the target, and counts the looks.
func (w *world) watchEnds(t testing.TB, s *site) (looks func() int, stop func()) {
	over, done := make(chan struct{}), make(chan struct{})
	n := 0
	go func() {
		defer close(done)
		for {
			select {
			case <-over:
				return
			default:
			}
			closed := map[string]bool{}
			for _, r := range w.all(t, writ.StatusClosed) {
				closed[external(r)] = r.Terms.Entitlement.Credential != writ.SharedCredential
			}
			for _, name := range s.access(t) { // after the ledger: what is there came later
				if closed[name] {
					t.Errorf("%s exists after its end was proven", name)
				}
			}
			n++
		}
	}()
	return func() int { return n }, func() { close(over); <-done }
}

// TestManyWorkersDoEachTaskOnce lets fifty workers share one store.
func TestManyWorkersDoEachTaskOnce(t *testing.T) {
	lives := 400
	if raced || testing.Short() {
		lives = 40
	}
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		calls, running := map[string]int{}, map[string]bool{}
		w := newWorld(t, setup{}, faults{call: func(c *call) error {
			mu.Lock()
			defer mu.Unlock()
			if !c.over {
				calls[c.op+" "+c.order.Request]++
				if running[c.order.Request] {
					t.Errorf("two calls at once for %s", c.order.Request)
				}
			}
			running[c.order.Request] = !c.over
			return nil
		}})
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range 50 {
			worker := New(w.worker.Config)
			all.Go(func() { worker.Run(ctx) })
		}
		ids := w.crowd(t, lives, time.Minute)
		time.Sleep(time.Minute + 5*time.Second)
		cancel()
		all.Wait()
		for _, id := range ids {
			if r := w.get(t, id); r.Status != writ.StatusClosed {
				t.Errorf("%s is %s", id, r.Status)
			}
			for op, want := range map[string]int{"grant": 1, "revoke": 1, "observe": 2} {
				if n := calls[op+" "+string(id)]; n != want {
					t.Errorf("%d calls to %s %s", n, op, id)
				}
			}
		}
	})
}

// TestStoppedWhileClaiming stops a worker that is being given what is due: it
// lets go of all that, and whoever comes next need not wait for its leases.
func TestStoppedWhileClaiming(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, setup{}, faults{})
		stop := w.work(t)
		ids := w.crowd(t, 10, time.Hour)
		began := time.Now()
		at := func(after time.Duration) { time.Sleep(time.Until(began.Add(after))) }
		var calls sync.WaitGroup
		busy := func() { calls.Go(func() { w.whileDeciding(t, 3*time.Second) }) }
		busy() // what is asked for meanwhile is answered together
		at(time.Second)
		for n, id := range ids {
			calls.Go(func() {
				if _, err := w.door.Release(t.Context(), w.as(machine(n)), id); err != nil {
					t.Error(err)
				}
			})
		}
		busy()
		at(4 * time.Second)
		busy() // and with it, what the worker then asks for
		at(8 * time.Second)
		stop()
		calls.Wait()
		w.work(t)
		at(20 * time.Second)
		for _, id := range ids {
			if r := w.get(t, id); r.Status != writ.StatusClosed {
				t.Errorf("%s is %s, %s after its end", id, r.Status, time.Since(r.EndedAt))
			}
		}
	})
}

// TestLateAnswer has a call outlast its lease, and the access.
func TestLateAnswer(t *testing.T) {
	for _, obeys := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			const lease = 6 * time.Second
			var mu sync.Mutex
			running, most, late := 0, 0, true
			w := newWorld(t, setup{Lease: lease}, faults{call: func(c *call) error {
				mu.Lock()
				if c.over {
					running--
					mu.Unlock()
					return nil
				}
				running++
				most = max(most, running)
				first := c.op == "grant" && late
				late = late && !first
				mu.Unlock()
				if !first {
					return nil
				}
				return delay(c, obeys, 10*lease, func() { mu.Lock(); running--; mu.Unlock() })
			}})
			w.work(t)
			r := w.active(t, machine(1), someKey, time.Hour)
			if _, err := w.door.Release(t.Context(), w.as(machine(1)), r.ID); err != nil {
				t.Fatal(err)
			}
			r = w.reach(t, r.ID, writ.StatusClosed)
			if obeys && most > 1 {
				t.Error("two calls at once, though the target obeys deadlines")
			}
			time.Sleep(time.Until(r.At) + 11*lease) // the late call was made
			r = w.get(t, r.ID)
			kinds := w.kinds(t, r.ID)
			if strayed := slices.Contains(kinds, "strayed"); strayed == obeys || r.Status != writ.StatusClosed || r.Seen.State != connector.Absent {
				t.Errorf("obeys %t: it is %s, seen %s, life %v", obeys, r.Status, r.Seen.State, kinds)
			}
			if left := w.listed(t, "keys"); len(left) > 0 {
				t.Errorf("obeys %t: the target has %v", obeys, left)
			}
		})
	}
}

// TestGrantThatOutlivesItsWorker has a grant reach the target after the access
// was taken away, from a worker that never says so.
func TestGrantThatOutlivesItsWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lease = time.Minute
		end := make(chan struct{})
		w := newWorld(t, setup{Lease: lease}, faults{call: func(c *call) error {
			switch {
			case c.op == "grant" && !c.over:
				time.Sleep(lease / 2) // on its way
			case c.op == "grant":
				<-end // nobody is there to hear of it
			}
			return nil
		}})
		w.work(t)
		r := w.authorized(t, machine(1), someKey, time.Hour)
		if _, err := w.await(r.ID, func(r writ.Request) bool { return r.InFlight }); err != nil {
			t.Fatal(err)
		}
		if _, err := w.door.Release(t.Context(), w.as(machine(1)), r.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lease / 4)
		if now := w.get(t, r.ID); now.Status != writ.StatusRevoking || now.Tries == 0 {
			t.Errorf("while the grant is on its way it is %s after %d tries", now.Status, now.Tries)
		}
		time.Sleep(2 * lease)
		if now := w.get(t, r.ID); now.Status != writ.StatusClosed {
			t.Errorf("when nothing can come any more it is %s: %s", now.Status, now.Problem)
		}
		if left := w.listed(t, "keys"); len(left) > 0 {
			t.Errorf("the target has %v", left)
		}
		close(end)
		time.Sleep(lease)
		if now := w.get(t, r.ID); now.Status != writ.StatusClosed {
			t.Errorf("in the end it is %s", now.Status)
		}
	})
}

// delay holds a call up: until its deadline if the target obeys that.
func delay(c *call, obeys bool, long time.Duration, given func()) error {
	if !obeys {
		time.Sleep(long)
		return nil
	}
	select {
	case <-time.After(long):
		return nil
	case <-c.ctx.Done():
		given()
		return context.Cause(c.ctx)
	}
}
