package database

import (
	"context"
	"database/sql"
	"time"
)

// A Conn is the one connection that writes, with its transaction. All texts
// that it is given are few, so each is prepared once. It is for one goroutine.
type Conn struct {
	db    *DB
	conn  *sql.Conn
	stmts map[string]*sql.Stmt // by text
}

// Conn takes the connection that writes.
func (d *DB) Conn(ctx context.Context) (*Conn, error) {
	conn, err := d.Write.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &Conn{d, conn, map[string]*sql.Stmt{}}, nil
}

// Exec runs a statement.
func (c *Conn) Exec(ctx context.Context, text string, args ...any) error {
	s, err := c.prepare(ctx, text)
	if err != nil {
		return err
	}
	_, err = s.ExecContext(ctx, args...)
	return err
}

// QueryContext runs a statement that answers.
func (c *Conn) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	s, err := c.prepare(ctx, text)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

func (c *Conn) prepare(ctx context.Context, text string) (*sql.Stmt, error) {
	if s, ok := c.stmts[text]; ok {
		return s, nil
	}
	own := text
	if !c.db.Shared {
		own = unnumbered(text)
	}
	s, err := c.conn.PrepareContext(ctx, own)
	if err == nil {
		c.stmts[text] = s
	}
	return s, err
}

// Insert writes rows, given as all their values one after the other.
func (c *Conn) Insert(ctx context.Context, t Table, values []any) error {
	for width := t.width(); len(values) > 0; {
		n := chunk(len(values) / width)
		if err := c.Exec(ctx, t.insert(n), values[:n*width]...); err != nil {
			return err
		}
		values = values[n*width:]
	}
	return nil
}

// Commit makes durable what was done since BEGIN. If it fails, only looking
// tells whether that is on record.
func (c *Conn) Commit(ctx context.Context) error {
	if err := c.Exec(ctx, "COMMIT"); err != nil {
		return uncertain{err}
	}
	return nil
}

// Close gives up the transaction that may be open, and the connection: the
// next Conn gets another. There is nothing to do about one that does not close.
func (c *Conn) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, _ = c.conn.ExecContext(ctx, "ROLLBACK") // fails where nothing is open
	for _, s := range c.stmts {
		_ = s.Close()
	}
	c.db.Write.SetMaxIdleConns(0)
	_ = c.conn.Close()
	c.db.Write.SetMaxIdleConns(1)
}
