package door

import (
	"context"
	"errors"

	"github.com/writhq/writ"
	"github.com/writhq/writ/audit"
	"github.com/writhq/writ/evidence"
	"github.com/writhq/writ/internal/store"
)

// Evidence returns the file that shows anybody what became of a request that the
// caller may see, with its free texts if those are wanted.
func (d *Door) Evidence(ctx context.Context, who Caller, id writ.ID, texts bool) (evidence.File, error) {
	r, err := d.get(ctx, who, id)
	if err != nil {
		return evidence.File{}, err
	}
	var with []evidence.Text
	if texts {
		kept, err := d.keptTexts(ctx, r)
		if err != nil {
			return evidence.File{}, err
		}
		for _, t := range kept {
			with = append(with, evidence.Text{Name: t.Name, Salt: t.Salt, Text: t.Text})
		}
	}
	source, err := d.witnessed(ctx, id)
	if err != nil {
		return evidence.File{}, err
	}
	return evidence.Build(ctx, source, id, evidence.Keys{Log: d.Store.Log.VerifierKey()}, with)
}

// witnessed returns the ledger with the checkpoint that was cosigned, if all
// events of the request are under that.
func (d *Door) witnessed(ctx context.Context, id writ.ID) (evidence.Source, error) {
	size, note, err := d.Store.Witnessed(ctx)
	if err != nil || note == "" {
		return d.Store, err
	}
	entries, err := d.Store.Events(ctx, string(id))
	if err != nil || len(entries) == 0 || entries[len(entries)-1].Pos >= size {
		return d.Store, err
	}
	return cosigned{d.Store, note}, nil
}

// cosigned is the ledger with another checkpoint than its newest.
type cosigned struct {
	*store.DB
	note string
}

// Checkpoint returns the one that was cosigned.
func (c cosigned) Checkpoint(context.Context) (string, error) { return c.note, nil }

// CommitNonce puts the hash of an auditor's nonce on record, once, and says where.
func (d *Door) CommitNonce(ctx context.Context, who Caller, hash writ.Digest) (audit.Commitment, error) {
	for {
		own, err := d.Store.Events(ctx, writ.LedgerStream)
		if err != nil {
			return audit.Commitment{}, err
		}
		known, decided := false, false
		_, err = d.Store.Update(ctx, store.Change{Decide: func(_ writ.Request, f writ.Facts) ([]writ.Event, error) {
			f.Actor, f.Authority = who.Party, d.Judge.Authority(f.Directory, who.Name)
			events, err := writ.DecideCommit(writ.CommitNonce{Hash: hash}, eventsOf(own), f)
			known, decided = err == nil && len(events) == 0, err == nil
			return events, err
		}})
		switch {
		case known:
			return audit.CommitmentOf(hash, own), nil
		case err != nil && !(decided && errors.Is(err, writ.Conflict)): // else another was recorded meanwhile
			return audit.Commitment{}, err
		}
	}
}

func eventsOf(entries []store.Entry) (events []writ.Event) {
	for _, e := range entries {
		events = append(events, e.Event)
	}
	return events
}
