package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/writhq/writ/internal/store/database"
)

// A Head is where the ledger ends.
type Head struct {
	Size       int64     // number of events
	At         time.Time // of the newest event; zero if there is none
	Checkpoint string    // signed note of this size
}

// Head returns where the ledger ends now.
func (db *DB) Head(ctx context.Context) (Head, error) {
	var h Head
	var at int64
	err := db.data.Read.QueryRowContext(ctx, "SELECT size, at, checkpoint FROM head").Scan(&h.Size, &at, &h.Checkpoint)
	if at > 0 {
		h.At = time.UnixMicro(at).UTC()
	}
	return h, database.Explain(err)
}

// Checkpoint returns the newest checkpoint, a signed note.
func (db *DB) Checkpoint(ctx context.Context) (string, error) {
	h, err := db.Head(ctx)
	return h.Checkpoint, err
}

// Tile returns the stored hashes of a tile, or none.
func (db *DB) Tile(ctx context.Context, level int, n int64) (hashes []byte, err error) {
	err = db.data.Read.QueryRowContext(ctx, "SELECT hashes FROM tiles WHERE level = $1 AND n = $2", level, n).Scan(&hashes)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return hashes, database.Explain(err)
}

// Entries returns the records from, from+1, … to-1.
func (db *DB) Entries(ctx context.Context, from, to int64) ([][]byte, error) {
	rows, err := db.data.Read.QueryContext(ctx, "SELECT record FROM events WHERE pos >= $1 AND pos < $2 ORDER BY pos", from, to)
	if err != nil {
		return nil, database.Explain(err)
	}
	defer rows.Close()
	var out [][]byte
	for rows.Next() {
		var record []byte
		if err := rows.Scan(&record); err != nil {
			return nil, database.Explain(err)
		}
		out = append(out, record)
	}
	return out, database.Explain(rows.Err())
}
