package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store/database"
)

// Get returns a request, or writ.NotFound.
func (db *DB) Get(ctx context.Context, id writ.ID) (writ.Request, error) {
	var body []byte
	err := db.data.Read.QueryRowContext(ctx, "SELECT body FROM requests WHERE id = $1", string(id)).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return writ.Request{}, writ.Errorf(writ.NotFound, "there is no request %q", id)
	}
	if err != nil {
		return writ.Request{}, database.Explain(err)
	}
	return decodeRequest(body)
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
		var body sql.RawBytes
		if err := rows.Scan(&body); err != nil {
			return nil, database.Explain(err)
		}
		r, err := decodeRequest(body)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, database.Explain(rows.Err())
}

// sql returns the statement for a query and its arguments.
func (q Query) sql() (string, []any) {
	var args []any
	var from, where strings.Builder
	from.WriteString("SELECT r.body FROM requests r")
	add := func(b *strings.Builder, text string, arg any) {
		args = append(args, arg)
		fmt.Fprintf(b, text, len(args))
	}
	if q.Party != "" {
		add(&from, " JOIN links p ON p.request = r.id AND p.key = $%d", string(q.Party))
	}
	if q.Approver != "" {
		add(&from, " JOIN links w ON w.request = r.id AND w.waits = 1 AND w.key = $%d", string(q.Approver))
	}
	if q.Condition != "" {
		add(&from, " JOIN links c ON c.request = r.id AND c.key = $%d", endKey(q.Condition))
	}
	for _, f := range []struct{ column, is string }{
		{"subject", string(q.Subject)}, {"requester", string(q.Requester)}, {"entitlement", q.Entitlement}, {"target", q.Target},
	} {
		if f.is != "" {
			add(&where, " AND r."+f.column+" = $%d", f.is)
		}
	}
	if q.Before != "" {
		add(&where, " AND r.id < $%d", string(q.Before))
	}
	q.status(&where, add)
	limit := q.Limit
	if limit <= 0 {
		limit = 50
	}
	add(&where, " ORDER BY r.id DESC LIMIT $%d", min(limit, 1000))
	return from.String() + strings.Replace(where.String(), " AND", " WHERE", 1), args
}

func (q Query) status(where *strings.Builder, add func(*strings.Builder, string, any)) {
	if len(q.Status) == 0 {
		return
	}
	live := true
	for i, s := range q.Status {
		add(where, []string{" AND r.status IN ($%d", ", $%d"}[min(i, 1)], string(s))
		live = live && s.Live()
	}
	where.WriteString(")")
	if live {
		where.WriteString(" AND r.live IS NOT NULL") // their index is small
	}
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
