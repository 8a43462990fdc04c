package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store/database"
	"github.com/writhq/writ/internal/store/database/once"
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

// waits reads the credential for a claim, and reports whether there is one.
func (b *batch) waits(c Change) (bool, error) {
	if c.Sealed == nil {
		return false, nil
	}
	err := database.ScanOne(b.ctx, b.conn, "SELECT sealed FROM deliveries WHERE request = $1 AND until > $2", []any{string(c.ID), b.now.UnixMicro()}, c.Sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

var deliveries = database.Table{Name: "deliveries", Columns: "request, attempt, sealed, until", After: "ON CONFLICT (request) DO UPDATE SET attempt = excluded.attempt, sealed = excluded.sealed, until = excluded.until"}

// sweep removes, once an hour, what nobody can ask for any more.
func (b *batch) sweep() {
	if b.now.Sub(b.swept) < time.Hour {
		return
	}
	b.swept, b.wrote = b.now, true
	b.conn.Exec("DELETE FROM deliveries WHERE until <= $1", b.now.UnixMicro())
	once.Sweep(b.conn, b.now)
}
