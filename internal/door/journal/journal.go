// Package journal is the door's way to the ledger itself: where it ends, and who
// may read which of its records.
package journal

import (
	"context"
	"strings"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/door"
	"github.com/writhq/writ/internal/store"
	"github.com/writhq/writ/ledger"
)

// A Journal reads the ledger behind a door.
type Journal struct{ Door *door.Door }

// A Ledger is where the ledger ends, and who vouches for it.
type Ledger struct {
	ledger.Checkpoint
	Key       string // verifier key of the log
	Note      string // the newest checkpoint, signed
	Witnessed int64  // how many events are under the newest cosigned checkpoint
	Cosigned  string // that checkpoint; empty if there is none
}

// Ledger returns where the ledger ends. Everybody may know: it says nothing of
// what happened.
func (j Journal) Ledger(ctx context.Context) (out Ledger, err error) {
	out.Key = j.Door.Store.Log.VerifierKey()
	if out.Note, err = j.Door.Store.Checkpoint(ctx); err != nil {
		return out, err
	}
	if out.Checkpoint, err = ledger.OpenCheckpoint(out.Note, out.Key); err != nil {
		return out, err
	}
	out.Witnessed, out.Cosigned, err = j.Door.Store.Witnessed(ctx)
	return out, err
}

// mostEvents is how many of the newest events Newest reads.
const mostEvents = 50

// Newest returns the newest events, the newest first, for who may audit.
func (j Journal) Newest(ctx context.Context, who door.Caller) (out []store.Entry, err error) {
	if err := j.auditor(who); err != nil {
		return nil, err
	}
	note, err := j.Ledger(ctx)
	if err != nil {
		return nil, err
	}
	from := max(0, note.Size-mostEvents)
	records, err := j.Door.Store.Entries(ctx, from, note.Size)
	for n, record := range records {
		e, err := writ.Decode(record)
		if err != nil {
			return nil, err
		}
		out = append([]store.Entry{{Pos: from + int64(n), Record: record, Event: e}}, out...)
	}
	return out, err
}

// History returns the events of a request that the caller may see, or, for who
// may audit, of a document ("identity:human/ann") or of the ledger itself.
func (j Journal) History(ctx context.Context, who door.Caller, stream string) ([]store.Entry, error) {
	if err := j.reads(ctx, who, stream); err != nil {
		return nil, err
	}
	return j.Door.Store.Events(ctx, stream)
}

// Record returns one event with the exact bytes that the ledger has of it.
func (j Journal) Record(ctx context.Context, who door.Caller, pos int64) (store.Entry, error) {
	nothing := writ.Errorf(writ.NotFound, "there is no event %d that you may read; auditors read all, others those of their requests", pos)
	records, err := j.Door.Store.Entries(ctx, pos, pos+1)
	if err != nil {
		return store.Entry{}, err
	}
	if len(records) == 0 {
		return store.Entry{}, nothing
	}
	e, err := writ.Decode(records[0])
	if err != nil {
		return store.Entry{}, err
	}
	if j.reads(ctx, who, e.Stream) != nil {
		return store.Entry{}, nothing
	}
	return store.Entry{Pos: pos, Record: records[0], Event: e}, nil
}

// reads refuses whoever may not read a stream.
func (j Journal) reads(ctx context.Context, who door.Caller, stream string) error {
	if !strings.HasPrefix(stream, "req-") {
		return j.auditor(who)
	}
	_, err := j.Door.Show(ctx, who, writ.ID(stream))
	return err
}

func (j Journal) auditor(who door.Caller) error {
	if j.Door.Judge.Authority(j.Door.Store.Directory(), who.Name).Audit {
		return nil
	}
	return writ.Errorf(writ.Forbidden, "%s may not read the ledger's records; policy names who audits", who.Name)
}
