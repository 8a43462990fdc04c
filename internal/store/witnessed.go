package store

import (
	"context"

	"github.com/writhq/writ"
	"github.com/writhq/writ/ledger"
)

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
