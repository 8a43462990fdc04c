package store

import (
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

var (
	events      = table{"events", "pos, stream, seq, record", ""}
	tiles       = table{"tiles", "level, n, hashes", "ON CONFLICT (level, n) DO UPDATE SET hashes = excluded.hashes"}
	checkpoints = table{"checkpoints", "size, at, note", ""}
	documents   = table{"documents", "stream, pos", "ON CONFLICT (stream) DO UPDATE SET pos = excluded.pos"}
	parties     = table{"parties", "person, request, waits", "ON CONFLICT (person, request) DO UPDATE SET waits = excluded.waits"}
	conditions  = table{"conditions", "condition, request", "ON CONFLICT DO NOTHING"}
	texts       = table{"texts", "request, name, salt, text", "ON CONFLICT (request, name) DO UPDATE SET salt = excluded.salt, text = excluded.text"}
	repeats     = table{"repeats", "caller, key, fingerprint, request, at", ""}

	// A request that changed is let go by the worker that held it, unless a
	// call to the target is under way: that one is still the worker's.
	requests = table{"requests", "id, seq, status, task, due, busy, inflight, live, subject, requester, entitlement, target, environment, hold, body",
		`ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, status = excluded.status, task = excluded.task, due = excluded.due,
		busy = CASE WHEN excluded.inflight = 1 THEN requests.busy ELSE 0 END, inflight = excluded.inflight, live = excluded.live, body = excluded.body`}
)

// insert returns the statement for n rows.
func (t table) insert(n int) string {
	var b strings.Builder
	b.WriteString("INSERT INTO " + t.name + " (" + t.columns + ") VALUES ")
	width := strings.Count(t.columns, ",") + 1
	for row := range n {
		if row > 0 {
			b.WriteByte(',')
		}
		parameters(&b, row*width+1, width)
	}
	b.WriteString(" " + t.after)
	return b.String()
}

// parameters writes "($3,$4,$5)" for from 3 and n 3.
func parameters(b *strings.Builder, from, n int) {
	for i := range n {
		b.WriteByte("(,"[min(i, 1)])
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(from + i))
	}
	b.WriteByte(')')
}

// maxRows is how many rows one statement writes or looks for. They come in
// powers of two, so that a handful of prepared statements serves any number.
const maxRows = 64

// chunk returns the largest power of two that is not above n and maxRows.
func chunk(n int) int {
	size := maxRows
	for size > n {
		size /= 2
	}
	return size
}

// insert writes rows, given as all their values one after the other.
func (b *batch) insert(t table, values []any) error {
	width := strings.Count(t.columns, ",") + 1
	for len(values) > 0 {
		n := chunk(len(values) / width)
		if _, err := b.exec(b.ctx, t.insert(n), values[:n*width]...); err != nil {
			return err
		}
		values = values[n*width:]
	}
	return nil
}

// each runs a query that ends in a list of parameters for all of names.
func (b *batch) each(query string, names []string, f func(scan func(...any) error) error) error {
	for len(names) > 0 {
		n := chunk(len(names))
		var text strings.Builder
		text.WriteString(query)
		parameters(&text, 1, n)
		args := make([]any, n)
		for i, name := range names[:n] {
			args[i] = name
		}
		if err := b.rows(text.String(), args, f); err != nil {
			return err
		}
		names = names[n:]
	}
	return nil
}

func (b *batch) rows(text string, args []any, f func(scan func(...any) error) error) error {
	rows, err := b.QueryContext(b.ctx, text, args...)
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

// one reads one row, or returns sql.ErrNoRows.
func (b *batch) one(text string, args []any, to ...any) error {
	found := false
	err := b.rows(text, args, func(scan func(...any) error) error {
		found = true
		return scan(to...)
	})
	if err == nil && !found {
		err = sql.ErrNoRows
	}
	return err
}
