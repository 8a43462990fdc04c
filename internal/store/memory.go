package store

import (
	"database/sql"
	"fmt"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store/cache"
	"github.com/writhq/writ/internal/store/database"
	"github.com/writhq/writ/internal/store/database/projection"
	"github.com/writhq/writ/ledger"
)

// head is the one row that orders all changes.
type head struct {
	size       int64  // number of events
	docs       int64  // position after the newest event of a document
	at         int64  // of the newest event
	checkpoint string // signed note of size
}

// A memory is what the committer remembers of the database. It holds exactly as
// long as the head row is the one it was made for: if another process wrote,
// or a transaction failed, it is made again.
type memory struct {
	head     head
	edge     ledger.Edge
	docs     *projection.Snapshot
	requests cache.Cache[writ.ID, writ.Request]
	live     cache.Roll[writ.UID]    // live requests of each subject
	held     cache.Roll[writ.Digest] // live requests with each Terms.Hold
	kept     time.Time               // of the newest checkpoint in the history
}

// load reads what is behind the head row. A ledger that is not ours to sign,
// or whose tiles do not give the signed root, gets no further event.
func (b *batch) load() (*memory, error) {
	s := &memory{head: b.head, requests: cache.New[writ.ID, writ.Request](), live: cache.NewRoll[writ.UID](), held: cache.NewRoll[writ.Digest]()}
	var err error
	if s.edge, err = b.loadEdge(); err != nil {
		return nil, err
	}
	if s.docs, err = b.db.newest.Load().Next(b.ctx, b.conn, b.head.docs); err != nil {
		return nil, err
	}
	var at sql.NullInt64
	if err := database.ScanOne(b.ctx, b.conn, "SELECT max(at) FROM checkpoints", nil, &at); err != nil {
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
		return ledger.Edge{}, fmt.Errorf("%s cannot go on with this ledger: %w; configure the key it was begun with, or run 'writ verify'", b.db.data, err)
	}
	var tiles []ledger.Tile
	for level, count := 0, b.head.size; count > 0; level, count = level+1, count/ledger.TileWidth {
		t := ledger.Tile{Level: level, N: (count - 1) / ledger.TileWidth}
		if t.Hashes, err = database.LedgerOf(b.conn).Tile(b.ctx, t.Level, t.N); err != nil {
			return ledger.Edge{}, err
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
