package database

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/writhq/writ"
)

// A Ledger reads the stored log, from a pool or as a transaction sees it.
type Ledger struct{ from Querier }

// LedgerOf returns the ledger as q sees it.
func LedgerOf(q Querier) Ledger { return Ledger{q} }

// A Head is where the ledger ends.
type Head struct {
	Size       int64     // number of events
	At         time.Time // of the newest event; zero if there is none
	Checkpoint string    // signed note of this size
}

// Head returns where the ledger ends now.
func (l Ledger) Head(ctx context.Context) (h Head, err error) {
	var at int64
	err = l.one(ctx, "SELECT size, at, checkpoint FROM head", nil, &h.Size, &at, &h.Checkpoint)
	if at > 0 {
		h.At = time.UnixMicro(at).UTC()
	}
	return h, err
}

// Checkpoint returns the newest checkpoint, a signed note.
func (l Ledger) Checkpoint(ctx context.Context) (string, error) {
	h, err := l.Head(ctx)
	return h.Checkpoint, err
}

// Witnessed returns the newest checkpoint that was kept with its cosignatures,
// and its size: every event before that position is under it. Where there is
// none the size is 0 and the note is empty. Whoever decides on it holds it
// against the witnesses' keys first: it comes from the database.
func (l Ledger) Witnessed(ctx context.Context) (size int64, note string, err error) {
	err = l.one(ctx, "SELECT size, note FROM witnessed", nil, &size, &note)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, "", nil
	}
	return size, note, err
}

// Tile returns the stored hashes of a tile, or none.
func (l Ledger) Tile(ctx context.Context, level int, n int64) (hashes []byte, err error) {
	err = l.one(ctx, "SELECT hashes FROM tiles WHERE level = $1 AND n = $2", []any{level, n}, &hashes)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return hashes, err
}

// Entries returns the records from, from+1, … to-1.
func (l Ledger) Entries(ctx context.Context, from, to int64) (records [][]byte, err error) {
	err = Scan(ctx, l.from, "SELECT record FROM events WHERE pos >= $1 AND pos < $2 ORDER BY pos", []any{from, to}, func(scan Scanner) error {
		var record []byte
		err := scan(&record)
		records = append(records, record)
		return err
	})
	return records, Explain(err)
}

func (l Ledger) one(ctx context.Context, text string, args []any, to ...any) error {
	return Explain(ScanOne(ctx, l.from, text, args, to...))
}

// Streams returns the names of the streams of all documents of a kind, also of
// those that were removed.
func (l Ledger) Streams(ctx context.Context, kind string) (streams []string, err error) {
	err = Scan(ctx, l.from, "SELECT stream FROM documents WHERE stream LIKE $1", []any{kind + ":%"}, func(scan Scanner) error {
		var stream string
		err := scan(&stream)
		streams = append(streams, stream)
		return err
	})
	return streams, Explain(err)
}

// Follows refuses an event of the ledger's own stream that was decided before
// the last one, which may be among those that are about to be written.
func (l Ledger) Follows(ctx context.Context, e writ.Event, before []writ.Event) error {
	var last int
	err := l.one(ctx, "SELECT count(*) FROM events WHERE stream = $1", []any{writ.LedgerStream}, &last)
	if err == nil && (slices.ContainsFunc(before, writ.Event.OfLedger) || e.Stream != writ.LedgerStream || e.Seq != last+1) {
		err = writ.Errorf(writ.Conflict, "the ledger has more than %d events of its own by now; try again", last)
	}
	return err
}

// Kept returns a checkpoint that was kept: the newest that covers no more than
// size records and nothing later than at; or, if after is set, the oldest that
// covers that many and everything until then. It is empty if there is none.
func (l Ledger) Kept(ctx context.Context, size int64, at time.Time, after bool) (note string, err error) {
	text := "SELECT note FROM checkpoints WHERE size <= $1 AND at <= $2 ORDER BY size DESC LIMIT 1"
	if after {
		text = "SELECT note FROM checkpoints WHERE size >= $1 AND at >= $2 ORDER BY size LIMIT 1"
	}
	err = l.one(ctx, text, []any{size, at.UnixMicro()}, &note)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return note, err
}
