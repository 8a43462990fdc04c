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
	for {
		woken, leave := db.wakers.wait(id)
		r, err := db.Get(ctx, id)
		if err != nil || r.Seq > seq {
			leave()
			return r, err
		}
		select {
		case <-woken:
		case <-ctx.Done():
			leave()
			return r, ctx.Err()
		}
	}
}

// wakers are those who wait for a change of a request.
type wakers struct {
	mu sync.Mutex
	on map[writ.ID]*waker
}

type waker struct {
	woken chan struct{}
	n     int
}

// wait returns a channel that closes with the next change of the request.
// Whoever does not wait for it any more leaves.
func (w *wakers) wait(id writ.ID) (woken <-chan struct{}, leave func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.on == nil {
		w.on = map[writ.ID]*waker{}
	}
	one, ok := w.on[id]
	if !ok {
		one = &waker{woken: make(chan struct{})}
		w.on[id] = one
	}
	one.n++
	return one.woken, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if one.n--; one.n == 0 && w.on[id] == one {
			delete(w.on, id)
		}
	}
}

func (w *wakers) wake(ids ...writ.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		if one, ok := w.on[id]; ok {
			close(one.woken)
			delete(w.on, id)
		}
	}
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
	rows, err := db.data.Read.QueryContext(ctx, "SELECT stream FROM events WHERE pos >= $1 AND pos < $2", max(size, now-1000), now)
	if err != nil {
		return size, err
	}
	defer rows.Close()
	for rows.Next() {
		var id writ.ID
		if err := rows.Scan(&id); err != nil {
			return size, err
		}
		db.wakers.wake(id)
	}
	db.ring()
	return now, rows.Err()
}
