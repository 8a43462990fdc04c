package store

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store/database"
	"github.com/writhq/writ/ledger"
)

// BenchmarkScale compares the cost of a decision with a thousand stored
// requests and with a million.
func BenchmarkScale(b *testing.B) {
	if testing.Short() {
		b.Skip("it stores a million requests")
	}
	durable(b, func(b *testing.B, dsn func() string) {
		var few float64
		for _, doublings := range []int{0, 10} {
			path := dsn()
			b.Run(fmt.Sprint(1000<<doublings), func(b *testing.B) {
				storedLives(b, path, doublings)
				db, err := Open(b.Context(), Config{DSN: path, Log: logSigner(b)})
				if err != nil {
					b.Fatal(err)
				}
				defer db.Close()
				rate := crowd(b, db, 64, lives(b, db))
				b.ReportMetric(rate, "decisions/s")
				if doublings == 0 {
					few = rate
				} else {
					b.ReportMetric(few/rate, "×cost")
				}
				reads(b, db)
			})
		}
	})
}

// reads reports how long what people and workers wait for takes.
func reads(b *testing.B, db *DB) {
	uid := func(ref writ.Ref) writ.UID { return db.Directory().Identities[ref].UID }
	live := []writ.Status{writ.StatusPending, writ.StatusAuthorized, writ.StatusGranting, writ.StatusActive, writ.StatusRevoking}
	for name, read := range map[string]func() error{
		"ms-page": func() error { _, err := db.List(b.Context(), Query{Before: "req-0"}); return err },
		"ms-inbox": func() error {
			_, err := db.List(b.Context(), Query{Approver: uid("human/bob"), Status: live[:1]})
			return err
		},
		"ms-mine": func() error { _, err := db.List(b.Context(), Query{Party: uid("human/dan")}); return err },
		"ms-live": func() error { _, err := db.List(b.Context(), Query{Status: live}); return err },
		"ms-held": func() error {
			_, err := db.List(b.Context(), Query{Subject: uid(service(1)), Status: live})
			return err
		},
		"ms-claim": func() error { _, err := db.Claim(b.Context(), 1, time.Second); return err },
		"ms-stats": func() error { _, err := db.Stats(b.Context()); return err },
	} {
		var took latencies
		for range 50 {
			start := time.Now()
			if err := read(); err != nil {
				b.Fatal(err)
			}
			took.all = append(took.all, time.Since(start))
		}
		slices.Sort(took.all)
		b.ReportMetric(float64(took.all[25].Microseconds())/1000, name)
	}
}

// storedLives fills a database, once, with a thousand lives and then doubles them.
func storedLives(b *testing.B, dsn string, doublings int) {
	b.Helper()
	db, err := Open(b.Context(), Config{DSN: dsn, Log: logSigner(b)})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	if head, err := db.Head(b.Context()); err != nil || head.Size > 0 {
		return // by an earlier round of the same benchmark
	}
	begin(b, db)
	thousandLives(b, db)
	start := time.Now()
	_, err = db.do(&work{ctx: context.Background(), long: true, direct: func(t *batch) error {
		t.wrote = true
		for n := range doublings {
			t.double(fmt.Sprintf("req-0%c", 'a'+n))
		}
		return nil
	}})
	if err == nil && db.data.Shared { // else the planner still believes that the tables are small
		_, err = db.data.Read.Exec("ANALYZE")
	}
	if err == nil {
		_, err = db.do(&work{ctx: context.Background(), long: true, direct: func(t *batch) error {
			t.wrote = true
			return t.resign()
		}})
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("filled in %s: %d requests, %d events, %d links", time.Since(start).Round(time.Second),
		count(b, db, "SELECT count(*) FROM requests"), count(b, db, "SELECT count(*) FROM events"), count(b, db, "SELECT count(*) FROM links"))
}

// thousandLives makes a thousand requests: most are over, some are live.
func thousandLives(b *testing.B, db *DB) {
	var wg sync.WaitGroup
	for c := range 50 {
		wg.Go(func() {
			for n := range 20 {
				id, who := newID(), service(c)
				must(b, db, asking(id, who, "orders/read", "incident/INC-7"))
				switch {
				case n == 0: // stays pending
				case n == 1:
					must(b, db, approving(id, "human/bob"), approving(id, "human/dan"), granting(id), granted(id))
				case n < 8:
					must(b, db, append([]Change{approving(id, "human/bob"), approving(id, "human/dan"), granting(id), granted(id)}, closing(id)...)...)
				default:
					must(b, db, commanding(id, "human/bob", func(r writ.Request) writ.Command { return writ.Deny{Digest: r.Digest} }))
				}
			}
		})
	}
	wg.Wait()
}

// double copies every request under an older id. The copies are over: an
// identity has few live requests however many it had.
func (b *batch) double(prefix string) {
	id := func(column string) string { return "'" + prefix + "' || substr(" + column + ", 5)" }
	for _, text := range []string{
		"INSERT INTO events (pos, stream, seq, record) SELECT (SELECT max(pos) FROM events) + row_number() OVER (ORDER BY pos), " + id("stream") + ", seq, record FROM events WHERE stream LIKE 'req-%'",
		"INSERT INTO requests (id, " + requestColumns + ") SELECT " + id("id") + ", " + requestColumns + " FROM requests",
		"INSERT INTO states (request, busy, " + stateColumns + ") SELECT " + id("request") + ", 0, seq, CASE WHEN live IS NULL THEN status ELSE 'closed' END, '', NULL, 0, NULL, NULL, moving FROM states",
		"INSERT INTO links (key, request, waits) SELECT key, " + id("request") + ", 0 FROM links",
	} {
		b.conn.Exec(text)
	}
}

// resign makes the tree of the events as they are now.
func (b *batch) resign() error {
	b.conn.Exec("DELETE FROM tiles")
	b.memory.edge, b.records = ledger.Edge{}, nil
	for {
		var page [][]byte
		var pos []int64
		err := database.Scan(b.ctx, b.conn, "SELECT pos, record FROM events WHERE pos >= $1 AND pos < $2 ORDER BY pos", []any{b.memory.edge.Size(), b.memory.edge.Size() + 5000}, func(scan database.Scanner) error {
			var at int64
			var record []byte
			err := scan(&at, &record)
			page, pos = append(page, record), append(pos, at)
			return err
		})
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		b.records = page
		if err := b.advance(); err != nil {
			return err
		}
	}
	b.records = nil
	return nil
}

// BenchmarkVerify reads a ledger of a million events, or of 50,000 in short.
func BenchmarkVerify(b *testing.B) {
	decisions := 890_000
	if testing.Short() {
		decisions = 44_500
	}
	durable(b, func(b *testing.B, dsn func() string) {
		path := dsn()
		b.Run("events", func(b *testing.B) {
			db, err := Open(b.Context(), Config{DSN: path, Log: logSigner(b)})
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			if count(b, db, "SELECT size FROM head") == 0 {
				begin(b, db)
				rounds := b.N
				b.N = decisions
				crowd(b, db, 256, lives(b, db))
				b.N = rounds
			}
			var peak atomic.Uint64
			b.ResetTimer()
			b.StartTimer()
			for range b.N {
				err := db.Verify(b.Context(), Keys{LogKey: db.Log.VerifierKey()}, func(done, _ int64) {
					if done%100_000 < 2000 {
						peak.Store(max(peak.Load(), heap()))
					}
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			size := count(b, db, "SELECT size FROM head")
			b.ReportMetric(float64(size), "events")
			b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(peak.Load())/(1<<20), "MB-heap")
		})
	})
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}
