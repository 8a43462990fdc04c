package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store/database"
)

// Get returns a request, or writ.NotFound.
func (db *DB) Get(ctx context.Context, id writ.ID) (writ.Request, error) {
	var asked, became []byte
	err := db.data.Read.QueryRowContext(ctx, "SELECT r.fixed, s.moving FROM requests r JOIN states s ON s.request = r.id WHERE r.id = $1", string(id)).Scan(&asked, &became)
	if errors.Is(err, sql.ErrNoRows) {
		return writ.Request{}, writ.Errorf(writ.NotFound, "there is no request %q", id)
	}
	if err != nil {
		return writ.Request{}, database.Explain(err)
	}
	return decode(asked, became)
}

// A Query selects requests. Empty fields select all.
type Query struct {
	Status      []writ.Status // any of these
	Subject     writ.UID
	Requester   writ.UID
	Approver    writ.UID // could decide it next
	Party       writ.UID // asked, is the subject, or is an approver of any stage
	Entitlement string
	Target      string
	Condition   string  // may end it: "incident/INC-7"
	Before      writ.ID // older than this one: the next page
	Limit       int     // at most 1000; 50 if zero
}

// List returns the requests that a query selects, newest first.
func (db *DB) List(ctx context.Context, q Query) ([]writ.Request, error) {
	text, args := q.sql()
	rows, err := db.data.Read.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, database.Explain(err)
	}
	defer rows.Close()
	var out []writ.Request
	for rows.Next() {
		var asked, became sql.RawBytes
		if err := rows.Scan(&asked, &became); err != nil {
			return nil, database.Explain(err)
		}
		r, err := decode(asked, became)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, database.Explain(rows.Err())
}

// sql returns the statement for a query and its arguments. Each way to select
// has an index that ends in the request, so a page is read in its order.
func (q Query) sql() (string, []any) {
	var args []any
	arg := func(value any) string {
		args = append(args, value)
		return "$" + strconv.Itoa(len(args))
	}
	from, id := "requests r JOIN states s ON s.request = r.id", "r.id"
	var where []string
	if len(q.Status) > 0 {
		id = "s.request"
		where = q.status(arg)
	}
	for _, f := range []struct{ column, is string }{
		{"subject", string(q.Subject)}, {"requester", string(q.Requester)}, {"entitlement", q.Entitlement}, {"target", q.Target},
	} {
		if f.is != "" {
			id = "r.id"
			where = append(where, "r."+f.column+" = "+arg(f.is))
		}
	}
	for _, f := range []struct{ table, key, and string }{
		{"c", endKey(q.Condition), ""}, {"p", string(q.Party), ""}, {"w", string(q.Approver), " AND w.waits = 1"},
	} {
		if f.key != "" && f.key != endKey("") {
			id = f.table + ".request"
			from += " JOIN links " + f.table + " ON " + id + " = r.id AND " + f.table + ".key = " + arg(f.key) + f.and
		}
	}
	if q.Before != "" {
		where = append(where, id+" < "+arg(string(q.Before)))
	}
	text := "SELECT r.fixed, s.moving FROM " + from
	if len(where) > 0 {
		text += " WHERE " + strings.Join(where, " AND ")
	}
	limit := q.Limit
	if limit <= 0 {
		limit = 50
	}
	return text + " ORDER BY " + id + " DESC LIMIT " + arg(min(limit, 1000)), args
}

func (q Query) status(arg func(any) string) []string {
	var list []string
	live := true
	for _, s := range q.Status {
		list = append(list, arg(string(s)))
		live = live && s.Live()
	}
	where := []string{"s.status IN (" + strings.Join(list, ", ") + ")"}
	if live {
		where = append(where, "s.live IS NOT NULL") // few are, and they have an index
	}
	if live && q.Subject != "" {
		where = append(where, "s.live = "+arg(string(q.Subject)))
	}
	return where
}

// An Entry is one event of the ledger, with the exact bytes that are hashed.
type Entry struct {
	Pos    int64
	Record []byte
	Event  writ.Event
}

// Events returns the history of a stream: of a request by its ID, of a
// document by Header.Stream, or writ.LedgerStream.
func (db *DB) Events(ctx context.Context, stream string) ([]Entry, error) {
	rows, err := db.data.Read.QueryContext(ctx, "SELECT pos, record FROM events WHERE stream = $1 ORDER BY seq", stream)
	if err != nil {
		return nil, database.Explain(err)
	}
	defer rows.Close()
	var out []Entry
	for rows.Next() {
		var e Entry
		if err := rows.Scan(&e.Pos, &e.Record); err != nil {
			return nil, database.Explain(err)
		}
		if e.Event, err = writ.Decode(e.Record); err != nil {
			return nil, fmt.Errorf("event %d: %w; run 'writ verify'", e.Pos, err)
		}
		out = append(out, e)
	}
	return out, database.Explain(rows.Err())
}
