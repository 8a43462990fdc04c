package store

import (
	"context"
	"fmt"

	"github.com/writhq/writ"
	"github.com/writhq/writ/evidence"
	"github.com/writhq/writ/internal/store/database"
	"github.com/writhq/writ/internal/store/database/projection"
)

// Get returns a request, or writ.NotFound.
func (db *DB) Get(ctx context.Context, id writ.ID) (writ.Request, error) {
	var r writ.Request
	if err := projection.Read(ctx, db.data.Read, []any{string(id)}, func(is writ.Request) { r = is }); err != nil {
		return r, database.Explain(err)
	}
	if r.Seq == 0 {
		return r, writ.Errorf(writ.NotFound, "there is no request %q", id)
	}
	return r, nil
}

// A Query selects requests.
type Query = projection.Query

// List returns the requests that a query selects, newest first.
func (db *DB) List(ctx context.Context, q Query) ([]writ.Request, error) {
	var out []writ.Request
	err := projection.List(ctx, db.data.Read, q, func(r writ.Request) { out = append(out, r) })
	return out, database.Explain(err)
}

// An Entry is one event of the ledger, with the exact bytes that are hashed.
type Entry = evidence.Entry

// Events returns the history of a stream: of a request by its ID, of a
// document by Header.Stream, or writ.LedgerStream.
func (db *DB) Events(ctx context.Context, stream string) ([]Entry, error) {
	var out []Entry
	err := database.Scan(ctx, db.data.Read, "SELECT pos, record FROM events WHERE stream = $1 ORDER BY seq", []any{stream}, func(scan database.Scanner) (err error) {
		var e Entry
		if err = scan(&e.Pos, &e.Record); err != nil {
			return err
		}
		if e.Event, err = writ.Decode(e.Record); err != nil {
			return fmt.Errorf("event %d: %w; run 'writ verify'", e.Pos, err)
		}
		out = append(out, e)
		return nil
	})
	return out, database.Explain(err)
}
