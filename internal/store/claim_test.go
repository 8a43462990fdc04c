package store

import (
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writhq/writ"
)

func TestClaimedTaskIsHeldUntilItIsDoneOrItsLeaseEnds(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		r := authorized(t, db, 1)
		claim := func(lease time.Duration) []Job {
			t.Helper()
			jobs, err := db.Claim(t.Context(), 10, lease)
			if err != nil {
				t.Fatal(err)
			}
			return jobs
		}
		jobs := claim(time.Minute)
		if len(jobs) != 1 || jobs[0].ID != r.ID || jobs[0].Task != writ.DoGrant {
			t.Fatalf("claimed %v", jobs)
		}
		if jobs := claim(time.Minute); len(jobs) != 0 {
			t.Fatalf("claimed twice: %v", jobs)
		}
		must(t, db, granting(r.ID)) // the call is under way
		if jobs := claim(time.Minute); len(jobs) != 0 {
			t.Fatalf("claimed while a call is under way: %v", jobs)
		}
		must(t, db, releasing(r.ID, "human/ann")) // the end does not wait for the call
		if jobs = claim(10 * time.Millisecond); len(jobs) != 1 || jobs[0].Task != writ.DoRevoke {
			t.Fatalf("claimed %v, want the end", jobs)
		}
		time.Sleep(20 * time.Millisecond)
		if jobs = claim(time.Minute); len(jobs) != 1 {
			t.Fatalf("a lease that ended is kept: %v", jobs)
		}
		if err := db.Release(t.Context(), jobs[0], time.Now()); err != nil {
			t.Fatal(err)
		}
		if jobs = claim(time.Minute); len(jobs) != 1 {
			t.Fatalf("released task is not due: %v", jobs)
		}
	})
}

// T11: whose lease ran out lets go of nothing.
func TestReleaseLeavesWhatAnotherHolds(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		authorized(t, db, 1)
		claim := func(lease time.Duration) []Job {
			t.Helper()
			jobs, err := db.Claim(t.Context(), 10, lease)
			if err != nil {
				t.Fatal(err)
			}
			return jobs
		}
		late := claim(10 * time.Millisecond)
		time.Sleep(20 * time.Millisecond)
		held := claim(time.Minute)
		if len(late) != 1 || len(held) != 1 {
			t.Fatalf("claimed %v, then %v", late, held)
		}
		if err := db.Release(t.Context(), late[0], time.Now()); err != nil {
			t.Fatal(err)
		}
		if jobs := claim(time.Minute); len(jobs) != 0 {
			t.Fatalf("claimed while another holds it: %v", jobs)
		}
		if err := db.Release(t.Context(), held[0], time.Now()); err != nil {
			t.Fatal(err)
		}
		if jobs := claim(time.Minute); len(jobs) != 1 {
			t.Errorf("its holder let it go, and it is not due: %v", jobs)
		}
	})
}

func TestDeliveryIsTakenOnce(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		r := authorized(t, db, 1)
		d := Delivery{Request: r.ID, Attempt: 1, Sealed: []byte("sealed"), Until: time.Now().Add(time.Hour)}
		if err := db.PutDelivery(t.Context(), d); !errors.Is(err, writ.Conflict) {
			t.Errorf("a credential before any call to the target: %v", err)
		}
		r = must(t, db, granting(r.ID))
		for range 2 { // the second takes the place of the first
			if err := db.PutDelivery(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		must(t, db, granted(r.ID))
		if _, err := take(t, db, r.ID, "service/ci-02"); !errors.Is(err, writ.Forbidden) {
			t.Errorf("taken by another: %v", err)
		}
		got, err := take(t, db, r.ID, "service/ci-01")
		if err != nil || string(got) != "sealed" {
			t.Fatalf("%q, %v", got, err)
		}
		if n := count(t, db, "SELECT count(*) FROM deliveries"); n != 0 {
			t.Error("a credential that was taken is kept")
		}
		if _, err := take(t, db, r.ID, "service/ci-01"); !errors.Is(err, writ.Conflict) {
			t.Errorf("taken twice: %v", err)
		}
		if err := db.PutDelivery(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		must(t, db, releasing(r.ID, "human/ann"))
		if n := count(t, db, "SELECT count(*) FROM deliveries"); n != 0 {
			t.Error("a credential outlives its request")
		}
		if err := db.PutDelivery(t.Context(), d); !errors.Is(err, writ.Conflict) {
			t.Errorf("a credential after the end: %v", err)
		}
	})
}

// take claims a request's credential.
func take(t testing.TB, db *DB, id writ.ID, who writ.Ref) (sealed []byte, err error) {
	t.Helper()
	c := commanding(id, who, func(writ.Request) writ.Command { return writ.Claim{} })
	c.Sealed = &sealed
	_, err = db.Update(t.Context(), c)
	return sealed, err
}

// TestClaimsAtOnceGiveOne has many claim one credential in one transaction.
func TestClaimsAtOnceGiveOne(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		r := authorized(t, db, 1)
		must(t, db, granting(r.ID))
		if err := db.PutDelivery(t.Context(), Delivery{Request: r.ID, Attempt: 1, Sealed: []byte("sealed"), Until: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		must(t, db, granted(r.ID))
		var given atomic.Int64
		var claims sync.WaitGroup
		for range 20 {
			claims.Go(func() {
				switch sealed, err := take(t, db, r.ID, "service/ci-01"); {
				case err == nil && string(sealed) == "sealed":
					given.Add(1)
				case !errors.Is(err, writ.Conflict):
					t.Errorf("%q, %v", sealed, err)
				}
			})
		}
		claims.Wait()
		if given.Load() != 1 {
			t.Errorf("given %d times", given.Load())
		}
	})
}

// T11: two workers never do one task.
func TestFiftyWorkersDoEachTaskOnce(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		const n = 200
		var setup sync.WaitGroup
		for i := range n {
			setup.Go(func() { authorized(t, db, i) })
		}
		setup.Wait()
		var mu sync.Mutex
		grants := map[writ.ID]int{}
		var workers sync.WaitGroup
		for range 50 {
			workers.Go(func() {
				for {
					jobs, err := db.Claim(t.Context(), 3, time.Minute)
					if err != nil {
						t.Error(err)
					}
					if len(jobs) == 0 || err != nil {
						return
					}
					for _, j := range jobs {
						mu.Lock()
						grants[j.ID]++
						mu.Unlock()
						must(t, db, granting(j.ID), granted(j.ID))
					}
				}
			})
		}
		workers.Wait()
		if len(grants) != n {
			t.Errorf("%d tasks were done, want %d", len(grants), n)
		}
		for id, times := range grants {
			if times != 1 {
				t.Errorf("%s was granted %d times", id, times)
			}
		}
	})
}

func TestClaimTakesTheLongestDueFirst(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		var want []writ.ID
		for n := range 5 {
			want = append(want, authorized(t, db, n).ID)
		}
		for i, id := range want { // starts are in whole seconds, so set them apart
			if _, err := sideways(t, db).Exec("UPDATE states SET due = $1 WHERE request = $2", 1000-i, string(id)); err != nil {
				t.Fatal(err)
			}
		}
		tampered(t)
		slices.Reverse(want)
		jobs, err := db.Claim(t.Context(), 3, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		for i, j := range jobs {
			if j.ID != want[i] {
				t.Errorf("job %d is %s, want %s", i, j.ID, want[i])
			}
		}
	})
}

// TestFailedClaimLosesNothing: where the transaction fails, the credential was
// not given, waits on, and nobody is said to have it.
func TestFailedClaimLosesNothing(t *testing.T) {
	db := openWorld(t, filepath.Join(t.TempDir(), "writ.db"))
	r := authorized(t, db, 1)
	must(t, db, granting(r.ID))
	if err := db.PutDelivery(t.Context(), Delivery{Request: r.ID, Attempt: 1, Sealed: []byte("sealed"), Until: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	must(t, db, granted(r.ID))
	raw := sideways(t, db)
	run := func(text string) {
		t.Helper()
		if _, err := raw.Exec(text); err != nil {
			t.Fatal(err)
		}
	}
	run("CREATE TRIGGER stuck BEFORE DELETE ON deliveries BEGIN SELECT RAISE(ABORT, 'stuck'); END")
	if _, err := take(t, db, r.ID, "service/ci-01"); err == nil {
		t.Error("a claim that could not be recorded succeeded")
	}
	if is, err := db.Get(t.Context(), r.ID); err != nil || is.Claimed != nil {
		t.Errorf("claimed: %v, %v", is.Claimed, err)
	}
	run("DROP TRIGGER stuck")
	if sealed, err := take(t, db, r.ID, "service/ci-01"); err != nil || string(sealed) != "sealed" {
		t.Errorf("%q, %v", sealed, err)
	}
}
