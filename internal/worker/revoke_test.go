package worker

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/door"
	"github.com/writhq/writ/internal/store"
)

// TestTargetThatLies says that access is gone, and keeps it.
func TestTargetThatLies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lying atomic.Bool
		lying.Store(true)
		w := newWorld(t, setup{}, faults{call: func(c *call) error {
			if lying.Load() && c.op == "revoke" {
				return errSwallow
			}
			return nil
		}})
		w.work(t)
		r := w.active(t, machine(1), someKey, 24*time.Hour)
		key := w.claim(t, machine(1), r.ID)[envKey]
		if _, err := w.door.Revoke(t.Context(), w.as(sue), r.ID, "leaked"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if now := w.get(t, r.ID); now.Status != writ.StatusRevoking || now.Tries < 10 || !strings.Contains(now.Problem, "still shows as present") || !w.works(t, key) {
			t.Errorf("after an hour it is %s, %d tries: %q", now.Status, now.Tries, now.Problem)
		}
		failed := slices.DeleteFunc(w.kinds(t, r.ID), func(k writ.Kind) bool { return k != "revoke-failed" })
		if n := w.metric(t, "writ_target_failures_total", "revoke"); len(failed) < 10 || int(n) != len(failed) {
			t.Errorf("%d failures on record, %v counted", len(failed), n)
		}
		if w.log.count(`"level":"ERROR"`, "access is not proven gone", string(r.ID)) == 0 {
			t.Error("no alarm")
		}
		lying.Store(false)
		time.Sleep(9 * time.Minute)
		if now := w.get(t, r.ID); now.Status != writ.StatusClosed || w.works(t, key) {
			t.Errorf("when the target says the truth it is %s", now.Status)
		}
	})
}

// TestRevokingNeedsNoPolicy takes the policy away, or puts one in its place that
// nobody can read, and then has access end for people who ask for that.
func TestRevokingNeedsNoPolicy(t *testing.T) {
	for name, change := range map[string]writ.Put{
		"removed": {Remove: []writ.Header{{Kind: "policy", Name: "default"}}},
		"broken":  {Documents: []writ.Document{policyDocument("kind: policy\nname: default\nroutes: [{name: x, when: '1 +', automatic: true}]\n")}, UIDs: []writ.UID{"pol-x"}},
		"no text": {Documents: []writ.Document{policyDocument("\t:::")}, UIDs: []writ.UID{"pol-x"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, setup{}, faults{})
				stop := w.work(t)
				revoked, released, cut := w.active(t, machine(1), stagedKey, time.Hour), w.active(t, machine(2), someKey, time.Hour), w.active(t, machine(3), stagedKey, time.Hour)
				met := w.active(t, machine(4), someKey, time.Hour, func(a *door.Ask) { a.Ends = []string{"ticket/CHG-7"} })
				stop() // else its own look at the documents would end it all, for want of a policy
				w.force(t, change)
				if _, err := w.ask(t.Context(), machine(5), someKey, time.Hour); !errors.Is(err, writ.Forbidden) {
					t.Fatalf("asking without a policy: %v", err)
				}
				_, errRevoke := w.door.Revoke(t.Context(), w.as(sue), revoked.ID, "")
				_, errRelease := w.door.Release(t.Context(), w.as(machine(2)), released.ID)
				_, errIdentity := w.door.RevokeIdentity(t.Context(), w.as(ann), machine(3), "gone")
				_, errMeet := w.door.Meet(t.Context(), door.System, "ticket/CHG-7")
				if err := errors.Join(errRevoke, errRelease, errIdentity, errMeet); err != nil {
					t.Fatal(err)
				}
				w.work(t)
				for r, want := range map[writ.ID]writ.Cause{revoked.ID: writ.CutOff, released.ID: writ.Released, cut.ID: writ.CutOff, met.ID: writ.TicketClosed} {
					if now := w.reach(t, r, writ.StatusClosed); now.End.Cause != want {
						t.Errorf("%s ended because of %s, not %s", r, now.End.Cause, want)
					}
				}
				if left := w.listed(t, "keys"); len(left) > 0 {
					t.Errorf("the target has %v", left)
				}
			})
		})
	}
}

// force changes documents past the door, which would refuse it.
func (w *world) force(t testing.TB, c writ.Put) {
	t.Helper()
	_, err := w.store.Update(t.Context(), store.Change{Decide: func(_ writ.Request, f writ.Facts) ([]writ.Event, error) {
		f.Actor, f.Authority.Administer = writ.System, true
		events, _, err := writ.DecidePut(c, f)
		return events, err
	}})
	if err != nil {
		t.Fatal(err)
	}
}

// TestWithoutPolicyNothingGoesOn leaves a worker without a policy: what is not
// allowed any more ends.
func TestWithoutPolicyNothingGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, setup{}, faults{})
		w.work(t)
		r := w.active(t, machine(1), someKey, time.Hour)
		w.force(t, writ.Put{Remove: []writ.Header{{Kind: "policy", Name: "default"}}})
		time.Sleep(3 * time.Second)
		if now := w.get(t, r.ID); now.Status != writ.StatusClosed || now.End.Cause != writ.PolicyTightened {
			t.Errorf("it is %s", now.Status)
		}
	})
}

// TestChangedTargetHoldsUpNoOther changes the configuration of a target while a
// call there hangs: the others are served, and what the new configuration says
// holds for the next call.
func TestChangedTargetHoldsUpNoOther(t *testing.T) {
	s := newSite(t)
	hanging, hung := make(chan struct{}), make(chan struct{})
	w := newWorld(t, setup{Target: s.dsn(s.addr)}, faults{})
	w.work(t)
	r := w.active(t, machine(1), someLogin, time.Hour)
	// A session that holds a lock which the end of the role waits for.
	tx, err := s.super.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `comment on role "`+external(r)+`" is 'locked'`); err != nil {
		t.Fatal(err)
	}
	go func() { close(hung); <-hanging; _ = tx.Rollback(t.Context()) }()
	<-hung
	if _, err := w.door.Release(t.Context(), w.as(machine(1)), r.ID); err != nil {
		t.Fatal(err)
	}
	until(t, "the call hangs", func() bool {
		var n int
		err := s.super.QueryRow(t.Context(), "select count(*) from pg_stat_activity where usename = 'writ' and wait_event_type = 'Lock'").Scan(&n)
		return err == nil && n > 0
	})
	w.put(t, with(targetDocument("orders", "postgres", ordersConfig(s.dsn(s.addr))), func(d *writ.Target) { d.Title = "changed" }))
	w.active(t, machine(2), someLogin, time.Hour)
	w.active(t, machine(3), someKey, time.Hour)
	if now := w.get(t, r.ID); now.Status != writ.StatusRevoking || !now.InFlight || now.Tries > 0 {
		t.Errorf("it is %s after %d tries; the others had to wait for its call", now.Status, now.Tries)
	}
	close(hanging)
	w.reach(t, r.ID, writ.StatusClosed)
	w.balance(t, s)
}
