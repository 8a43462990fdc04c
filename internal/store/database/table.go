package database

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
)

// A Table is one into which rows are written, many with one statement.
type Table struct {
	Name    string
	Columns string
	After   string // what stands after the rows: ON CONFLICT …
}

func (t Table) width() int { return strings.Count(t.Columns, ",") + 1 }

// insert returns the statement for n rows.
func (t Table) insert(n int) string {
	return "INSERT INTO " + t.Name + " (" + t.Columns + ") VALUES " + lists(n, t.width()) + " " + t.After
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

// maxRows is how many rows one statement writes or looks for.
const maxRows = 64

// chunk returns how many of n rows the next statement takes: a power of two,
// so that a handful of prepared statements serves any number.
func chunk(n int) int {
	size := maxRows
	for size > n {
		size /= 2
	}
	return size
}

// A Querier reads: a pool, a transaction, or a Conn.
type Querier interface {
	QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error)
}

// A Scanner reads one row into pointers to its columns.
type Scanner func(to ...any) error

// Scan calls f for each row of an answer.
func Scan(ctx context.Context, q Querier, text string, args []any, f func(Scanner) error) error {
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

// ScanOne reads one row, or returns sql.ErrNoRows.
func ScanOne(ctx context.Context, q Querier, text string, args []any, to ...any) error {
	found := false
	err := Scan(ctx, q, text, args, func(scan Scanner) error {
		found = true
		return scan(to...)
	})
	if err == nil && !found {
		err = sql.ErrNoRows
	}
	return err
}

// ScanIn runs a query that ends in IN for all values; width of them, where that
// is more than one, are compared together.
func ScanIn(ctx context.Context, q Querier, query string, width int, values []any, f func(Scanner) error) error {
	for len(values) > 0 {
		n := chunk(len(values) / width)
		list := lists(1, n)
		if width > 1 {
			list = "(VALUES " + lists(n, width) + ")"
		}
		if err := Scan(ctx, q, query+list, values[:n*width], f); err != nil {
			return err
		}
		values = values[n*width:]
	}
	return nil
}
