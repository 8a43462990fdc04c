package store

import (
	"context"
	"math/bits"
	"sync"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store/database"
)

// Stats is what an operator wants to see of a store. Counters are of this
// process since it was opened.
type Stats struct {
	database.Load
	Queued         int // callers that wait in the queue
	Commits        int64
	Decisions      int64     // refused ones, too
	Events         int64     // recorded
	RevokeFailures int64     // recorded
	Batches        [10]int64 // commits that answered at most 1, 2, 4, … 256, more
}

type counters struct {
	mu sync.Mutex
	Stats
}

func (c *counters) add(works []*work, b *batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b.effect() {
		c.Commits++
		c.Batches[min(bits.Len(uint(len(works)-1)), len(c.Batches)-1)]++
	}
	for _, w := range works {
		if w.direct == nil {
			c.Decisions++
		}
	}
	c.Events += int64(len(b.events))
	for _, e := range b.events {
		if _, failed := e.Body.(writ.RevokeFailed); failed {
			c.RevokeFailures++
		}
	}
}

// Stats returns how the store is doing.
func (db *DB) Stats(ctx context.Context) (Stats, error) {
	db.counters.mu.Lock()
	s := db.counters.Stats
	db.counters.mu.Unlock()
	s.Queued = len(db.queue)
	var err error
	s.Load, err = database.LoadOf(ctx, db.data.Read, now())
	return s, err
}
