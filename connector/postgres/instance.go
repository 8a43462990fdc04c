package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// readInstance reads the number that a cluster gets when it is made. Its standbys
// and whatever is restored from its files share it (PostgreSQL documentation,
// Control Data Functions).
const readInstance = `select 'cluster ' || system_identifier from pg_control_system()`

// Instance returns which server this is. It is asked once: that it still is the
// same one is checked with every order.
func (c *cluster) Instance(ctx context.Context) (string, error) {
	if is := c.instance.Load(); is != nil {
		return *is, nil
	}
	var is string
	err := c.pool.QueryRow(ctx, readInstance).Scan(&is)
	if err == nil {
		c.instance.Store(&is)
	}
	return is, fault(ctx, "ask which server this is", err)
}

// ask scans the row of a query, or returns pgx.ErrNoRows, if this is the server
// that the order is for. It is one exchange with the server.
func (c *cluster) ask(ctx context.Context, o order, query string, args pgx.NamedArgs, fields ...any) error {
	return c.askAfter(ctx, o, "", nil, query, args, fields...)
}

// askAfter asks after a statement that comes first, if any.
func (c *cluster) askAfter(ctx context.Context, o order, first string, values []any, query string, args pgx.NamedArgs, fields ...any) error {
	var batch pgx.Batch
	var is string
	var scanned error
	batch.Queue(readInstance).QueryRow(func(row pgx.Row) error { return row.Scan(&is) })
	if first != "" {
		batch.Queue(first, values...)
	}
	batch.Queue(query, args).QueryRow(func(row pgx.Row) error {
		if scanned = row.Scan(fields...); errors.Is(scanned, pgx.ErrNoRows) {
			return nil
		}
		return scanned
	})
	if err := c.pool.SendBatch(ctx, &batch).Close(); err != nil {
		return err
	}
	if o.Instance != "" && is != o.Instance {
		c.instance.Store(nil)
		return fmt.Errorf("this is %s, but the order is for %s; point the target's configuration to that one", is, o.Instance)
	}
	return scanned
}
