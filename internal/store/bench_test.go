package store

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writhq/writ/internal/realtest"
	"github.com/writhq/writ/internal/realtest/server"
	"github.com/writhq/writ/internal/store/database"
)

// durable runs a benchmark on both databases with real commits to disk.
func durable(b *testing.B, f func(b *testing.B, dsn func() string)) {
	b.Run("sqlite", func(b *testing.B) {
		f(b, func() string { return filepath.Join(b.TempDir(), "writ.db") })
	})
	b.Run("postgres", func(b *testing.B) {
		p := realtest.OwnPostgres(b, server.PostgresConfig{Sync: true, Settings: map[string]string{"shared_buffers": "256MB", "max_wal_size": "4GB"}})
		n := 0
		f(b, func() string {
			n++
			dsn, err := p.CreateDatabase(b.Context(), fmt.Sprintf("bench%d", n))
			if err != nil {
				b.Fatal(err)
			}
			return dsn
		})
	})
}

// latencies are how long single calls took.
type latencies struct {
	mu  sync.Mutex
	all []time.Duration
}

func (l *latencies) add(some []time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, some...)
}

func (l *latencies) report(b *testing.B) {
	slices.Sort(l.all)
	if len(l.all) > 0 {
		b.ReportMetric(float64(l.all[len(l.all)/2].Microseconds())/1000, "ms-p50")
		b.ReportMetric(float64(l.all[len(l.all)*99/100].Microseconds())/1000, "ms-p99")
	}
}

// crowd lets callers make b.N calls altogether, and reports how long each took
// and, unless db is nil, how much processor time.
func crowd(b *testing.B, db *DB, callers int, life func(caller int) []func() error) (perSecond float64) {
	if db != nil {
		own, server := spent(b, db)
		defer func() {
			ownAfter, serverAfter := spent(b, db)
			b.ReportMetric(float64((ownAfter-own).Microseconds())/float64(b.N), "µs-cpu")
			b.ReportMetric(float64((serverAfter-server).Microseconds())/float64(b.N), "µs-cpu-server")
		}()
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	var l latencies
	var wg sync.WaitGroup
	b.ResetTimer()
	start := time.Now()
	for c := range callers {
		wg.Go(func() {
			var took []time.Duration
			defer func() { l.add(took) }()
			for left.Load() > 0 {
				for _, call := range life(c) {
					if left.Add(-1) < 0 {
						return
					}
					at := time.Now()
					if err := call(); err != nil {
						b.Error(err)
						return
					}
					took = append(took, time.Since(at))
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	l.report(b)
	return float64(b.N) / time.Since(start).Seconds()
}

// lives returns the decisions of a whole life, of which everything is real but
// the target.
func lives(b *testing.B, db *DB) func(caller int) []func() error {
	return func(caller int) []func() error {
		id := newID()
		changes := append([]Change{
			asking(id, service(caller), "orders/read", "incident/INC-7"),
			approving(id, "human/bob"), approving(id, "human/dan"), granting(id), granted(id),
		}, closing(id)...)
		var calls []func() error
		for _, c := range changes {
			calls = append(calls, func() error {
				_, err := db.Update(context.Background(), c)
				return err
			})
		}
		return calls
	}
}

func BenchmarkUpdate(b *testing.B) {
	durable(b, func(b *testing.B, dsn func() string) {
		bare := bareLimits(b, dsn())
		for _, callers := range []int{1, 8, 64, 256} {
			b.Run(fmt.Sprint(callers), func(b *testing.B) {
				db, err := Open(b.Context(), Config{DSN: dsn(), Log: logSigner(b)})
				if err != nil {
					b.Fatal(err)
				}
				defer db.Close()
				begin(b, db)
				before, err := db.Stats(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				rate := crowd(b, db, callers, lives(b, db))
				after, err := db.Stats(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(rate, "decisions/s")
				b.ReportMetric(rate/bare[callers > 1], "×bare")
				b.ReportMetric(float64(after.Decisions-before.Decisions)/float64(after.Commits-before.Commits), "decisions/commit")
			})
		}
	})
}

// bareLimits returns what the database can do at most: durable commits of one
// row a second, by one caller, and rows by 64 callers who share commits.
func bareLimits(b *testing.B, dsn string) map[bool]float64 {
	limits := map[bool]float64{}
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("bare/%d", callers), func(b *testing.B) {
			data, err := database.Open(b.Context(), dsn, false)
			if err != nil {
				b.Fatal(err)
			}
			defer data.Close()
			if _, err := data.Write.Exec("CREATE TABLE IF NOT EXISTS bare (n BIGINT)"); err != nil {
				b.Fatal(err)
			}
			commit := sharedCommits(b, data.Write)
			rate := crowd(b, nil, callers, func(int) []func() error { return []func() error{commit} })
			b.ReportMetric(rate, "rows/s")
			limits[callers > 1] = rate
		})
	}
	return limits
}

// sharedCommits returns a function that inserts one row and returns when that
// is durable; whoever calls it while a commit is under way shares the next.
func sharedCommits(b *testing.B, pool *sql.DB) func() error {
	queue := make(chan chan error, 1000)
	commit := func(waiting []chan error) error {
		tx, err := pool.Begin()
		if err != nil {
			return err
		}
		defer tx.Rollback()
		for range waiting {
			if _, err := tx.Exec("INSERT INTO bare (n) VALUES ($1)", 1); err != nil {
				return err
			}
		}
		return tx.Commit()
	}
	b.Cleanup(func() { close(queue) })
	go func() {
		for first := range queue {
			waiting := []chan error{first}
			for len(queue) > 0 {
				waiting = append(waiting, <-queue)
			}
			err := commit(waiting)
			for _, one := range waiting {
				one <- err
			}
		}
	}()
	return func() error {
		done := make(chan error, 1)
		queue <- done
		return <-done
	}
}
