package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store/database"
)

// Text returns a free text, or writ.NotFound if there is none or it was erased.
func (db *DB) Text(ctx context.Context, id writ.ID, name string) (Text, error) {
	t := Text{Request: id, Name: name}
	err := database.ScanOne(ctx, db.data.Read, "SELECT salt, text FROM texts WHERE request = $1 AND name = $2", []any{string(id), name}, &t.Salt, &t.Text)
	if errors.Is(err, sql.ErrNoRows) {
		return t, writ.Errorf(writ.NotFound, "%s has no text %q; it had none, or it was erased", id, name)
	}
	return t, database.Explain(err)
}

// Erase removes a free text and its salt. What the ledger has of it, a hash,
// says nothing from then on.
func (db *DB) Erase(ctx context.Context, id writ.ID, name string) error {
	_, err := db.do(&work{ctx: ctx, direct: func(b *batch) error {
		b.wrote = true
		b.conn.Exec("DELETE FROM texts WHERE request = $1 AND name = $2", string(id), name)
		return nil
	}})
	return err
}
