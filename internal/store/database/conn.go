package database

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// A Conn is the one connection that writes, with its transaction. It keeps
// statements back until an answer is needed or the transaction ends, and sends
// them together then: a server is asked once instead of ten times. It is for
// one goroutine.
type Conn struct {
	db      *DB
	conn    *sql.Conn
	stmts   map[string]*sql.Stmt // by text; all texts are few, so each is prepared once
	inserts map[insert]string    // texts, which are long
	waiting []statement
}

type (
	statement struct {
		text string
		args []any
	}
	// An insert is one of some rows into a table.
	insert struct {
		table string
		rows  int
	}
)

// Conn takes the connection that writes.
func (d *DB) Conn(ctx context.Context) (*Conn, error) {
	conn, err := d.Write.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &Conn{db: d, conn: conn, stmts: map[string]*sql.Stmt{}, inserts: map[insert]string{}}, nil
}

// Exec adds a statement to those that are sent next. Its arguments must not
// change until then; whether it succeeds shows then.
func (c *Conn) Exec(text string, args ...any) {
	c.waiting = append(c.waiting, statement{text, args})
}

// Insert adds rows, given as all their values one after the other.
func (c *Conn) Insert(t Table, values []any) {
	for width := t.width(); len(values) > 0; {
		n := chunk(len(values) / width)
		text, ok := c.inserts[insert{t.Name, n}]
		if !ok {
			text = t.insert(n)
			c.inserts[insert{t.Name, n}] = text
		}
		c.Exec(text, values[:n*width]...)
		values = values[n*width:]
	}
}

// QueryContext sends what waits, and then a statement that answers.
func (c *Conn) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	if err := c.flush(ctx); err != nil {
		return nil, err
	}
	s, err := c.prepare(ctx, text)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

// Commit makes durable what was done since BEGIN. If it fails, only looking
// tells whether that is on record.
func (c *Conn) Commit(ctx context.Context) error {
	c.Exec("COMMIT")
	if err := c.flush(ctx); err != nil {
		return uncertain{err}
	}
	return nil
}

// Rollback gives up what was done since BEGIN.
func (c *Conn) Rollback(ctx context.Context) error {
	c.waiting = nil
	c.Exec("ROLLBACK")
	return c.flush(ctx)
}

func (c *Conn) flush(ctx context.Context) error {
	waiting := c.waiting
	c.waiting = nil
	if len(waiting) == 0 {
		return nil
	}
	if c.db.Shared {
		return c.conn.Raw(func(driver any) error { return send(ctx, driver, waiting) })
	}
	for _, w := range waiting {
		s, err := c.prepare(ctx, w.text)
		if err != nil {
			return err
		}
		if _, err := s.ExecContext(ctx, w.args...); err != nil {
			return err
		}
	}
	return nil
}

// send sends statements to PostgreSQL in one go. After one that fails the
// server passes over all others, and so over COMMIT.
func send(ctx context.Context, driver any, all []statement) error {
	conn, ok := driver.(*stdlib.Conn)
	if !ok {
		return fmt.Errorf("database: %T is no connection of pgx", driver)
	}
	var batch pgx.Batch
	for _, s := range all {
		batch.Queue(s.text, s.args...)
	}
	return conn.Conn().SendBatch(ctx, &batch).Close()
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
