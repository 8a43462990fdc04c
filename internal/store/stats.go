package store

import (
	"context"
	"database/sql"
	"math/bits"
	"sync"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store/database"
)

// Stats is what an operator wants to see of a store. Counters are of this
// process since it was opened.
type Stats struct {
	Queued  int                 // callers that wait in the queue
	Live    map[writ.Status]int // live requests
	Overdue time.Duration       // how long the oldest due task that nobody holds has waited
	Size    int64               // events in the ledger

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
	s.Queued, s.Live = len(db.queue), map[writ.Status]int{}
	err := database.Scan(ctx, db.data.Read, "SELECT status, count(*) FROM states WHERE live IS NOT NULL GROUP BY status", nil, func(scan database.Scanner) error {
		var status writ.Status
		var n int
		err := scan(&status, &n)
		s.Live[status] = n
		return err
	})
	if err != nil {
		return s, database.Explain(err)
	}
	at, oldest := now(), sql.NullInt64{}
	err = database.ScanOne(ctx, db.data.Read, "SELECT size, (SELECT min(due) FROM states WHERE due <= $1 AND busy <= $1) FROM head", []any{at.UnixMicro()}, &s.Size, &oldest)
	if oldest.Valid {
		s.Overdue = at.Sub(time.UnixMicro(oldest.Int64))
	}
	return s, database.Explain(err)
}
