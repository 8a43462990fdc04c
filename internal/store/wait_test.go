package store

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/writhq/writ"
)

func TestWaitReturnsWithTheNextEvent(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		r := submit(t, db, 1)
		waiting := make(chan writ.Request)
		for range 3 {
			go func() {
				r, err := db.Wait(t.Context(), r.ID, r.Seq)
				if err != nil {
					t.Error(err)
				}
				waiting <- r
			}()
		}
		for db.wakers.Len() == 0 {
			time.Sleep(time.Millisecond)
		}
		submit(t, db, 2) // of no interest
		want := must(t, db, approving(r.ID, "human/bob"))
		for range 3 {
			if got := <-waiting; got.Seq != want.Seq {
				t.Errorf("woken with event %d, want %d", got.Seq, want.Seq)
			}
		}
		if got, err := db.Wait(t.Context(), r.ID, r.Seq); err != nil || got.Seq != want.Seq {
			t.Errorf("what is there already: %d, %v", got.Seq, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if got, err := db.Wait(ctx, r.ID, want.Seq); !errors.Is(err, context.DeadlineExceeded) || got.Seq != want.Seq {
			t.Errorf("at the end of the wait: %d, %v", got.Seq, err)
		}
		if _, err := db.Wait(t.Context(), "req-none", 0); !errors.Is(err, writ.NotFound) {
			t.Error(err)
		}
		if n := db.wakers.Len(); n != 0 {
			t.Errorf("%d requests are still waited for", n)
		}
	})
}

func TestOtherProcessesAreSeen(t *testing.T) {
	dsn := postgresOnly(t)
	here := openWorld(t, dsn)
	there := open(t, dsn)
	r := submit(t, here, 1)
	for range cap(there.due) + 1 { // what rang before
		select {
		case <-there.Due():
		default:
		}
	}
	soon, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	go func() {
		time.Sleep(50 * time.Millisecond)
		must(t, here, approving(r.ID, "human/bob"), approving(r.ID, "human/dan"))
	}()
	if got, err := there.Wait(soon, r.ID, 2); err != nil || got.Seq < 3 {
		t.Errorf("event %d, %v", got.Seq, err)
	}
	select {
	case <-there.Due():
	case <-soon.Done():
		t.Error("nothing became due there")
	}
	put(t, here, writ.Group{Header: writ.Header{Kind: "group", Name: "new"}})
	for _, ok := there.Directory().Groups["group/new"]; !ok && soon.Err() == nil; _, ok = there.Directory().Groups["group/new"] {
		time.Sleep(10 * time.Millisecond)
	}
	if soon.Err() != nil {
		t.Error("documents of another process are not seen")
	}
	must(t, there, asking(newID(), service(3), "orders/read")) // decided on what here wrote
	must(t, here, asking(newID(), service(3), "orders/read"))
}

func TestManyEventsOfOthersSendEverybodyToLook(t *testing.T) {
	db := openWorld(t, postgresOnly(t))
	waiting := db.wakers.Enter("req-any")
	defer db.wakers.Leave("req-any", waiting)
	if _, err := db.look(t.Context(), -maxSeen); err != nil {
		t.Fatal(err)
	}
	if r := <-waiting; r != nil {
		t.Errorf("told %v", r)
	}
}

func TestDueRings(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		authorized(t, db, 1)
		select {
		case <-db.Due():
		case <-time.After(5 * time.Second):
			t.Fatal("an authorized request woke nobody")
		}
		jobs, err := db.Claim(t.Context(), 1, time.Minute)
		if err != nil || len(jobs) != 1 {
			t.Fatal(jobs, err)
		}
		if err := db.Release(t.Context(), jobs[0], time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		select {
		case <-db.Due():
			t.Error("woken for what is due in an hour")
		default:
		}
		if jobs, err := db.Claim(t.Context(), 1, time.Minute); err != nil || len(jobs) != 0 {
			t.Errorf("claimed before its time: %v, %v", jobs, err)
		}
	})
}
