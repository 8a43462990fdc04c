package store

import (
	"context"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store/database/once"
)

// PutNonce keeps a nonce that is about to be given out, until a Change uses it
// up or its time is over. Every server process that shares the database can
// take what comes back.
func (db *DB) PutNonce(ctx context.Context, n writ.Nonce) error {
	_, err := db.do(&work{ctx: ctx, direct: func(b *batch) error {
		b.wrote = true
		once.Give(b.conn, n)
		return nil
	}})
	return err
}
