package store

import (
	"context"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store/database"
)

var nonces = database.Table{Name: "nonces", Columns: "nonce, person, request, digest, decision, until"}

// PutNonce keeps a nonce that is about to be given out, until a Change uses it
// up or its time is over. Every server process that shares the database can
// take what comes back.
func (db *DB) PutNonce(ctx context.Context, n writ.Nonce) error {
	_, err := db.do(&work{ctx: ctx, direct: func(b *batch) error {
		b.wrote = true
		b.conn.Insert(nonces, []any{n.Value, string(n.Person), string(n.Request), string(n.Digest), string(n.Decision), n.Until.UnixMicro()})
		return nil
	}})
	return err
}

// spend lets no later decision have a nonce, in this batch or after it.
func (b *batch) spend(nonce []byte) {
	if _, ok := b.nonces[string(nonce)]; ok {
		delete(b.nonces, string(nonce))
		b.spent = append(b.spent, nonce)
	}
}

func (b *batch) readNonces(values []any) error {
	text := "SELECT nonce, person, request, digest, decision, until FROM nonces WHERE nonce IN "
	return database.ScanIn(b.ctx, b.conn, text, 1, values, func(scan database.Scanner) error {
		var n writ.Nonce
		var until int64
		err := scan(&n.Value, &n.Person, &n.Request, &n.Digest, &n.Decision, &until)
		n.Until = time.UnixMicro(until).UTC()
		b.nonces[string(n.Value)] = n
		return err
	})
}
