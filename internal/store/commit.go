package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store/database"
)

// A writer is the committer: the one goroutine of a DB that changes the
// database, and its connection.
type writer struct {
	db     *DB
	conn   *database.Conn
	memory *memory // what the database says; nil if that is not known
	last   int     // how many were answered together
	swept  time.Time
}

// start makes sure that the database is there and that its ledger is ours.
func (w *writer) start(ctx context.Context) error {
	b, err := w.begin(ctx)
	if err == nil && b.head.checkpoint == "" {
		b.wrote, err = true, b.advance() // the empty log has a checkpoint, too
	}
	if err == nil {
		err = b.commit()
	}
	return err
}

// run answers what is queued until the queue is closed and empty.
func (w *writer) run() {
	for first := range w.db.queue {
		w.serve(w.gather(first))
	}
	w.drop()
}

const (
	linger   = 500 * time.Microsecond // a batch waits for those who are expected to join it
	patience = 30 * time.Second       // one transaction on a server that does not answer
)

// gather takes what waits. Those who were answered together tend to come back
// together, a few microseconds later; committing for the first of them alone
// would make all others wait for two commits.
func (w *writer) gather(first *work) []*work {
	works, expected := []*work{first}, w.last
	timer := time.NewTimer(linger)
	defer timer.Stop()
	for len(works) < maxBatch && (len(w.db.queue) > 0 || len(works) < expected) {
		select {
		case next, ok := <-w.db.queue:
			if !ok {
				return works
			}
			works = append(works, next)
		case <-timer.C:
			expected = 0
		}
	}
	return works
}

// serve answers works with one transaction. Where that fails for a reason that
// lies in one of them, each gets a transaction of its own.
func (w *writer) serve(works []*work) {
	waiting := works[:0]
	for _, one := range works {
		if err := one.ctx.Err(); err != nil {
			one.answer(err)
			continue
		}
		waiting = append(waiting, one)
	}
	if len(waiting) == 0 {
		return
	}
	w.last = len(waiting)
	err := w.transact(waiting)
	if err == nil {
		return
	}
	w.db.Logger.Warn("store: a transaction failed", "changes", len(waiting), "err", database.Cause(err))
	if len(waiting) > 1 && !errors.Is(err, writ.Unavailable) {
		for _, one := range waiting {
			w.serve([]*work{one})
		}
		return
	}
	for _, one := range waiting {
		one.request = writ.Request{}
		one.answer(err)
	}
}

func (w *work) answer(err error) {
	w.err = err
	close(w.done)
}

// transact decides and records works, and answers them once that is durable.
// If it returns an error nobody has been told anything.
func (w *writer) transact(works []*work) error {
	ctx := context.Background()
	if w.db.data.Shared && !slices.ContainsFunc(works, func(w *work) bool { return w.long }) { // SQLite has nobody to wait for
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	b, errs, err := w.attempt(ctx, works)
	if err != nil {
		if ctx.Err() != nil {
			err = writ.Errorf(writ.Unavailable, "the database did not answer within %s; whether the change is on record is not known: look before asking again", patience)
		}
		w.drop()
		return database.Explain(err)
	}
	b.publish(works)
	for i, one := range works {
		one.answer(errs[i])
	}
	return nil
}

func (w *writer) attempt(ctx context.Context, works []*work) (*batch, []error, error) {
	b, err := w.begin(ctx)
	if err != nil {
		return nil, nil, err
	}
	errs, err := b.run(works)
	if err != nil {
		return nil, nil, err
	}
	return b, errs, b.commit()
}

// begin opens a transaction, takes the head row and knows what is behind it.
func (w *writer) begin(ctx context.Context) (*batch, error) {
	h, err := w.lock(ctx)
	if err != nil && w.conn != nil { // it may just have been closed while nobody used it
		w.drop()
		h, err = w.lock(ctx)
	}
	if err != nil {
		return nil, err
	}
	b := &batch{writer: w, ctx: ctx, head: h, now: now()}
	newest := time.UnixMicro(h.at).UTC()
	if late := newest.Sub(b.now); late > w.db.Skew {
		return nil, writ.Errorf(writ.Unavailable, "the clock is %s behind the newest event (%s); nothing is decided until it is set right", late.Round(time.Second), newest.Format(time.RFC3339))
	} else if late > 0 {
		b.now = newest
	}
	if w.memory == nil || w.memory.head != h {
		if w.memory, err = b.load(); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (w *writer) lock(ctx context.Context) (h head, err error) {
	if w.conn == nil {
		if w.conn, err = w.db.data.Conn(ctx); err != nil {
			return h, err
		}
	}
	w.conn.Exec("BEGIN")
	text := "UPDATE head SET size = size RETURNING size, docs, at, checkpoint"
	if err = database.ScanOne(ctx, w.conn, text, nil, &h.size, &h.docs, &h.at, &h.checkpoint); errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("%s has lost the row that orders all changes: restore a backup and run 'writ verify'", w.db.data)
	}
	return h, err
}

// drop forgets the connection, with the transaction that may be open on it,
// and all that was remembered: after a failure only the database knows.
func (w *writer) drop() {
	if w.conn != nil {
		w.conn.Close()
	}
	w.conn, w.memory = nil, nil
}
