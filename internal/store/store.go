// Package store keeps the ledger's events, and what is derived from them, in
// SQLite or PostgreSQL.
//
// Everything changes through one queue. Whoever wants a change waits in it; one
// goroutine takes what waits, opens one transaction, takes the single row of
// table head, makes the decisions one after the other, writes what follows from
// all of them with a handful of statements, signs the checkpoint, commits once
// and answers everybody:
//
//	update.go  Update and the queue      batch.go    the decisions of one transaction
//	commit.go  the committer             facts.go    what they may know
//	claim.go   due work                  record.go   what is written for them
//	get.go     reads                     memory.go   what the committer remembers
//	wait.go    news for who waits        verify.go   the one checker
//	witnessed.go  what others cosigned
//
//	database/             SQLite and PostgreSQL as one, and their schema
//	database/projection/  what is derived from events, and whether it holds
//	database/once/        what counts once: idempotency keys, nonces
//	cache/, wake/         what was used lately, and who waits for which request
//	signature/            signed approvals, checked again
//
// The head row makes decisions serial across all processes that share a
// database, so nothing else needs a lock and no decision is ever made on facts
// that another one is changing.
package store

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store/database"
	"github.com/writhq/writ/internal/store/database/projection"
	"github.com/writhq/writ/internal/store/wake"
	"github.com/writhq/writ/ledger"
)

// Config says which database, and who signs for its ledger.
type Config struct {
	DSN      string         // file path, "sqlite:PATH" or "postgres://…"
	Log      *ledger.Signer // signs checkpoints; nil only with ReadOnly
	ReadOnly bool           // nothing is written, and the database may be in use
	Skew     time.Duration  // how far the clock may be behind the newest event; a minute if zero
	Logger   *slog.Logger   // slog.Default() if nil
}

// A DB is an open database. Its methods are safe for concurrent use.
type DB struct {
	Config
	database.Ledger // Head, Checkpoint, Tile, Entries: a ledger.Source

	data *database.DB

	queue   chan *work
	closing sync.RWMutex // held for reading while work enters the queue
	closed  bool
	running sync.WaitGroup
	stop    context.CancelFunc

	newest   projection.Newest // documents
	wakers   wake.List
	due      chan struct{}
	counters counters
}

// Open opens a database and brings its schema up to date. It refuses a database
// that a newer program has changed, one whose ledger another key signs, and a
// SQLite file that another process has open for writing.
func Open(ctx context.Context, c Config) (*DB, error) {
	if c.Log == nil && !c.ReadOnly {
		return nil, errors.New("store: without a key to sign the ledger a database can only be opened for reading")
	}
	if c.Skew == 0 {
		c.Skew = time.Minute
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	db := &DB{Config: c, due: make(chan struct{}, 1), queue: make(chan *work, maxQueue)}
	var err error
	if db.data, err = database.Open(ctx, c.DSN, c.ReadOnly); err != nil {
		return nil, err
	}
	db.Ledger = database.LedgerOf(db.data.Read)
	if err := db.start(ctx); err != nil {
		return nil, errors.Join(database.Explain(err), db.data.Close())
	}
	return db, nil
}

func (db *DB) start(ctx context.Context) error {
	if err := db.newest.Refresh(ctx, db.data.Read); err != nil || db.ReadOnly {
		return err
	}
	w := &writer{db: db}
	if err := w.start(ctx); err != nil {
		w.drop()
		return err
	}
	ctx, db.stop = context.WithCancel(context.Background())
	db.running.Go(w.run)
	if db.data.Shared {
		db.running.Go(func() { db.follow(ctx) })
	}
	return nil
}

// Close answers everybody who waits in the queue and closes the database.
// Whoever comes later is refused. A second call does nothing.
func (db *DB) Close() error {
	db.closing.Lock()
	was := db.closed
	db.closed = true
	db.closing.Unlock()
	if was {
		return nil
	}
	close(db.queue)
	if db.stop != nil {
		db.stop()
	}
	db.running.Wait()
	return db.data.Close()
}

// now returns the time in the precision that is kept.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// Directory returns the newest documents that are known here. Changes made by
// other processes are seen within a quarter of a second; decisions always see
// the newest.
func (db *DB) Directory() *writ.Directory { return db.newest.Load().Directory }
