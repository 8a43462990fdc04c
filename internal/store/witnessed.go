package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store/database"
	"github.com/writhq/writ/ledger"
)

// Witnessed returns the newest checkpoint that was kept with its cosignatures,
// and its size: every event before that position is under it. Where there is
// none the size is 0 and the note is empty. Whoever decides on it holds it
// against the witnesses' keys first: it comes from the database.
func (db *DB) Witnessed(ctx context.Context) (size int64, note string, err error) {
	err = database.ScanOne(ctx, db.data.Read, "SELECT size, note FROM witnessed", nil, &size, &note)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, "", nil
	}
	return size, note, database.Explain(err)
}

// KeepWitnessed keeps a cosigned checkpoint of this ledger, unless a newer one
// is kept already. The cosignatures are the caller's to check.
func (db *DB) KeepWitnessed(ctx context.Context, note string) error {
	c, err := ledger.OpenCheckpoint(note, db.Log.VerifierKey())
	if err != nil {
		return writ.Errorf(writ.Invalid, "%v", err)
	}
	_, err = db.do(&work{ctx: ctx, direct: func(b *batch) error {
		if c.Size > b.pos() {
			return writ.Errorf(writ.Conflict, "a checkpoint of %d events is not of this ledger: it has %d", c.Size, b.pos())
		}
		b.wrote = true
		b.conn.Exec(`INSERT INTO witnessed (one, size, note) VALUES (1, $1, $2)
			ON CONFLICT (one) DO UPDATE SET size = excluded.size, note = excluded.note WHERE excluded.size >= witnessed.size`, c.Size, note)
		return nil
	}})
	return err
}
