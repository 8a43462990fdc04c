package store

import (
	"context"
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
	changes := db.wakers.Enter(id)
	defer db.wakers.Leave(id, changes)
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
		if err == nil {
			size = next
		} else if ctx.Err() == nil {
			db.Logger.Warn("store: cannot see what other processes write; trying again", "err", err)
		}
	}
}

// look tells whoever waits in this process about the events since size.
func (db *DB) look(ctx context.Context, size int64) (int64, error) {
	var now int64
	if err := database.ScanOne(ctx, db.data.Read, "SELECT size FROM head", nil, &now); err != nil || now == size {
		return size, err
	}
	if err := db.newest.Refresh(ctx, db.data.Read); err != nil {
		return size, err
	}
	db.ring()
	if now-size > maxSeen {
		db.wakers.WakeAll()
		return now, nil
	}
	return now, database.Scan(ctx, db.data.Read, "SELECT stream FROM events WHERE pos >= $1 AND pos < $2", []any{size, now}, func(scan database.Scanner) error {
		var id writ.ID
		err := scan(&id)
		db.wakers.Wake(id, nil)
		return err
	})
}

// maxSeen is how many events of others are looked at one by one.
const maxSeen = 1000
