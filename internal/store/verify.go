package store

import (
	"context"
	"database/sql"

	"github.com/writhq/writ/internal/store/database"
	"github.com/writhq/writ/internal/store/database/projection"
)

type (
	// Keys is what a ledger is held against.
	Keys = projection.Keys
	// A Check refuses an event that does not hold.
	Check = projection.Check
	// Broken is the first position of the ledger that does not hold.
	Broken = projection.Broken
)

// Verify reads everything once and returns Broken if anything does not hold, in
// the ledger or in what is derived from it, as projection.Verify says. It sees
// one moment of a database in use. Progress, unless nil, is told from time to
// time how much of the work is done.
func (db *DB) Verify(ctx context.Context, k Keys, progress func(done, total int64)) error {
	tx, err := db.data.Read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead})
	if err != nil {
		return database.Explain(err)
	}
	defer tx.Rollback()
	return database.Explain(projection.Verify(ctx, tx, k, progress))
}

// Rebuild makes everything that is derived from events again, in one
// transaction: who reads meanwhile sees it as it was. Decisions wait, and tasks
// that workers hold are let go. It returns Broken, and changes nothing, if the
// events of a request or document do not follow from each other. When ctx ends
// it goes on; end the process to end it. Progress, unless nil, is told from
// time to time how many of the events are done.
func (db *DB) Rebuild(ctx context.Context, progress func(done, total int64)) error {
	_, err := db.do(&work{ctx: ctx, long: true, direct: func(b *batch) error {
		b.wrote = true
		return projection.Rebuild(b.ctx, b.conn, b.head.size, progress)
	}})
	return err
}
