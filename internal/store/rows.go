package store

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
)

// A table is one into which rows are written, many with one statement.
type table struct {
	name    string
	columns string
	after   string // what stands after the rows
}

func (t table) width() int { return strings.Count(t.columns, ",") + 1 }

// insert returns the statement for n rows.
func (t table) insert(n int) string {
	return "INSERT INTO " + t.name + " (" + t.columns + ") VALUES " + lists(n, t.width()) + " " + t.after
}

// lists writes n lists of parameters: "($1,$2),($3,$4)".
func lists(n, width int) string {
	var b strings.Builder
	for i := range n * width {
		switch {
		case i == 0:
			b.WriteString("($")
		case i%width == 0:
			b.WriteString("),($")
		default:
			b.WriteString(",$")
		}
		b.WriteString(strconv.Itoa(i + 1))
	}
	b.WriteByte(')')
	return b.String()
}

// maxRows is how many rows one statement writes or looks for. SQLite finds the
// name of a parameter by counting, so a statement with thousands would be slow.
const maxRows = 16

// chunk returns how many of n rows the next statement takes: a power of two,
// so that a handful of prepared statements serves any number.
func chunk(n int) int {
	size := maxRows
	for size > n {
		size /= 2
	}
	return size
}

// A querier reads: the pool, a transaction, or the committer's connection.
type querier interface {
	QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error)
}

type scanner func(to ...any) error

// scanAll calls f for each row of an answer.
func scanAll(ctx context.Context, q querier, text string, args []any, f func(scanner) error) error {
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// eachOf runs a query that ends in IN for all values; width of them, where that
// is more than one, are compared together.
func eachOf(ctx context.Context, q querier, query string, width int, values []any, f func(scanner) error) error {
	for len(values) > 0 {
		n := chunk(len(values) / width)
		list := lists(1, n)
		if width > 1 {
			list = "(VALUES " + lists(n, width) + ")"
		}
		if err := scanAll(ctx, q, query+list, values[:n*width], f); err != nil {
			return err
		}
		values = values[n*width:]
	}
	return nil
}

// insert writes rows, given as all their values one after the other.
func (b *batch) insert(t table, values []any) error {
	for width := t.width(); len(values) > 0; {
		n := chunk(len(values) / width)
		if _, err := b.exec(b.ctx, t.insert(n), values[:n*width]...); err != nil {
			return err
		}
		values = values[n*width:]
	}
	return nil
}

// rows calls f for each row that the batch's transaction sees.
func (b *batch) rows(text string, args []any, f func(scanner) error) error {
	return scanAll(b.ctx, b.writer, text, args, f)
}

// one reads one row, or returns sql.ErrNoRows.
func (b *batch) one(text string, args []any, to ...any) error {
	found := false
	err := b.rows(text, args, func(scan scanner) error {
		found = true
		return scan(to...)
	})
	if err == nil && !found {
		err = sql.ErrNoRows
	}
	return err
}
