package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/writhq/writ"
)

// A writer is the committer: the one goroutine of a DB that changes the
// database, and its connection.
type writer struct {
	db    *DB
	conn  *sql.Conn
	stmts map[string]*sql.Stmt // of conn, by text
	state *state               // what the database says; nil if that is not known
	last  int                  // how many were answered together
	swept time.Time
}

// start makes sure that the database is there and that its ledger is ours.
func (w *writer) start(ctx context.Context) error {
	b, err := w.begin(ctx)
	if err == nil && b.head.checkpoint == "" {
		err = b.advance() // the empty log has a checkpoint, too
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
	if err := w.drop(); err != nil {
		w.db.Logger.Warn("store: the connection did not close cleanly", "err", err)
	}
}

// gather takes what waits. Those who were answered together tend to come back
// together, a few microseconds later; committing for the first of them alone
// would make all others wait for two commits.
func (w *writer) gather(first *work) []*work {
	works := []*work{first}
	timer := time.NewTimer(linger)
	defer timer.Stop()
	for len(works) < maxBatch {
		select {
		case next, ok := <-w.db.queue:
			if !ok {
				return works
			}
			works = append(works, next)
			continue
		default:
		}
		if len(works) >= w.last {
			return works
		}
		select {
		case next, ok := <-w.db.queue:
			if !ok {
				return works
			}
			works = append(works, next)
		case <-timer.C:
			return works
		}
	}
	return works
}

// linger bounds how long a batch waits for those who are expected to join it.
const linger = 500 * time.Microsecond

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
	w.db.Logger.Error("store: a transaction failed", "changes", len(waiting), "err", err)
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
	if w.db.postgres { // SQLite has nobody to wait for
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	b, errs, err := w.attempt(ctx, works)
	if err != nil {
		if ctx.Err() != nil {
			err = writ.Errorf(writ.Unavailable, "the database did not answer within %s; whether the change is on record is not known: look before asking again", patience)
		}
		return explain(errors.Join(err, w.drop()))
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
		_ = w.drop()
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
	if w.state == nil || w.state.head != h {
		if w.state, err = b.load(); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (w *writer) lock(ctx context.Context) (h head, err error) {
	if w.conn == nil {
		if w.conn, err = w.db.write.Conn(ctx); err != nil {
			return h, err
		}
		w.stmts = map[string]*sql.Stmt{}
	}
	if _, err := w.exec(ctx, "BEGIN"); err != nil {
		return h, err
	}
	rows, err := w.QueryContext(ctx, "UPDATE head SET size = size RETURNING size, docs, at, checkpoint")
	if err != nil {
		return h, err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(&h.size, &h.docs, &h.at, &h.checkpoint); err != nil {
			return h, err
		}
	}
	return h, rows.Err()
}

// drop forgets the connection, with the transaction that may be open on it,
// and all that was remembered: after a failure only the database knows.
func (w *writer) drop() (err error) {
	w.state = nil
	if w.conn == nil {
		return nil
	}
	for _, s := range w.stmts {
		_ = s.Close() // with a connection that is lost there is nothing to close
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, _ = w.conn.ExecContext(ctx, "ROLLBACK") // fails where nothing is open
	w.db.write.SetMaxIdleConns(0)              // so that Close does not keep it
	err = w.conn.Close()
	w.db.write.SetMaxIdleConns(1)
	w.conn, w.stmts = nil, nil
	return err
}

// exec runs a statement on the writer's connection. All texts are few, so each
// is prepared once.
func (w *writer) exec(ctx context.Context, text string, args ...any) (sql.Result, error) {
	s, err := w.prepare(ctx, text)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

// QueryContext is exec for a statement that answers.
func (w *writer) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	s, err := w.prepare(ctx, text)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

func (w *writer) prepare(ctx context.Context, text string) (*sql.Stmt, error) {
	if s, ok := w.stmts[text]; ok {
		return s, nil
	}
	s, err := w.conn.PrepareContext(ctx, text)
	if err == nil {
		w.stmts[text] = s
	}
	return s, err
}
