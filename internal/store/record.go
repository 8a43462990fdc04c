package store

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/writhq/writ"
)

// write puts on record what was decided: the events, and what is derived from
// them in the same transaction.
func (b *batch) write() error {
	if err := b.writeRepeats(); err != nil {
		return err
	}
	if len(b.events) == 0 {
		return nil
	}
	rows := make([]any, 0, 4*len(b.events))
	for i, e := range b.events {
		rows = append(rows, b.head.size+int64(i), e.Stream, e.Seq, string(b.records[i]))
	}
	if err := b.insert(events, rows); err != nil {
		return err
	}
	rows = nil
	for stream, pos := range b.docs {
		rows = append(rows, stream, pos)
	}
	if err := b.insert(documents, rows); err != nil {
		return err
	}
	rows = nil
	for _, t := range b.texts {
		rows = append(rows, string(t.Request), t.Name, t.Salt, t.Text)
	}
	if err := b.insert(texts, rows); err != nil {
		return err
	}
	return b.project()
}

func (b *batch) writeRepeats() error {
	var rows []any
	for _, k := range b.used {
		u := b.repeats[k]
		rows = append(rows, string(k.caller), k.key, string(u.fingerprint), string(u.request), micros(b.now))
	}
	return b.insert(repeats, rows)
}

// project writes the rows of the requests that changed.
func (b *batch) project() error {
	var p projection
	var over []string // whose credential nobody may claim any more
	for _, id := range b.order {
		before := b.changed[id]
		after, _ := b.state.requests.get(id)
		if err := p.add(before, after); err != nil {
			return err
		}
		if claimable(before.Status) && !claimable(after.Status) {
			over = append(over, string(id))
		}
	}
	if err := b.insertAll(p); err != nil {
		return err
	}
	return b.each("DELETE FROM deliveries WHERE request IN ", over, nil)
}

func (b *batch) insertAll(p projection) error {
	if err := b.insert(requests, p.requests); err != nil {
		return err
	}
	if err := b.insert(parties, p.parties); err != nil {
		return err
	}
	return b.insert(conditions, p.conditions)
}

// claimable reports whether a credential may be kept for a request.
func claimable(s writ.Status) bool { return s == writ.StatusGranting || s == writ.StatusActive }

// A projection is the rows that follow from requests, ready to be written.
type projection struct{ requests, parties, conditions []any }

// add adds what is to be written for a request that was as before, or did not
// exist.
func (p *projection) add(before, r writ.Request) error {
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	c := columnsOf(r)
	p.requests = append(p.requests, string(r.ID), r.Seq, string(r.Status), c.task, c.due, int64(0), c.inflight, c.live,
		string(r.Terms.Subject.UID), string(r.Terms.Requester.UID), r.Terms.Entitlement.Name, r.Terms.Entitlement.Target,
		r.Terms.Entitlement.Environment, string(r.Terms.Hold()), string(body))
	was := partiesOf(before)
	for person, waits := range partiesOf(r) {
		if old, ok := was[person]; !ok || old != waits {
			p.parties = append(p.parties, string(person), string(r.ID), waits)
		}
	}
	for _, end := range r.Terms.Ends {
		if !slices.Contains(before.Terms.Ends, end) {
			p.conditions = append(p.conditions, end, string(r.ID))
		}
	}
	return nil
}

// columns are those of a request's row that say what happens next.
type columns struct {
	task     string
	due      any // nil: never
	inflight int64
	live     any // nil: it is over
}

func columnsOf(r writ.Request) columns {
	task, at := r.Todo()
	c := columns{task: string(task)}
	if task != writ.Nothing {
		c.due = micros(at)
	}
	if r.InFlight {
		c.inflight = 1
	}
	if r.Status.Live() {
		c.live = string(r.Terms.Subject.UID)
	}
	return c
}

// partiesOf returns who has a part in a request, each with 1 if it waits for them.
func partiesOf(r writ.Request) map[writ.UID]int64 {
	people := map[writ.UID]int64{}
	if r.Seq == 0 {
		return people
	}
	people[r.Terms.Requester.UID], people[r.Terms.Subject.UID] = 0, 0
	for _, s := range r.Verdict.Stages {
		for _, a := range s.Approvers {
			people[a.UID] = 0
		}
	}
	for _, a := range r.Waiting() {
		people[a.UID] = 1
	}
	return people
}

// advance signs for the events of the batch and moves the head.
func (b *batch) advance() error {
	edge, changed, err := b.state.edge.Append(b.records)
	if err != nil {
		return err
	}
	var rows []any
	for _, t := range changed {
		rows = append(rows, t.Level, t.N, t.Hashes)
	}
	if err := b.insert(tiles, rows); err != nil {
		return err
	}
	note, err := b.db.Log.Sign(edge.Size(), edge.Root())
	if err != nil {
		return err
	}
	h := head{edge.Size(), b.state.docs.docs, micros(b.now), note}
	if len(b.events) == 0 {
		h.at = b.head.at
	}
	if b.now.Sub(b.state.kept) >= time.Minute {
		b.state.kept = b.now
		if err := b.insert(checkpoints, []any{h.size, micros(b.now), note}); err != nil {
			return err
		}
	}
	b.state.head, b.state.edge = h, edge
	_, err = b.exec(b.ctx, "UPDATE head SET size = $1, docs = $2, at = $3, checkpoint = $4", h.size, h.docs, h.at, h.checkpoint)
	return err
}

// commit makes the batch durable. One without effect ends without a write.
func (b *batch) commit() error {
	if len(b.events) > 0 {
		if err := b.advance(); err != nil {
			return err
		}
	} else if !b.wrote && len(b.used) == 0 {
		_, err := b.exec(b.ctx, "ROLLBACK")
		return err
	}
	if _, err := b.exec(b.ctx, "COMMIT"); err != nil {
		return uncertain{err}
	}
	b.state.requests.age(maxCached)
	b.state.live.age(maxCached)
	return nil
}

// maxCached is the number of requests, and of lists, in one generation of the
// committer's memory: with two generations about 20 MB.
const maxCached = 1000

// uncertain marks the one failure after which a change may be on record.
type uncertain struct{ error }

func (u uncertain) Unwrap() error { return u.error }

// publish tells this process what was committed.
func (b *batch) publish(works []*work) {
	b.db.counters.add(works, b)
	if len(b.events) == 0 {
		return
	}
	b.db.show(b.state.docs)
	due := false
	for _, id := range b.order {
		r, _ := b.state.requests.get(id)
		task, at := r.Todo()
		due = due || task != writ.Nothing && !at.After(b.now) && !r.InFlight
		b.db.wakers.wake(id)
	}
	if due {
		b.db.ring()
	}
}
