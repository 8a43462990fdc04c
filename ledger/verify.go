package ledger

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// A Verifier reads a log once, from its first record to its last, and finds the
// first position that does not hold. It keeps in memory the right edge of the
// tree and the checkpoints, and reads each full tile once.
type Verifier struct {
	tiles   Tiles
	ahead   []Checkpoint // not reached yet, by size
	edge    Edge         // of the records read
	full    []Tile       // completed by the newest record
	held    int64        // size of the newest checkpoint that held
	suspect *Fault       // the first found, of which a checkpoint may tell more
	ended   error        // the *Fault that is certain, or why a tile could not be read
}

// NewVerifier returns a verifier that holds a log against these tiles, unless
// they are nil, and against checkpoints in any order: those the log itself has,
// and those that others kept. All come from OpenCheckpoint with a key of this log.
func NewVerifier(tiles Tiles, checkpoints []Checkpoint) *Verifier {
	order := func(a, b Checkpoint) int {
		return cmp.Or(cmp.Compare(a.Size, b.Size), bytes.Compare(a.Root[:], b.Root[:]))
	}
	ahead := slices.SortedFunc(slices.Values(checkpoints), order)
	ahead = slices.CompactFunc(ahead, func(a, b Checkpoint) bool { return order(a, b) == 0 })
	return &Verifier{tiles: tiles, ahead: ahead}
}

// Size returns the number of records read.
func (v *Verifier) Size() int64 { return v.edge.Size() }

// Root returns the root of the records read.
func (v *Verifier) Root() Hash { return v.edge.Root() }

// Add takes the next record, and the index under which it is stored. It returns
// a *Fault once one is certain; any other error is that of reading a tile. After
// an error there is no going on: every later call returns it again. That Add
// returns nil does not mean that the record holds: call Finish.
func (v *Verifier) Add(ctx context.Context, index int64, record []byte) error {
	if err := v.meet(ctx); err != nil {
		return err
	}
	switch next := v.edge.size; {
	case index > next:
		return v.stop(ctx, &Fault{Kind: Missing, Index: next, Why: fmt.Sprintf("the record that follows has index %d", index)})
	case index < next:
		return v.stop(ctx, &Fault{Kind: Moved, Index: next, Why: fmt.Sprintf("a record with index %d stands here", index)})
	}
	v.full = v.edge.add(LeafHash(record), v.full[:0])
	return v.compare(ctx, v.full)
}

// Finish says that there are no more records. It returns nil only if every
// record, every tile over them and every checkpoint hold.
func (v *Verifier) Finish(ctx context.Context) error {
	if err := v.compare(ctx, v.edge.since(0)); err != nil {
		return err
	}
	if err := v.meet(ctx); err != nil {
		return err
	}
	size := v.edge.size
	if len(v.ahead) > 0 {
		return v.stop(ctx, &Fault{Kind: Truncated, Index: size, Why: fmt.Sprintf("the log ends here, but its signer signed a checkpoint of %d records", v.ahead[0].Size)})
	}
	for level := range len(v.edge.right) + 1 {
		n := size >> (tileHeight * (level + 1))
		stored, err := v.read(ctx, level, n)
		if err != nil {
			return err
		}
		if width := len(stored) / tlog.HashSize; width > widthAt(size, level, n) {
			return v.stop(ctx, &Fault{Kind: Truncated, Index: size, Why: fmt.Sprintf("the log ends here, but %s is stored", Path(level, n, width))})
		}
	}
	if v.suspect != nil {
		return v.stop(ctx, v.suspect)
	}
	return nil
}

// read returns the stored hashes of a tile, none if there are no tiles.
func (v *Verifier) read(ctx context.Context, level int, n int64) ([]byte, error) {
	if v.tiles == nil {
		return nil, nil
	}
	hashes, err := v.tiles.Tile(ctx, level, n)
	if err != nil {
		v.ended = fmt.Errorf("ledger: read %s: %w", Path(level, n, TileWidth), err)
	}
	return hashes, v.ended
}

// compare holds tiles made from the records against the stored ones. Which of
// the two is wrong if they differ is known at once where a checkpoint held for
// the records, and otherwise with the next one.
func (v *Verifier) compare(ctx context.Context, tiles []Tile) error {
	for _, t := range tiles {
		if v.tiles == nil || v.suspect != nil {
			return nil
		}
		stored, err := v.read(ctx, t.Level, t.N)
		if err != nil {
			return err
		}
		v.suspect = t.against(stored)
		if v.suspect != nil && v.suspect.end <= v.held {
			v.confirm(v.held)
		}
	}
	return nil
}

// meet holds the records read against the checkpoints of their number, and
// returns how the verifier ended if it has.
func (v *Verifier) meet(ctx context.Context) error {
	for v.ended == nil && len(v.ahead) > 0 && v.ahead[0].Size == v.edge.size {
		c := v.ahead[0]
		if v.ahead = v.ahead[1:]; len(v.ahead) > 0 && v.ahead[0].Size == c.Size {
			return v.stop(ctx, &Fault{Kind: Forked, Index: v.held, Why: fmt.Sprintf("two checkpoints of %d records are signed, with roots %s and %s; the last that held has %d records", c.Size, c.Root, v.ahead[0].Root, v.held)})
		}
		if err := v.weigh(ctx, c); err != nil {
			return err
		}
	}
	return v.ended
}

// weigh draws the conclusion from a checkpoint of the size that is reached.
func (v *Verifier) weigh(ctx context.Context, c Checkpoint) error {
	root := v.edge.Root()
	switch {
	case c.Root == root && v.suspect == nil:
		v.held = c.Size
		return nil
	case c.Root == root && v.suspect.Kind == Rewritten:
		v.suspect.Kind = Forked
		v.suspect.Why += fmt.Sprintf(" there, yet the later checkpoint of %d records confirms them", c.Size)
		v.ended = v.suspect
		return nil
	case c.Root == root:
		v.confirm(c.Size)
		return nil
	}
	if err := v.compare(ctx, v.edge.since(0)); err != nil { // a tile may know which record it is
		return err
	}
	switch {
	case v.ended != nil:
		// an older checkpoint has decided what the tiles show
	case v.suspect == nil:
		v.suspect = &Fault{Kind: Rewritten, Index: v.held, Why: fmt.Sprintf("the checkpoint of %d records has root %s, the records have %s; one of records %d to %d is not what was signed", c.Size, c.Root, root, v.held, c.Size-1)}
	case v.suspect.Kind != Rewritten:
		v.suspect.Why += fmt.Sprintf(", and the checkpoint of %d records does not confirm the record", c.Size)
		v.ended = v.suspect
	}
	return nil
}

// confirm rules that the tile is wrong where it differs, because the records are
// those of the checkpoint of this size.
func (v *Verifier) confirm(size int64) {
	v.suspect.Kind = Altered
	v.suspect.Why += fmt.Sprintf(", but the checkpoint of %d records confirms the record", size)
	v.ended = v.suspect
}

// stop ends with a fault, or with one before it that the last tiles show.
func (v *Verifier) stop(ctx context.Context, f *Fault) error {
	if err := v.compare(ctx, v.edge.since(0)); err != nil {
		return err
	}
	if v.ended == nil {
		v.ended = cmp.Or(v.suspect, f)
	}
	return v.ended
}
