package audit

import (
	"context"

	"github.com/writhq/writ"
	"github.com/writhq/writ/ledger"
)

// A Ledger reads records and tiles.
type Ledger interface {
	ledger.Tiles
	// Entries returns the records from, from+1, … to-1, as far as there are any.
	Entries(ctx context.Context, from, to int64) ([][]byte, error)
}

// A Point is a place in a ledger that its key signed for.
type Point struct {
	Size int64       `json:"size"`
	Root ledger.Hash `json:"root"`
	Note string      `json:"note,omitempty"` // the signed checkpoint; none for the empty ledger
}

// Start is the beginning of every ledger, for which nobody has to sign.
func Start() Point { return Point{Root: ledger.Edge{}.Root()} }

// At returns the point that a signed checkpoint is of.
func At(note, key string) (Point, error) {
	c, err := ledger.OpenCheckpoint(note, key)
	return Point{c.Size, c.Root, note}, err
}

// A Period is what was recorded from one point of a ledger to a later one.
type Period struct {
	From Point `json:"from"`
	To   Point `json:"to"`
}

// read hashes every record of the ledger up to the end of the period and calls
// visit for each. Only if read returns nil have they been all, in their order,
// and unchanged: both roots are those that were signed.
func (p Period) read(ctx context.Context, l Ledger, visit func(pos int64, e writ.Event) error) error {
	if p.From.Size > p.To.Size {
		return writ.Errorf(writ.Invalid, "the period begins at record %d and ends at record %d; swap them", p.From.Size, p.To.Size)
	}
	v := ledger.NewVerifier(nil, []ledger.Checkpoint{{Size: p.From.Size, Root: p.From.Root}, {Size: p.To.Size, Root: p.To.Root}})
	for v.Size() < p.To.Size {
		page, err := l.Entries(ctx, v.Size(), min(v.Size()+pageSize, p.To.Size))
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break // Finish says that it ends too early
		}
		for _, record := range page {
			pos := v.Size()
			if err := v.Add(ctx, pos, record); err != nil {
				return err
			}
			e, err := writ.Decode(record)
			if err != nil {
				return writ.Errorf(writ.Stale, "record %d: %v", pos, err)
			}
			if err := visit(pos, e); err != nil {
				return err
			}
		}
	}
	return v.Finish(ctx)
}

const pageSize = 1000 // records read at once
