package database

import (
	"context"
	"database/sql"
	"time"
)

// A Load is how much work a database holds.
type Load struct {
	Live    map[string]int // live requests, by status
	Overdue time.Duration  // how long the oldest due task that nobody holds has waited
	Size    int64          // events in the ledger
}

// countLive counts live requests. SQLite would go through all there ever were, in
// the order of an index on status; grouped by an expression it reads the live ones.
const countLive = "SELECT status || '', count(*) FROM states WHERE live IS NOT NULL GROUP BY status || ''"

// LoadOf returns the load at a moment.
func LoadOf(ctx context.Context, q Querier, at time.Time) (Load, error) {
	l := Load{Live: map[string]int{}}
	err := Scan(ctx, q, countLive, nil, func(scan Scanner) error {
		var status string
		var n int
		err := scan(&status, &n)
		l.Live[status] = n
		return err
	})
	if err != nil {
		return l, Explain(err)
	}
	var oldest sql.NullInt64
	err = ScanOne(ctx, q, "SELECT size, (SELECT min(due) FROM states WHERE due <= $1 AND busy <= $1) FROM head", []any{at.UnixMicro()}, &l.Size, &oldest)
	if oldest.Valid {
		l.Overdue = at.Sub(time.UnixMicro(oldest.Int64))
	}
	return l, Explain(err)
}
