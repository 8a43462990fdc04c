package store

import (
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writhq/writ"
)

// A whole day passes at once: nothing here waits for a clock of its own.
func TestTimeTravel(t *testing.T) {
	dsn := filepath.Join(t.TempDir(), "writ.db")
	synctest.Test(t, func(t *testing.T) {
		db := openWorld(t, dsn)
		r := active(t, db, 1)
		waiting := submit(t, db, 2)
		due := func() []Job {
			t.Helper()
			jobs, err := db.Claim(t.Context(), 10, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			return jobs
		}
		if jobs := due(); len(jobs) != 0 {
			t.Errorf("due at once: %v", jobs)
		}
		time.Sleep(r.Until.Sub(time.Now()) - time.Millisecond)
		if jobs := due(); len(jobs) != 0 {
			t.Errorf("due before its time: %v", jobs)
		}
		time.Sleep(time.Millisecond)
		if jobs := due(); len(jobs) != 1 || jobs[0].ID != r.ID || jobs[0].Task != writ.DoExpire {
			t.Errorf("at its end: %v", jobs)
		}
		must(t, db, commanding(r.ID, "", func(writ.Request) writ.Command { return writ.Expire{} }))
		if jobs := due(); len(jobs) != 1 || jobs[0].Task != writ.DoRevoke {
			t.Errorf("after its end: %v", jobs)
		}
		time.Sleep(7 * 24 * time.Hour)
		if jobs := due(); len(jobs) != 2 {
			t.Errorf("a week later: %v", jobs)
		}
		must(t, db, commanding(waiting.ID, "", func(writ.Request) writ.Command { return writ.Lapse{} }))
	})
}

func TestKeysAndDeliveriesGoInTime(t *testing.T) {
	dsn := filepath.Join(t.TempDir(), "writ.db")
	synctest.Test(t, func(t *testing.T) {
		db := openWorld(t, dsn)
		c := asking(newID(), service(1), "orders/read")
		c.Key = &Key{Caller: "ide-1", Key: "k", Fingerprint: "body"}
		must(t, db, c)
		r := authorized(t, db, 2)
		must(t, db, granting(r.ID))
		if err := db.PutDelivery(t.Context(), Delivery{Request: r.ID, Attempt: 1, Sealed: []byte("x"), Until: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		left := func() int64 {
			t.Helper()
			submit(t, db, 3)
			return 10*count(t, db, "SELECT count(*) FROM repeats") + count(t, db, "SELECT count(*) FROM deliveries")
		}
		if n := left(); n != 11 {
			t.Errorf("at first: %d", n)
		}
		time.Sleep(time.Hour + time.Minute)
		must(t, db, granted(r.ID))
		if _, err := take(t, db, r.ID, "service/ci-02"); !errors.Is(err, writ.NotFound) {
			t.Errorf("a credential was to be had after its time: %v", err)
		}
		if n := left(); n != 10 {
			t.Errorf("after an hour: %d", n)
		}
		time.Sleep(46 * time.Hour)
		if n := left(); n != 10 {
			t.Errorf("after 47 hours: %d", n)
		}
		time.Sleep(2 * time.Hour)
		if n := left(); n != 0 {
			t.Errorf("after 49 hours: %d", n)
		}
	})
}
