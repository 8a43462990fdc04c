package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/writhq/writ"
	"github.com/writhq/writ/ledger"
)

// errUnproven marks a request that the ledger does not bear out. Somebody
// changed the database; nothing is done until it is mended.
var errUnproven = errors.New("run 'writ verify'")

// prove refuses a request unless the ledger bears it out: each of its events
// stands under the checkpoint that the ledger's key signed, and together they
// make the request what it is. So whoever can write to the database, and to
// nothing else, cannot bring about a grant.
func (w *Worker) prove(ctx context.Context, id writ.ID, r writ.Request) error {
	is, err := w.replay(ctx, id, r.Seq)
	if err == nil && !same(is, r) {
		err = fmt.Errorf("the table says other than the %d events of %s", is.Seq, id)
	}
	if err == nil || errors.Is(err, writ.Unavailable) || ctx.Err() != nil {
		return err // a database that is down proves nothing, and is no forgery
	}
	w.Metrics.refused()
	return fmt.Errorf("%s is not what the ledger says: %w; %w", id, err, errUnproven)
}

// replay returns the request as the first n events of its stream make it, if
// all of them are in the ledger.
func (w *Worker) replay(ctx context.Context, id writ.ID, n int) (is writ.Request, err error) {
	entries, err := w.Store.Events(ctx, string(id))
	if err != nil {
		return is, err
	}
	note, err := w.Store.Checkpoint(ctx) // read after the events, so it covers them
	if err != nil {
		return is, err
	}
	head, err := ledger.OpenCheckpoint(note, w.Store.Log.VerifierKey())
	if err != nil {
		return is, err
	}
	tiles := &tiles{Tiles: w.Store, read: map[tile][]byte{}}
	for _, e := range entries[:min(n, len(entries))] {
		proof, err := ledger.Inclusion(ctx, tiles, e.Pos, head.Size)
		if err == nil {
			err = ledger.CheckInclusion(proof, e.Pos, head.Size, ledger.LeafHash(e.Record), head.Root)
		}
		if err == nil {
			is, err = is.Apply(e.Event)
		}
		if err != nil {
			return is, fmt.Errorf("event %d: %w", e.Pos, err)
		}
	}
	return is, nil
}

// same reports whether two requests say the same.
func same(a, b writ.Request) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// tiles reads each tile once: the events of a request stand close together.
type tiles struct {
	ledger.Tiles
	read map[tile][]byte
}

type tile struct {
	level int
	n     int64
}

func (t *tiles) Tile(ctx context.Context, level int, n int64) ([]byte, error) {
	if hashes, ok := t.read[tile{level, n}]; ok {
		return hashes, nil
	}
	hashes, err := t.Tiles.Tile(ctx, level, n)
	if err == nil {
		t.read[tile{level, n}] = hashes
	}
	return hashes, err
}
