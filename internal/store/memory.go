package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store/database"
	"github.com/writhq/writ/ledger"
)

// head is the one row that orders all changes.
type head struct {
	size       int64  // number of events
	docs       int64  // position after the newest event of a document
	at         int64  // of the newest event
	checkpoint string // signed note of size
}

// A snapshot is the documents at one position of the ledger. It never changes.
type snapshot struct {
	docs int64 // position after the newest event in it
	dir  *writ.Directory
	seqs map[string]int // last event of each document's stream, also of removed ones
}

// A memory is what the committer remembers of the database. It holds exactly as
// long as the head row is the one it was made for: if another process wrote,
// or a transaction failed, it is made again.
type memory struct {
	head     head
	edge     ledger.Edge
	docs     *snapshot
	requests cache[writ.ID, writ.Request]
	live     cache[writ.UID, []writ.Live] // all live requests of a subject
	kept     time.Time                    // of the newest checkpoint in the history
}

// load reads what is behind the head row. A ledger that is not ours to sign,
// or whose tiles do not give the signed root, gets no further event.
func (b *batch) load() (*memory, error) {
	s := &memory{head: b.head, requests: newCache[writ.ID, writ.Request](), live: newCache[writ.UID, []writ.Live]()}
	var err error
	if s.edge, err = b.loadEdge(); err != nil {
		return nil, err
	}
	if s.docs, err = b.db.snapshot.Load().next(b.ctx, b.conn, b.head.docs); err != nil {
		return nil, err
	}
	var at sql.NullInt64
	if err := b.one("SELECT max(at) FROM checkpoints", nil, &at); err != nil {
		return nil, err
	}
	s.kept = time.UnixMicro(at.Int64)
	return s, nil
}

// loadEdge opens the right edge of the tree and holds it against the checkpoint.
func (b *batch) loadEdge() (ledger.Edge, error) {
	if b.head.checkpoint == "" && b.head.size == 0 {
		return ledger.Edge{}, nil
	}
	signed, err := ledger.OpenCheckpoint(b.head.checkpoint, b.db.Log.VerifierKey())
	if err != nil {
		return ledger.Edge{}, fmt.Errorf("%s cannot go on with this ledger: %w; configure the key it was begun with", b.db.data, err)
	}
	var tiles []ledger.Tile
	for level, count := 0, b.head.size; count > 0; level, count = level+1, count/ledger.TileWidth {
		t := ledger.Tile{Level: level, N: (count - 1) / ledger.TileWidth}
		if err := b.one("SELECT hashes FROM tiles WHERE level = $1 AND n = $2", []any{t.Level, t.N}, &t.Hashes); err != nil {
			return ledger.Edge{}, fmt.Errorf("%s: %s: %w; run 'writ verify'", b.db.data, t.Path(), err)
		}
		tiles = append(tiles, t)
	}
	e, err := ledger.OpenEdge(b.head.size, tiles)
	if err == nil && (signed.Size != e.Size() || signed.Root != e.Root()) {
		err = fmt.Errorf("its checkpoint of %d events does not match its %d events", signed.Size, e.Size())
	}
	if err != nil {
		return ledger.Edge{}, fmt.Errorf("the ledger in %s does not hold: %w; run 'writ verify'", b.db.data, err)
	}
	return e, nil
}

func newSnapshot() *snapshot { return &snapshot{dir: writ.NewDirectory(), seqs: map[string]int{}} }

// next returns the snapshot at a later position, by the documents changed since.
func (s *snapshot) next(ctx context.Context, q database.Querier, docs int64) (*snapshot, error) {
	if s.docs == docs {
		return s, nil
	}
	if s.docs > docs { // an older copy of the database was put in its place
		s = newSnapshot()
	}
	rows, err := q.QueryContext(ctx, "SELECT e.record FROM documents d JOIN events e ON e.pos = d.pos WHERE d.pos >= $1 ORDER BY d.pos", s.docs)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var events []writ.Event
	for rows.Next() {
		var record sql.RawBytes
		if err := rows.Scan(&record); err != nil {
			return nil, err
		}
		e, err := writ.Decode(record)
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return s.with(docs, events...)
}

// with returns the snapshot with events of documents, as it is at docs.
func (s *snapshot) with(docs int64, events ...writ.Event) (*snapshot, error) {
	dir, err := s.dir.With(events...)
	if err != nil {
		return nil, err
	}
	seqs := maps.Clone(s.seqs)
	for _, e := range events {
		seqs[e.Stream] = e.Seq
	}
	return &snapshot{docs, dir, seqs}, nil
}

// refresh brings the snapshot up to what is committed.
func (db *DB) refresh(ctx context.Context) error {
	s := db.snapshot.Load()
	if s == nil {
		s = newSnapshot()
	}
	var docs int64
	if err := db.data.Read.QueryRowContext(ctx, "SELECT docs FROM head").Scan(&docs); err != nil {
		return err
	}
	s, err := s.next(ctx, db.data.Read, docs)
	if err == nil {
		db.show(s)
	}
	return err
}

// show makes a snapshot the one that Directory returns, unless a newer one is.
func (db *DB) show(s *snapshot) {
	for {
		old := db.snapshot.Load()
		if old != nil && old.docs >= s.docs || db.snapshot.CompareAndSwap(old, s) {
			return
		}
	}
}

// A cache holds what was used lately, in two generations.
type cache[K comparable, V any] struct{ young, old map[K]V }

func newCache[K comparable, V any]() cache[K, V] { return cache[K, V]{young: map[K]V{}} }

func (c *cache[K, V]) get(k K) (V, bool) {
	v, ok := c.young[k]
	if !ok {
		if v, ok = c.old[k]; ok {
			c.young[k] = v
		}
	}
	return v, ok
}

func (c *cache[K, V]) put(k K, v V) { c.young[k] = v }

// age begins a new generation when this one has more than max entries. What
// was not used since the one before is forgotten, so it must not run while
// something in the cache is not in the database yet.
func (c *cache[K, V]) age(max int) {
	if len(c.young) > max {
		c.old, c.young = c.young, make(map[K]V, max)
	}
}
