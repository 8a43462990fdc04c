package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store/database"
)

// A Delivery is a sealed credential that waits to be claimed.
type Delivery struct {
	Request writ.ID
	Attempt int // the call to the target that made it
	Sealed  []byte
	Until   time.Time // nobody can claim it after that
}

// PutDelivery keeps a sealed credential in place of the one before. It is
// refused with writ.Conflict once the request is over or another call to the
// target has begun: what that call makes is what will be claimed.
func (db *DB) PutDelivery(ctx context.Context, d Delivery) error {
	_, err := db.do(&work{ctx: ctx, direct: func(b *batch) error {
		r, err := b.request(d.Request)
		if err != nil {
			return err
		}
		if !claimable(r.Status) || d.Attempt != r.Attempt {
			return writ.Errorf(writ.Conflict, "the credential of attempt %d is not kept: %s is %s at attempt %d", d.Attempt, d.Request, r.Status, r.Attempt)
		}
		b.wrote = true
		b.conn.Insert(deliveries, []any{string(d.Request), d.Attempt, d.Sealed, d.Until.UnixMicro()})
		return nil
	}})
	return err
}

// TakeDelivery returns a sealed credential and keeps it no longer: whoever
// calls it next gets writ.NotFound.
func (db *DB) TakeDelivery(ctx context.Context, id writ.ID) ([]byte, error) {
	var sealed []byte
	_, err := db.do(&work{ctx: ctx, direct: func(b *batch) error {
		sealed = nil
		err := database.ScanOne(b.ctx, b.conn, "DELETE FROM deliveries WHERE request = $1 AND until > $2 RETURNING sealed", []any{string(id), b.now.UnixMicro()}, &sealed)
		if errors.Is(err, sql.ErrNoRows) {
			return writ.Errorf(writ.NotFound, "no credential waits for %s; it was taken, or its time was up", id)
		}
		b.wrote = true
		return err
	}})
	if err != nil {
		return nil, err
	}
	return sealed, nil
}

var deliveries = database.Table{Name: "deliveries", Columns: "request, attempt, sealed, until", After: "ON CONFLICT (request) DO UPDATE SET attempt = excluded.attempt, sealed = excluded.sealed, until = excluded.until"}

// sweep removes, once an hour, what nobody can ask for any more.
func (b *batch) sweep() {
	if b.now.Sub(b.swept) < time.Hour {
		return
	}
	b.swept, b.wrote = b.now, true
	b.conn.Exec("DELETE FROM deliveries WHERE until <= $1", b.now.UnixMicro())
	b.conn.Exec("DELETE FROM nonces WHERE until <= $1", b.now.UnixMicro())
	b.conn.Exec("DELETE FROM repeats WHERE at < $1", b.now.Add(-repeatable).UnixMicro())
}

// repeatable is how long an idempotency key is known.
const repeatable = 48 * time.Hour
