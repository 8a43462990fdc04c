package store

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store/database"
	"github.com/writhq/writ/internal/store/database/once"
	"github.com/writhq/writ/internal/store/database/projection"
	"github.com/writhq/writ/ledger"
)

// A batch is one transaction: what is decided in it, until it is written.
type batch struct {
	*writer
	ctx  context.Context
	now  time.Time // of every event in it
	head head      // before it

	events  []writ.Event
	records [][]byte                 // of events
	docs    map[string]int64         // position of the newest event of each changed document
	changed map[writ.ID]writ.Request // as they were before the batch
	order   []writ.ID                // of changed
	texts   map[textName]Text
	once    *once.Marks
	taken   []writ.ID // whose credential is given out
	wrote   bool      // by statements outside the ledger
}

type textName struct {
	request writ.ID
	name    string
}

// run makes the decisions of works, one after the other, writes what follows
// from them, and then runs the statements that need no decision. The first
// result is what each of works is to be told; the second spoils the batch.
func (b *batch) run(works []*work) ([]error, error) {
	b.docs, b.changed = map[string]int64{}, map[writ.ID]writ.Request{}
	b.texts = map[textName]Text{}
	if err := b.prefetch(works); err != nil {
		return nil, err
	}
	errs := make([]error, len(works))
	for i, w := range works {
		if w.direct != nil {
			continue
		}
		refused, err := b.decide(w)
		if err != nil {
			return nil, err
		}
		errs[i] = refused
	}
	if err := b.write(); err != nil {
		return nil, err
	}
	for i, w := range works {
		if w.direct == nil {
			continue
		}
		errs[i] = w.direct(b)
		if _, refused := errors.AsType[writ.Fault](errs[i]); errs[i] != nil && !refused {
			return nil, errs[i]
		}
	}
	b.sweep()
	return errs, nil
}

// decide makes one decision. Refused is for its caller alone.
func (b *batch) decide(w *work) (refused, err error) {
	c := w.change
	if c.Sealed != nil {
		*c.Sealed = nil // of a transaction that failed
	}
	if c.Key != nil {
		if first, ok := b.once.Used(once.Key{Caller: c.Key.Caller, Key: c.Key.Key}); ok {
			return b.again(w, first)
		}
	}
	r, err := b.request(c.ID)
	if err != nil {
		return nil, err
	}
	f, err := b.facts(r, c.Subject)
	if err != nil {
		return nil, err
	}
	f.Nonce = b.once.Nonce(c.Nonce)
	if f.Waits, err = b.waits(c); err != nil {
		return nil, err
	}
	w.request = r
	s := stage{request: r, docs: b.memory.docs}
	if refused := s.decide(b, c, f); refused != nil {
		return refused, nil
	}
	w.request = s.request
	return nil, b.keep(c, r, s)
}

// again answers a change that was made before with what has become of it.
func (b *batch) again(w *work, first once.Use) (refused, err error) {
	if first.Fingerprint != w.change.Key.Fingerprint {
		return writ.Errorf(writ.Conflict, "key %q was used before with another body; use a new key for a new call", w.change.Key.Key), nil
	}
	w.request, err = b.request(first.Request)
	return nil, err
}

// A stage is what one decision adds to the batch, before it is known to stand.
type stage struct {
	request   writ.Request
	events    []writ.Event
	records   [][]byte
	documents []writ.Event // those of events that change the directory
	docs      *projection.Snapshot
}

// decide asks for the decision and takes it. What panics has decided nothing.
func (s *stage) decide(b *batch, c Change, f writ.Facts) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("store: a decision on %q panicked: %v\n%s", c.ID, p, debug.Stack())
		}
	}()
	events, err := c.Decide(s.request, f)
	if err == nil {
		err = s.take(b, c, events)
	}
	return err
}

// take checks that events can be recorded, one by one in their order.
func (s *stage) take(b *batch, c Change, events []writ.Event) (err error) {
	if err := c.check(); err != nil {
		return err
	}
	for i, e := range events {
		pos := b.pos() + int64(i)
		switch {
		case !e.At.Equal(b.now):
			return fmt.Errorf("store: event %s of %s says another time than its decision", e.Body.Kind(), e.Stream)
		case (pos == 0) != (e.Body.Kind() == projection.Opened):
			return writ.Errorf(writ.Conflict, "a ledger begins with %q and has it once: %s cannot be event %d", projection.Opened, e.Body.Kind(), pos)
		case pos == 0:
			err = b.checkOpened(e)
		case e.OfDocument():
			err = s.document(e)
		case e.OfLedger():
			err = database.LedgerOf(b.conn).Follows(b.ctx, e, b.events)
		case c.ID == "" || e.Stream != string(c.ID):
			err = fmt.Errorf("store: event %s of %s came from a decision on %q", e.Body.Kind(), e.Stream, c.ID)
		default:
			s.request, err = s.request.Apply(e)
		}
		if err != nil {
			return err
		}
		record, err := writ.Encode(e)
		if err != nil {
			return err
		}
		if len(record) > ledger.MaxRecord {
			return writ.Errorf(writ.Invalid, "%s of %s has %d bytes; the ledger takes at most %d: say it shorter", e.Body.Kind(), e.Stream, len(record), ledger.MaxRecord)
		}
		s.records = append(s.records, record)
	}
	s.events = events
	if len(s.documents) > 0 {
		s.docs, err = s.docs.With(b.pos()+int64(len(events)), s.documents...)
	}
	return err
}

// document checks that an event of a document follows the one before.
func (s *stage) document(e writ.Event) error {
	last := s.docs.Seq(e.Stream)
	for _, earlier := range s.documents {
		if earlier.Stream == e.Stream {
			last = earlier.Seq
		}
	}
	if e.Seq != last+1 {
		return writ.Errorf(writ.Conflict, "%s: event %d follows event %d", e.Stream, e.Seq, last)
	}
	s.documents = append(s.documents, e)
	return nil
}

// checkOpened refuses a ledger that would name another key than the one that
// signs it.
func (b *batch) checkOpened(e writ.Event) error {
	o, ok := e.Body.(writ.Opened)
	if !ok || e.Stream != writ.LedgerStream || e.Seq != 1 {
		return fmt.Errorf("store: %s of %s cannot open a ledger", e.Body.Kind(), e.Stream)
	}
	if o.LogKey != b.db.Log.VerifierKey() {
		return writ.Errorf(writ.Invalid, "the ledger is signed with %s, not with %s", b.db.Log.VerifierKey(), o.LogKey)
	}
	return nil
}

// pos is the position of the next event.
func (b *batch) pos() int64 { return b.head.size + int64(len(b.events)) }

// keep adds a decision to the batch. From here on later decisions see it.
func (b *batch) keep(c Change, before writ.Request, s stage) error {
	if c.Key != nil {
		b.once.Use(once.Key{Caller: c.Key.Caller, Key: c.Key.Key}, once.Use{Fingerprint: c.Key.Fingerprint, Request: c.ID})
	}
	if len(s.events) == 0 {
		return nil
	}
	b.once.Spend(c.Nonce)
	for i, e := range s.events {
		if e.OfDocument() {
			b.docs[e.Stream] = b.pos() + int64(i)
		}
	}
	b.events, b.records = append(b.events, s.events...), append(b.records, s.records...)
	b.memory.docs = s.docs
	for _, t := range c.Texts {
		b.texts[textName{t.Request, t.Name}] = t
	}
	if s.request.Seq == before.Seq {
		return nil
	}
	if c.Sealed != nil {
		b.taken = append(b.taken, c.ID)
	}
	if _, ok := b.changed[c.ID]; !ok {
		b.changed[c.ID] = before
		b.order = append(b.order, c.ID)
	}
	b.memory.requests.Put(c.ID, s.request)
	return b.relive(before, s.request)
}
