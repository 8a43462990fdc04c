package store

import (
	"context"
	"sync"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store/database"
)

// Wait returns a request as soon as it has more than seq events. When ctx ends
// first it returns the request as it is with the error of ctx.
func (db *DB) Wait(ctx context.Context, id writ.ID, seq int) (writ.Request, error) {
	return db.WaitFor(ctx, id, func(r writ.Request) bool { return r.Seq > seq })
}

// WaitFor returns a request as soon as it is as done says. When ctx ends first
// it returns the request as it is with the error of ctx.
func (db *DB) WaitFor(ctx context.Context, id writ.ID, done func(writ.Request) bool) (writ.Request, error) {
	changes := db.wakers.enter(id)
	defer db.wakers.leave(id, changes)
	r, err := db.Get(ctx, id)
	for err == nil && !done(r) {
		select {
		case now := <-changes:
			if now == nil {
				r, err = db.Get(ctx, id)
			} else if now.Seq > r.Seq {
				r = *now
			}
		case <-ctx.Done():
			return r, ctx.Err()
		}
	}
	return r, err
}

// wakers are those who wait for a change of a request.
type wakers struct {
	mu sync.Mutex
	on map[writ.ID]map[waker]bool
}

// A waker holds the newest change that who waits has not taken yet: the request
// after it, or nil where only a look into the database tells.
type waker chan *writ.Request

func (w *wakers) enter(id writ.ID) waker {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.on == nil {
		w.on = map[writ.ID]map[waker]bool{}
	}
	if w.on[id] == nil {
		w.on[id] = map[waker]bool{}
	}
	one := make(waker, 1)
	w.on[id][one] = true
	return one
}

func (w *wakers) leave(id writ.ID, one waker) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if delete(w.on[id], one); len(w.on[id]) == 0 {
		delete(w.on, id)
	}
}

// wake tells who waits for the request what it is now.
func (w *wakers) wake(id writ.ID, now *writ.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for one := range w.on[id] {
		one.set(now)
	}
}

// wakeAll sends everybody who waits to look into the database.
func (w *wakers) wakeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, all := range w.on {
		for one := range all {
			one.set(nil)
		}
	}
}

// set replaces what was not taken yet. Only one goroutine does it at a time.
func (w waker) set(now *writ.Request) {
	select {
	case <-w:
	default:
	}
	w <- now
}

// follow watches for what other processes write: for Directory, Wait and Due.
func (db *DB) follow(ctx context.Context) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	var size int64
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		next, err := db.look(ctx, size)
		if err != nil && ctx.Err() == nil {
			db.Logger.Warn("store: cannot see what other processes write; trying again", "err", database.Explain(err))
			continue
		}
		size = next
	}
}

// look tells whoever waits in this process about the events since size.
func (db *DB) look(ctx context.Context, size int64) (int64, error) {
	var now int64
	if err := db.data.Read.QueryRowContext(ctx, "SELECT size FROM head").Scan(&now); err != nil || now == size {
		return size, err
	}
	if err := db.refresh(ctx); err != nil {
		return size, err
	}
	db.ring()
	if now-size > maxSeen {
		db.wakers.wakeAll()
		return now, nil
	}
	rows, err := db.data.Read.QueryContext(ctx, "SELECT stream FROM events WHERE pos >= $1 AND pos < $2", size, now)
	if err != nil {
		return size, err
	}
	defer rows.Close()
	for rows.Next() {
		var id writ.ID
		if err := rows.Scan(&id); err != nil {
			return size, err
		}
		db.wakers.wake(id, nil)
	}
	return now, rows.Err()
}

// maxSeen is how many events of others are looked at one by one.
const maxSeen = 1000
