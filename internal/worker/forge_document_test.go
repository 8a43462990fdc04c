package worker

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writhq/writ"
)

// TestForgedDocumentIsRefused changes what policy, an entitlement or a group says
// in the database, or puts an older version in the place of the newest: what is
// decided on it from then on gives nobody anything.
func TestForgedDocumentIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ stream, from, to string }{
		"a policy that asks nobody": {"policy:default", `decideIn: 72h`, `decideIn: 73h`},
		"an entitlement of more":    {"entitlement:" + stagedKey, `"scopes":["`, `"scopes":["root","`},
		"another owner":             {"identity:" + string(machine(1)), `"owner":"human/`, `"title":"x","owner":"human/`},
		"an older version":          {"entitlement:" + stagedKey, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, setup{Dir: t.TempDir()}, faults{})
				e := w.store.Directory().Entitlements[stagedKey]
				e.Header = writ.Header{Kind: "entitlement", Name: stagedKey}
				e.Title = "changed"
				w.put(t, e)
				w.shut(t)
				db := database(t, w.setup)
				var pos int64
				var record string
				if err := db.QueryRow("SELECT pos, record FROM events WHERE stream = $1 ORDER BY seq DESC LIMIT 1", c.stream).Scan(&pos, &record); err != nil {
					t.Fatal(err)
				}
				if c.from == "" {
					execute(t, db, "UPDATE documents SET pos = (SELECT pos FROM events WHERE stream = $1 AND seq = 1) WHERE stream = $1", c.stream)
				} else if forged := strings.Replace(record, c.from, c.to, 1); forged != record {
					execute(t, db, "UPDATE events SET record = $1 WHERE pos = $2", forged, pos)
				} else {
					t.Fatalf("nothing to forge in %s", record)
				}
				db.Close()
				w.nothingGranted(t)
			})
		})
	}
}

// nothingGranted opens a forged world, in which requests are made and approved,
// and nothing is granted.
func (w *world) nothingGranted(t *testing.T) {
	t.Helper()
	w, err := open(t.Context(), w.setup, faults{})
	if err != nil {
		t.Fatalf("it does not even open: %v", err)
	}
	r := w.authorized(t, machine(1), stagedKey, time.Hour)
	stop := w.work(t)
	time.Sleep(3 * time.Minute)
	stop()
	if left := w.listed(t, "keys"); len(left) > 0 {
		t.Errorf("the target has %v", left)
	}
	if n := w.log.count(`"level":"ERROR"`, "ALARM", string(r.ID)); n < 1 || n > 5 {
		t.Errorf("%d alarms in three minutes:\n%s", n, w.log)
	}
	if w.broken() == nil {
		t.Error("verify finds nothing")
	}
	w.shut(t)
}

// TestAnEndThatIsHiddenIsNoted takes the end of a request out of the table of
// events, and makes all tables say that it is still to be granted.
func TestAnEndThatIsHiddenIsNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, setup{Dir: t.TempDir()}, faults{})
		r := w.authorized(t, machine(1), stagedKey, time.Hour)
		if _, err := w.door.Revoke(t.Context(), w.as(sue), r.ID, "not now"); err != nil {
			t.Fatal(err)
		}
		w.shut(t)
		db := database(t, w.setup)
		execute(t, db, "DELETE FROM events WHERE stream = $1 AND seq = $2", string(r.ID), r.Seq+1)
		db.Close()
		alter(t, w.setup, r.ID, func(now *writ.Request) { *now = r })
		w, err := open(t.Context(), w.setup, faults{})
		if err != nil {
			return // it does not even open
		}
		stop := w.work(t)
		time.Sleep(3 * time.Minute)
		stop()
		if left := w.listed(t, "keys"); len(left) > 0 {
			t.Errorf("the target has %v", left)
		}
		if w.log.count(`"level":"ERROR"`, "ALARM", string(r.ID)) == 0 {
			t.Errorf("no alarm:\n%s", w.log)
		}
		w.shut(t)
	})
}
