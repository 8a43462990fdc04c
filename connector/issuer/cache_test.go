package issuer

import (
	"context"
	"database/sql"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/internal/realtest"
)

// two opens two Issuers on one PostgreSQL database, as two processes would.
func two(t *testing.T, first, second Config) (a, b *Issuer, ta, tb connector.Connector) {
	t.Helper()
	dsn := realtest.Database(t)
	first.DB, second.DB = openPostgres(t, dsn), openPostgres(t, dsn)
	a, ta = open(t, first)
	b, tb = open(t, second)
	return a, b, ta, tb
}

func TestTwoProcessesAgree(t *testing.T) {
	t.Parallel()
	a, b, ta, tb := two(t, Config{}, Config{})
	o := order(t, "req-1", connector.APIKey, time.Now())
	_, key := grant(t, ta, o)
	judged(t, b, key, Active) // at once: it asks for what it does not know
	revoke(t, ta, o)
	began := time.Now()
	judged(t, a, key, Ended)
	reason := Active
	for reason == Active {
		v, err := b.Verify(t.Context(), key, nil)
		if reason = v.Reason; err != nil || time.Since(began) > trustFor+100*time.Millisecond {
			t.Fatalf("%s after the revocation the other process says %+v, %v", time.Since(began), v, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if reason != Ended {
		t.Errorf("reason %s", reason)
	}
	t.Logf("seen after %s", time.Since(began))

	_, first := grant(t, ta, o)
	judged(t, b, first, Active)
	_, second := grant(t, tb, o) // the other process replaces it
	judged(t, b, first, Ended)
	time.Sleep(trustFor)
	judged(t, a, first, Ended)
	judged(t, a, second, Active)
}

func TestTwoProcessesExpireAtTheSameInstant(t *testing.T) {
	c := newClock()
	a, b, ta, _ := two(t, Config{Now: c.now}, Config{Now: c.now})
	o := order(t, "req-1", connector.APIKey, c.now())
	o.Until = c.now().Add(30 * time.Second).Truncate(time.Microsecond)
	_, key := grant(t, ta, o)
	judged(t, a, key, Active)
	judged(t, b, key, Active)
	c.forward(o.Until.Sub(c.now()) - time.Microsecond)
	judged(t, a, key, Active)
	judged(t, b, key, Active)
	c.forward(time.Microsecond)
	judged(t, a, key, Expired)
	judged(t, b, key, Expired)
}

// A process whose reading of changes stalls must not go on with what it knew.
func TestStalledCacheIsNotBelieved(t *testing.T) {
	c := newClock()
	_, b, ta, _ := two(t, Config{Now: c.now}, Config{Now: c.now, poll: time.Hour})
	o := order(t, "req-1", connector.APIKey, c.now())
	_, key := grant(t, ta, o)
	judged(t, b, key, Active)
	revoke(t, ta, o)
	judged(t, b, key, Active) // allowed: what it knows is younger than trustFor
	c.forward(trustFor)
	judged(t, b, key, Active)
	c.forward(time.Nanosecond)
	judged(t, b, key, Ended)
}

func TestWithoutItsDatabaseNothingIsActive(t *testing.T) {
	c := newClock()
	dsn := realtest.Database(t)
	log, logs := logged()
	db := openPostgres(t, dsn)
	i, target := open(t, Config{DB: db, Now: c.now, Log: log})
	o := order(t, "req-1", connector.APIKey, c.now())
	_, key := grant(t, target, o)
	judged(t, i, key, Active)
	server := httptest.NewServer(i.Handler())
	defer server.Close()

	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	c.forward(2 * trustFor)
	v, err := i.Verify(t.Context(), key, nil)
	if err == nil || v.Active || v.Reason != Unread {
		t.Errorf("%+v, %v", v, err)
	}
	for _, answer := range []func() (int, string){
		func() (int, string) { return verified(t, server.URL, "gateway", object{"token": key}) },
		func() (int, string) { return introspected(t, server.URL, "gateway", key) },
	} {
		if status, body := answer(); status != 503 || strings.Contains(body, "active") {
			t.Errorf("%d %s", status, body)
		}
	}
	if _, err := target.Grant(t.Context(), order(t, "req-2", connector.APIKey, c.now())); err == nil {
		t.Error("granted without a database")
	}
	if err := target.Revoke(t.Context(), o, connector.Receipt{}); err == nil {
		t.Error("revoked without a database")
	}
	if seen, err := target.Observe(t.Context(), o, connector.Receipt{}); err == nil || seen.State != connector.Unread {
		t.Errorf("observed %+v, %v", seen, err)
	}
	if logs.String() == "" || strings.Contains(logs.String(), key) {
		t.Errorf("logged: %s", logs)
	}
}

func TestCacheIsBounded(t *testing.T) {
	onBoth(t, func(t *testing.T, db *sql.DB) {
		for _, sole := range []bool{true, false} {
			i, target := open(t, Config{DB: db, Sole: sole, Cache: 8})
			var keys []string
			for n := range 20 {
				_, key := grant(t, target, order(t, fmt.Sprintf("req-%t-%d", sole, n), connector.APIKey, time.Now()))
				keys = append(keys, key)
			}
			for n, key := range keys {
				judged(t, i, key, Active)
				if n%2 == 0 {
					revoke(t, target, order(t, fmt.Sprintf("req-%t-%d", sole, n), connector.APIKey, time.Now()))
				}
			}
			for n, key := range keys {
				judged(t, i, key, map[bool]Reason{true: Ended, false: Active}[n%2 == 0])
			}
			if n := len(i.cache.rows); n > 8 {
				t.Errorf("sole %t: %d entries", sole, n)
			}
			if err := i.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// Ids that nobody issued leave nothing behind, and where this process alone
// writes they do not reach the database at all.
func TestUnknownIDsLeaveNothing(t *testing.T) {
	db := sqliteDB(t)
	i, target := open(t, Config{DB: db, Sole: true, poll: time.Hour})
	_, key := grant(t, target, order(t, "req-1", connector.APIKey, time.Now()))
	other, _ := open(t, Config{DB: openPostgres(t, realtest.Database(t))})
	for n := range 2000 {
		made := resummed(fmt.Sprintf("%s%010d%s", key[:keyAt], n, key[keyAt+10:]))
		judged(t, i, made, Unknown)
		if n < 200 {
			judged(t, other, made, Unknown)
		}
	}
	if i, o := len(i.cache.rows), len(other.cache.rows); i != 1 || o != 0 {
		t.Errorf("%d and %d entries", i, o)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	judged(t, i, resummed(key[:keyAt]+"zzzzzzzzzz"+key[keyAt+10:]), Unknown)
	judged(t, i, key, Active)
}

// A row that was read before a change must not come to stand in its place.
func TestLateReadDoesNotHideAChange(t *testing.T) {
	db := sqliteDB(t)
	i, target := open(t, Config{DB: db, Sole: true, Cache: 1})
	o := order(t, "req-1", connector.APIKey, time.Now())
	_, key := grant(t, target, o)
	epoch := i.cache.now()
	rows, err := i.read(t.Context(), selectRows+`WHERE request = $1`, o.Request)
	if err != nil {
		t.Fatal(err)
	}
	revoke(t, target, o)
	grant(t, target, order(t, "req-2", connector.APIKey, time.Now())) // puts the revoked one out of the cache
	i.cache.keep(newEntry(rows[0]), epoch)
	judged(t, i, key, Ended)
}

// A database that was put back while it was in use has changes that would never
// be seen: their numbers were used before.
func TestDatabasePutBackIsNoticed(t *testing.T) {
	db := sqliteDB(t)
	i, target := open(t, Config{DB: db, Sole: true, poll: time.Hour})
	o := order(t, "req-1", connector.APIKey, time.Now())
	_, key := grant(t, target, o)
	for range 5 {
		grant(t, target, order(t, "req-2", connector.APIKey, time.Now()))
	}
	for _, put := range []string{`DELETE FROM issuer_credential WHERE request = 'req-2'`, `UPDATE issuer_clock SET n = 1`} {
		if _, err := db.Exec(put); err != nil {
			t.Fatal(err)
		}
	}
	if err := i.catchUp(t.Context()); err == nil || !strings.Contains(err.Error(), "went back") {
		t.Errorf("caught up: %v", err)
	}
	revoke(t, target, o)
	judged(t, i, key, Ended)
}

// History that has run out is not read again and again.
func TestOldHistoryIsPassedOver(t *testing.T) {
	c, db := newClock(), sqliteDB(t)
	i, target := open(t, Config{DB: db, Sole: true, Now: c.now})
	grant(t, target, order(t, "req-1", connector.APIKey, c.now()))
	if err := i.Close(); err != nil {
		t.Fatal(err)
	}
	c.forward(2 * time.Hour)
	again, _ := open(t, Config{DB: db, Sole: true, Now: c.now})
	if len(again.cache.rows) != 0 || again.seen == 0 {
		t.Errorf("%d entries, seen up to %d", len(again.cache.rows), again.seen)
	}
}

func TestChangesComeInPages(t *testing.T) {
	t.Parallel()
	db := sqliteDB(t)
	i, _ := open(t, Config{DB: db, Sole: true})
	const many = pageSize + 3
	err := transact(t.Context(), db, func(tx *sql.Tx) error {
		for n := range many {
			changed, err := number(t.Context(), tx)
			if err != nil {
				return err
			}
			r := row{id: fmt.Sprintf("%010d", n), request: fmt.Sprintf("req-%d", n), kind: connector.APIKey,
				until: micros(time.Now().Add(time.Hour)), changed: changed}
			if err := insert(t.Context(), tx, &r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := i.catchUp(t.Context()); err != nil || len(i.cache.rows) != many {
		t.Errorf("%d entries, %v", len(i.cache.rows), err)
	}
	again, target := open(t, Config{DB: db, Sole: true})
	if len(again.cache.rows) != many {
		t.Errorf("opened with %d entries", len(again.cache.rows))
	}
	listed := 0
	err = target.List(t.Context(), func(connector.Observation) error { listed++; return nil })
	if err != nil || listed != many {
		t.Errorf("listed %d, %v", listed, err)
	}
}

func TestLastUseIsWrittenLater(t *testing.T) {
	onBoth(t, func(t *testing.T, db *sql.DB) {
		c := newClock()
		i, target := open(t, Config{DB: db, Sole: true, Now: c.now})
		o := order(t, "req-1", connector.APIKey, c.now())
		r, key := grant(t, target, o)
		stored := func() (used int64) {
			if err := db.QueryRow(`SELECT used FROM issuer_credential`).Scan(&used); err != nil {
				t.Fatal(err)
			}
			return used
		}
		lastUsed := func() time.Time {
			seen, err := target.Observe(t.Context(), o, r)
			if err != nil {
				t.Fatal(err)
			}
			return seen.LastUsed
		}
		if !lastUsed().IsZero() {
			t.Errorf("used before its use: %s", lastUsed())
		}
		if v, err := i.Verify(t.Context(), key, map[string]string{"service": "admin"}); v.Active || err != nil || !lastUsed().IsZero() {
			t.Errorf("a refused use counts: %+v, %v, %s", v, err, lastUsed())
		}
		c.forward(time.Second)
		used := c.now().Truncate(time.Microsecond)
		judged(t, i, key, Active)
		if stored() != 0 || !lastUsed().Equal(used) {
			t.Errorf("stored %d, observed %s, want 0 and %s", stored(), lastUsed(), used)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := i.flush(ctx); err == nil || stored() != 0 || !lastUsed().Equal(used) {
			t.Errorf("a flush that fails: %v, stored %d, observed %s", err, stored(), lastUsed())
		}
		if err := i.flush(t.Context()); err != nil || stored() != micros(used) || !lastUsed().Equal(used) {
			t.Errorf("flushed: %v, stored %d, observed %s", err, stored(), lastUsed())
		}
		c.forward(time.Second)
		judged(t, i, key, Active)
		if err := i.Close(); err != nil || stored() != micros(c.now()) {
			t.Errorf("closed: %v, stored %d, want %d", err, stored(), micros(c.now()))
		}
		if err := i.writeUses(t.Context(), []string{r.Detail["id"]}, map[string]*entry{r.Detail["id"]: {}}); err != nil || stored() != micros(c.now()) {
			t.Errorf("an older use was written over a newer: %v, %d", err, stored())
		}
	})
}
