package store

import (
	"context"
	"fmt"
	"sync"
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
				cpu, pg := selfCPU(), pgCPU(b, db)
				rate := crowd(b, 64, lives(b, db))
				cpu, pg = selfCPU()-cpu, pgCPU(b, db)-pg
				b.ReportMetric(cpu/float64(b.N), "cpu-us")
				b.ReportMetric(pg/float64(b.N), "pgcpu-us")
				b.ReportMetric(rate, "decisions/s")
				if doublings == 0 {
					few = rate
				} else {
					b.ReportMetric(few/rate, "×cost")
				}
			})
		}
	})
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
			if err := t.double(fmt.Sprintf("req-0%c", 'a'+n)); err != nil {
				return err
			}
		}
		return t.resign()
	}})
	if err != nil {
		b.Fatal(err)
	}
	if db.data.Shared {
		if _, err := db.data.Read.Exec("ANALYZE"); err != nil {
			b.Fatal(err)
		}
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
func (b *batch) double(prefix string) error {
	id := func(column string) string { return "'" + prefix + "' || substr(" + column + ", 5)" }
	for _, text := range []string{
		"INSERT INTO events (pos, stream, seq, record) SELECT (SELECT max(pos) FROM events) + row_number() OVER (ORDER BY pos), " + id("stream") + ", seq, record FROM events WHERE stream LIKE 'req-%'",
		"INSERT INTO requests (id, " + requestColumns + ") SELECT " + id("id") + ", " + requestColumns + " FROM requests",
		"INSERT INTO states (request, busy, " + stateColumns + ") SELECT " + id("request") + ", 0, seq, CASE WHEN live IS NULL THEN status ELSE 'closed' END, '', NULL, 0, NULL, moving FROM states",
		"INSERT INTO links (key, request, waits) SELECT key, " + id("request") + ", 0 FROM links",
	} {
		if err := b.conn.Exec(b.ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// resign makes the tree of the events as they are now.
func (b *batch) resign() error {
	if err := b.conn.Exec(b.ctx, "DELETE FROM tiles"); err != nil {
		return err
	}
	b.memory.edge, b.records = ledger.Edge{}, nil
	for {
		var page [][]byte
		var pos []int64
		err := b.rows("SELECT pos, record FROM events WHERE pos >= $1 ORDER BY pos LIMIT 5000", []any{b.memory.edge.Size()}, func(scan database.Scanner) error {
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
