package issuer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/writhq/writ/connector/issuer/mint"
)

// Config is what an Issuer is opened with. DB, Keys and URL are required.
type Config struct {
	// DB is the authority's own database: SQLite, opened with
	// _pragma=journal_mode(WAL), _pragma=synchronous(FULL) and
	// _pragma=busy_timeout(…), or PostgreSQL. It stays the caller's to close.
	DB   *sql.DB
	Keys mint.Keys
	URL  string // "iss" of every token: https, or http on a test machine, with neither query nor fragment

	// Sole says that this process alone writes to DB, as with an SQLite file.
	// Its cache is then exact without reading the changes of others. Never set
	// it where a second process may be started.
	Sole bool

	// Caller tells who asks for a verification. Where it is nil or gives an
	// error, the caller gets 401 and learns nothing.
	Caller func(*http.Request) (name string, err error)

	Cache  int              // keys and tokens kept in memory; 0: 100,000, about 100 MB
	Now    func() time.Time // nil: time.Now
	Random io.Reader        // nil: crypto/rand.Reader
	Log    *slog.Logger     // nil: slog.Default()

	poll time.Duration // between two looks at what others changed; tests set it
}

// An Issuer is a credential authority with a database of its own. It may be
// used by several goroutines at once.
type Issuer struct {
	cfg    Config
	mint   *mint.Mint
	counts map[Reason]*atomic.Uint64
	krl    krl

	cache   cache
	opened  time.Time
	polling chan struct{} // held by the one catchUp that runs
	seen    int64         // number of the last change in the cache; of who holds polling
	fresh   atomic.Int64  // when the last catchUp that succeeded began: nanoseconds since opened
	doubts  atomic.Uint64 // catchUps that failed
	settled atomic.Uint64 // how many of them a later success has mended
	loads   chan struct{}

	using sync.Mutex
	uses  map[string]*entry // by id, what waits to be flushed

	stop func()
	done sync.WaitGroup
}

// Open makes the tables where they are missing, reads the credentials that live
// into memory, and keeps them current until Close.
func Open(ctx context.Context, cfg Config) (*Issuer, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Cache <= 0 {
		cfg.Cache = cacheSize
	}
	if cfg.poll == 0 {
		cfg.poll = pollEvery
	}
	i := &Issuer{
		cfg: cfg, opened: cfg.Now(), uses: map[string]*entry{}, counts: map[Reason]*atomic.Uint64{},
		cache:   cache{rows: map[string]*entry{}, size: cfg.Cache, whole: true},
		polling: make(chan struct{}, 1), loads: make(chan struct{}, loadsMax),
	}
	for _, reason := range reasons {
		i.counts[reason] = new(atomic.Uint64)
	}
	var err error
	if i.mint, err = mint.New(mint.Config{Keys: cfg.Keys, URL: cfg.URL, Now: cfg.Now, Random: cfg.Random}); err != nil {
		return nil, err
	}
	if err := i.prepare(ctx); err != nil {
		return nil, err
	}
	if err := i.catchUp(ctx); err != nil {
		return nil, err
	}
	i.start()
	return i, nil
}

// prepare makes the tables, trying more than once where others do so too.
func (i *Issuer) prepare(ctx context.Context) (err error) {
	if i.cfg.DB == nil {
		return errors.New("issuer: there is no database; set Config.DB")
	}
	for range 3 {
		if err = create(ctx, i.cfg.DB); err == nil || errors.Is(err, errNewer) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("issuer: the database cannot be used: %w", err)
	}
	return nil
}

// start runs what goes on in the background until stop.
func (i *Issuer) start() {
	ctx, cancel := context.WithCancel(context.Background())
	i.stop = cancel
	i.every(ctx, i.cfg.poll, "catch up with the database", func() error {
		if i.cfg.Sole && i.trusted(i.cfg.Now()) {
			return nil
		}
		return i.catchUp(ctx)
	})
	i.every(ctx, flushEvery, "store last uses", func() error { return i.flush(ctx) })
}

// every runs f again and again, and logs when it begins and stops failing.
func (i *Issuer) every(ctx context.Context, pause time.Duration, what string, f func() error) {
	i.done.Go(func() {
		tick := time.NewTicker(pause)
		defer tick.Stop()
		failing := false
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			err := f()
			switch {
			case err != nil && !failing && ctx.Err() == nil:
				i.cfg.Log.Error("issuer cannot "+what, "error", err)
			case err == nil && failing:
				i.cfg.Log.Info("issuer can " + what + " again")
			}
			failing = err != nil
		}
	})
}

// Close stops the background work and writes the last uses. It ends no
// credential and leaves the database open.
func (i *Issuer) Close() error {
	i.stop()
	i.done.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return i.flush(ctx)
}
