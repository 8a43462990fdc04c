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
)

// The tests of this file run on real SQLite files with a clock of their own:
// whoever waits lets it jump to the next moment at which something happens.

// day is what a day is under the race detector, where every second of the
// worker's clock costs a hundred times as much.
func day() time.Duration {
	if raced || testing.Short() {
		return time.Hour
	}
	return 24 * time.Hour
}

// works reports whether the issuer honours the key of a request: what a
// protected service would see.
func (w *world) works(t testing.TB, key string) bool {
	t.Helper()
	v, err := w.issuer.Verify(t.Context(), key, nil)
	if err != nil {
		t.Fatal(err)
	}
	return v.Active
}

// claim takes the credential of a request as its holder.
func (w *world) claim(t testing.TB, who writ.Ref, id writ.ID) map[string]string {
	t.Helper()
	d, err := w.door.Claim(t.Context(), w.as(who), id)
	if err != nil {
		t.Fatal(err)
	}
	return d.Credential.Env
}

const envKey = "WRIT_API_KEY"

func TestADayEndsAfterADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, setup{}, faults{})
		w.work(t)
		began := time.Now()
		r := w.active(t, machine(1), stagedKey, day())
		key := w.claim(t, machine(1), r.ID)[envKey]
		time.Sleep(time.Until(r.Until) - time.Second)
		if now := w.get(t, r.ID); now.Status != writ.StatusActive || !w.works(t, key) {
			t.Fatalf("a second before its end it is %s", now.Status)
		}
		time.Sleep(2 * time.Second)
		if w.works(t, key) {
			t.Error("the key works after its end")
		}
		time.Sleep(time.Hour) // whatever would come a second time has come
		r = w.get(t, r.ID)
		if r.Status != writ.StatusClosed || r.End.Cause != writ.Expired || r.Until.Sub(began) != day() || r.ClosedAt.Sub(r.Until) > time.Second {
			t.Errorf("%s (%v), until %s, closed %s", r.Status, r.End, r.Until.Sub(began), r.ClosedAt.Sub(r.Until))
		}
		want := []writ.Kind{"submitted", "approved", "approved", "authorized", "grant-begun", "granted", "claimed", "ended", "revoke-begun", "revoked"}
		if got := w.kinds(t, r.ID); !slices.Equal(got, want) {
			t.Errorf("its life was %v", got)
		}
	})
}

func TestLateStartIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, setup{}, faults{})
		r := w.authorized(t, machine(1), stagedKey, time.Hour, func(a *door.Ask) { a.StartBy = time.Now().Add(10 * time.Minute) })
		time.Sleep(11 * time.Minute) // nobody works
		w.work(t)
		r = w.reach(t, r.ID, writ.StatusClosed)
		if r.End.Cause != writ.LateStart {
			t.Errorf("it ended because of %s", r.End.Cause)
		}
		if kinds := w.kinds(t, r.ID); slices.Contains(kinds, "grant-begun") {
			t.Errorf("it was granted all the same: %v", kinds)
		}
	})
}

func TestUndecidedRequestLapses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, setup{}, faults{})
		w.put(t, policyDocument(strings.Replace(twoStages, "72h", "20m", 1)))
		w.work(t)
		r, err := w.ask(t.Context(), machine(1), stagedKey, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.door.Approve(t.Context(), w.as(meg), r.ID, r.Digest); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20*time.Minute + time.Second)
		if now := w.get(t, r.ID); now.Status != writ.StatusLapsed || now.ClosedAt.Sub(r.LapseAt) > time.Second {
			t.Errorf("it is %s, closed %s after its time", now.Status, now.ClosedAt.Sub(r.LapseAt))
		}
		if _, err := w.door.Approve(t.Context(), w.as(sue), r.ID, r.Digest); !errors.Is(err, writ.Conflict) {
			t.Errorf("approved too late: %v", err)
		}
	})
}

func TestAccessStartsWhenItShall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, setup{}, faults{})
		w.work(t)
		start := time.Now().Add(time.Hour).UTC()
		r := w.authorized(t, machine(1), stagedKey, time.Hour, func(a *door.Ask) { a.StartAt = start })
		time.Sleep(time.Until(start) - time.Second)
		if now := w.get(t, r.ID); now.Status != writ.StatusAuthorized || now.Attempt != 0 {
			t.Fatalf("before its start it is %s, attempt %d", now.Status, now.Attempt)
		}
		time.Sleep(2 * time.Second)
		if now := w.get(t, r.ID); now.Status != writ.StatusActive || !now.From.Equal(start) || now.Until.Sub(start) != time.Hour {
			t.Fatalf("after its start it is %s, from %s until %s", now.Status, now.From, now.Until)
		}
		time.Sleep(time.Hour)
		if now := w.get(t, r.ID); now.Status != writ.StatusClosed {
			t.Errorf("after its end it is %s", now.Status)
		}
	})
}

func TestTargetThatIsDownAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		w := newWorld(t, setup{}, faults{call: func(c *call) error {
			if down.Load() {
				return errors.New("connection refused")
			}
			return nil
		}})
		w.work(t)
		r := w.active(t, machine(1), someKey, time.Hour)
		other := w.active(t, machine(2), someKey, 5*time.Hour)
		time.Sleep(50 * time.Minute)
		down.Store(true)
		time.Sleep(70 * time.Minute) // an hour past the end
		if now := w.get(t, r.ID); now.Status != writ.StatusRevoking || now.Tries < 10 || now.Tries > 20 || now.Problem == "" {
			t.Errorf("while the target is down it is %s after %d tries: %q", now.Status, now.Tries, now.Problem)
		}
		if n := w.log.count(`"level":"ERROR"`, "access is not proven gone", string(r.ID)); n < 5 {
			t.Errorf("%d alarms in an hour", n)
		}
		if n := w.log.count(`"level":"WARN"`, "access is not proven gone", string(r.ID)); n < 5 {
			t.Errorf("%d warnings in the first minute", n)
		}
		down.Store(false)
		time.Sleep(9 * time.Minute)
		r = w.get(t, r.ID)
		if r.Status != writ.StatusClosed || r.Seen.State != writ.Absent || r.End.Cause != writ.Expired {
			t.Errorf("after the target came back it is %s, seen %s", r.Status, r.Seen.State)
		}
		failed := slices.DeleteFunc(w.kinds(t, r.ID), func(k writ.Kind) bool { return k != "revoke-failed" })
		if got := w.metric(t, "writ_target_failures_total", "revoke"); int(got) != len(failed) {
			t.Errorf("%v failures counted, %d on record", got, len(failed))
		}
		if lag := w.metric(t, "writ_expiry_lag_seconds", ""); lag < 3600 || lag > 3600+9*60 {
			t.Errorf("a lag of %v s was counted", lag)
		}
		if now := w.get(t, other.ID); now.Status != writ.StatusActive {
			t.Errorf("the other request is %s", now.Status)
		}
	})
}

func TestCredentialWaitsForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, setup{ClaimFor: 10 * time.Minute}, faults{})
		w.work(t)
		one, two := w.active(t, machine(1), someKey, 3*time.Hour), w.active(t, machine(2), someKey, 3*time.Hour)
		short := w.active(t, machine(3), someKey, 5*time.Minute)
		time.Sleep(6 * time.Minute)
		if _, err := w.door.Claim(t.Context(), w.as(machine(3)), short.ID); !errors.Is(err, writ.Conflict) {
			t.Errorf("a credential was to be had after the end: %v", err)
		}
		time.Sleep(3*time.Minute + 50*time.Second)
		if key := w.claim(t, machine(1), one.ID)[envKey]; !w.works(t, key) {
			t.Error("the key that was claimed does not work")
		}
		if _, err := w.door.Claim(t.Context(), w.as(machine(1)), one.ID); !errors.Is(err, writ.Conflict) {
			t.Errorf("claimed twice: %v", err)
		}
		time.Sleep(20 * time.Second)
		if _, err := w.door.Claim(t.Context(), w.as(machine(2)), two.ID); !errors.Is(err, writ.NotFound) {
			t.Errorf("claimed after its time: %v", err)
		}
		if now := w.get(t, two.ID); now.Status != writ.StatusActive || now.Claimed != nil {
			t.Errorf("access whose credential nobody claimed is %s, claimed: %v", now.Status, now.Claimed)
		}
	})
}
