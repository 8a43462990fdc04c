package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/writhq/writ"
	"github.com/writhq/writ/assent"
)

// errUnproven marks a request that the ledger does not bear out. Somebody
// changed the database; nothing is done until it is mended.
var errUnproven = errors.New("run 'writ verify'")

// prove refuses a request unless the ledger bears it out: the events that make
// it what it is are all there are of it under the checkpoint that the ledger's
// key signed, and each approval that was signed is signed by its person's key.
// So whoever can write to the database, and to nothing else, cannot bring about
// a grant. What is pinned holds also against whoever can write the ledger.
//
// It returns the position of the request's last event.
func (w *Worker) prove(ctx context.Context, id writ.ID, r writ.Request) (last int64, err error) {
	if err = w.View.Catch(ctx); err == nil {
		last, err = w.replay(ctx, id, r)
	}
	if err != nil {
		if now, lost := w.Store.Get(ctx, id); lost == nil && now.Seq > r.Seq && w.was(ctx, r) { // an event came between two looks
			return 0, changed(id)
		}
	}
	if err == nil {
		err = w.vouched(r)
	}
	if err := w.alarm(ctx, id, err); err != nil {
		return 0, err
	}
	if err := w.Pins.Check(r); err != nil {
		w.Metrics.refused()
		return 0, fmt.Errorf("%w; %w", err, errUnpinned)
	}
	return last, nil
}

// alarm makes of what could not be proven an end of all trying. A database that
// is down proves nothing, and is no forgery.
func (w *Worker) alarm(ctx context.Context, id writ.ID, err error) error {
	if err == nil || errors.Is(err, writ.Unavailable) || ctx.Err() != nil {
		return err
	}
	w.Metrics.refused()
	return fmt.Errorf("%s is not what the ledger says: %w; %w", id, err, errUnproven)
}

// replay refuses a request that is not what its events in the ledger make it.
func (w *Worker) replay(ctx context.Context, id writ.ID, r writ.Request) (last int64, err error) {
	entries, err := w.Store.Events(ctx, string(id))
	if err != nil {
		return 0, err
	}
	records := make([][]byte, len(entries))
	for i, e := range entries {
		records[i], last = e.Record, e.Pos
	}
	is, err := w.View.Request(id, records)
	switch {
	case err != nil:
		return 0, err
	case !same(is, r):
		return 0, fmt.Errorf("the table says other than the %d events of %s", is.Seq, id)
	}
	return last, nil
}

// was reports whether a request is what its first events made it: then it was so
// a moment ago. One that never was is a forgery, whatever has happened since.
func (w *Worker) was(ctx context.Context, r writ.Request) bool {
	entries, err := w.Store.Events(ctx, string(r.ID))
	if err != nil || len(entries) < r.Seq {
		return false
	}
	var then writ.Request
	for _, e := range entries[:r.Seq] {
		if then, err = then.Apply(e.Event); err != nil {
			return false
		}
	}
	return same(then, r)
}

func changed(id writ.ID) error {
	return writ.Errorf(writ.Unavailable, "%s has changed meanwhile; looking again", id)
}

// witnessed reports whether witnesses have cosigned a checkpoint that covers a
// position. Without witnesses none has.
func (w *Worker) witnessed(ctx context.Context, pos int64) bool {
	if w.Witnessed == nil {
		return false
	}
	size, err := w.Witnessed(ctx)
	if err != nil {
		w.Logger.WarnContext(ctx, "the witnessed checkpoint cannot be read", "err", err)
	}
	return err == nil && pos < size
}

// vouched checks the signature of each approval that has one, by the key as the
// ledger has it. That a stage has approvals as strong as it wants is checked
// with the order.
func (w *Worker) vouched(r writ.Request) error {
	for _, v := range r.Votes {
		if v.Evidence == nil {
			continue
		}
		if err := w.signed(v); err != nil {
			return fmt.Errorf("the approval by %s: %w", v.By.Name, err)
		}
	}
	return nil
}

func (w *Worker) signed(v writ.Vote) error {
	if v.Evidence.Method == writ.ByOIDC { // with an account that is still theirs: one taken away grants nothing more
		who, _ := w.View.Directory().Who(v.By)
		return assent.VerifySignIn(*v.Evidence, who, v.Digest, writ.Yes, v.At)
	}
	var key writ.Key
	if v.Evidence.Key != "" {
		var ok bool
		if key, ok = w.View.Key(v.Evidence.Key, v.Evidence.KeyUID); !ok || key.Party() != v.By {
			return fmt.Errorf("key %s was never one of %s", v.Evidence.Key, v.By.Name)
		}
	}
	return assent.Verify(*v.Evidence, key, v.Digest, writ.Yes)
}

// bears refuses facts whose documents are not those of the ledger: a policy or a
// definition that somebody put into the database.
func (w *Worker) bears(f writ.Facts) error {
	if err := w.View.Bears(f.Directory); err != nil {
		return fmt.Errorf("%w: %w", errAhead, err)
	}
	return nil
}

// errAhead says that the documents of a decision are not those of the ledger as
// far as it was read.
var errAhead = errors.New("documents differ from the ledger's")

// begun decides to begin a grant on documents that the ledger bears out. Some
// that were changed a moment ago are looked at again; what differs after that
// was put there by somebody.
func (w *Worker) begun(ctx context.Context, id writ.ID, c writ.BeginGrant) (r writ.Request, err error) {
	for range 3 {
		if r, err = w.decide(ctx, id, c); !errors.Is(err, errAhead) {
			return r, err
		}
		if caught := w.View.Catch(ctx); caught != nil {
			return r, w.alarm(ctx, id, caught)
		}
	}
	return r, w.alarm(ctx, id, err)
}

// same reports whether two requests say the same.
func same(a, b writ.Request) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}
