package store

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/writhq/writ"
)

// A Change asks for one decision and says what to keep with it.
type Change struct {
	ID      writ.ID  // the request decided on; "" for documents and the ledger's own stream
	Subject writ.Ref // for a request that does not exist yet: whose live requests the facts hold

	// Decide answers with events of the request, of documents or of the ledger
	// itself. It sees the request as it is, the zero Request if there is none,
	// and facts that hold until its events are recorded; it fills in Actor,
	// Verdict and Authority. It must not wait for anything, and it is called
	// again if another change spoiled the transaction. One that panics fails
	// alone.
	Decide func(writ.Request, writ.Facts) ([]writ.Event, error)

	Texts []Text // kept if events result
	Nonce []byte // of a challenge: Facts.Nonce says what it was for, and it is used up if events result
	Key   *Key   // makes the change repeatable

	// Sealed is for a claim: before Decide is called it is set to the sealed
	// credential that waits, which Facts.Waits then tells. If events result the
	// credential is kept no longer. Nil is for all else. What it is set to counts
	// only once Update has succeeded.
	Sealed *[]byte
}

// A Text is free text, of which the ledger holds only the salted hash.
type Text struct {
	Request writ.ID
	Name    string // "why", "deny", "revoke"
	Salt    []byte
	Text    string
}

// A Key makes a change repeatable for two days: the same caller with the same
// key and fingerprint gets the request as it is by then and changes nothing;
// with another fingerprint it gets a writ.Conflict.
type Key struct {
	Caller      writ.UID
	Key         string
	Fingerprint writ.Digest // of all that was asked for
}

// Update makes one decision and records it: all of it or nothing. It returns
// the request as it then is, with the error of Decide if that refused.
//
// When ctx ends first, Update returns its error and the change may still
// happen; one that has not been taken from the queue by then does not. The
// same holds for a writ.Unavailable error: look, or use a Key, before asking
// again.
func (db *DB) Update(ctx context.Context, c Change) (writ.Request, error) {
	return db.do(&work{ctx: ctx, change: c})
}

// work is what one caller waits for: a decision, or statements that need none.
type work struct {
	ctx     context.Context
	change  Change
	direct  func(*batch) error // runs when the decisions of the batch are written
	long    bool               // may take as long as it takes
	request writ.Request       // the answer
	err     error
	done    chan struct{} // closed when request and err are set
}

const (
	maxQueue = 1024 // callers beyond these wait before the queue
	maxBatch = 256  // decisions in one transaction
)

// do queues work and waits for its answer.
func (db *DB) do(w *work) (writ.Request, error) {
	w.done = make(chan struct{})
	if err := db.enter(w); err != nil {
		return writ.Request{}, err
	}
	select {
	case <-w.done:
		return w.request, w.err
	case <-w.ctx.Done(): // w stays the committer's
		return writ.Request{}, w.ctx.Err()
	}
}

func (db *DB) enter(w *work) error {
	db.closing.RLock()
	defer db.closing.RUnlock()
	switch {
	case db.ReadOnly:
		return writ.Errorf(writ.Unavailable, "%s is open for reading only", db.data)
	case db.closed:
		return writ.Errorf(writ.Unavailable, "the server is shutting down; try again at another or later")
	}
	select {
	case db.queue <- w:
		return nil
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
}

// check refuses what no database keeps as it is.
func (c Change) check() error {
	for _, t := range c.Texts {
		if !utf8.ValidString(t.Text) || strings.ContainsRune(t.Text, 0) {
			return writ.Errorf(writ.Invalid, "the text holds characters that are none; send it as UTF-8 without NUL")
		}
	}
	return nil
}
