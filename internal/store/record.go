package store

import (
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store/database"
	"github.com/writhq/writ/internal/store/database/projection"
)

var (
	events      = database.Table{Name: "events", Columns: "pos, stream, seq, record"}
	tiles       = database.Table{Name: "tiles", Columns: "level, n, hashes", After: "ON CONFLICT (level, n) DO UPDATE SET hashes = excluded.hashes"}
	checkpoints = database.Table{Name: "checkpoints", Columns: "size, at, note"}
	texts       = database.Table{Name: "texts", Columns: "request, name, salt, text", After: "ON CONFLICT (request, name) DO UPDATE SET salt = excluded.salt, text = excluded.text"}
)

// write puts on record what was decided: the events, and what is derived from
// them in the same transaction.
func (b *batch) write() error {
	b.wrote = b.once.Write(b.conn, b.now) || b.wrote
	var rows []any
	for i, e := range b.events {
		rows = append(rows, b.head.size+int64(i), e.Stream, e.Seq, string(b.records[i]))
	}
	b.conn.Insert(events, rows)
	rows = nil
	for _, t := range b.texts {
		rows = append(rows, string(t.Request), t.Name, t.Salt, t.Text)
	}
	b.conn.Insert(texts, rows)
	return b.project()
}

// project writes the rows of the requests and documents that changed.
func (b *batch) project() error {
	var rows projection.Rows
	for _, id := range b.order {
		before := b.changed[id]
		after, _ := b.memory.requests.Get(id)
		if err := rows.Add(before, after); err != nil {
			return err
		}
		if claimable(before.Status) && !claimable(after.Status) { // nobody may claim its credential any more
			b.taken = append(b.taken, id)
		}
	}
	for _, id := range b.taken {
		b.conn.Exec("DELETE FROM deliveries WHERE request = $1", string(id))
	}
	for stream, pos := range b.docs {
		rows.AddDocument(stream, pos)
	}
	rows.Write(b.conn)
	return nil
}

// claimable reports whether a credential may be kept for a request.
func claimable(s writ.Status) bool { return s == writ.StatusGranting || s == writ.StatusActive }

// advance signs for the events of the batch and moves the head.
func (b *batch) advance() error {
	edge, changed, err := b.memory.edge.Append(b.records)
	if err != nil {
		return err
	}
	var rows []any
	for _, t := range changed {
		rows = append(rows, t.Level, t.N, t.Hashes)
	}
	b.conn.Insert(tiles, rows)
	note, err := b.db.Log.Sign(edge.Size(), edge.Root())
	if err != nil {
		return err
	}
	h := head{edge.Size(), b.memory.docs.Docs, b.now.UnixMicro(), note}
	if len(b.events) == 0 {
		h.at = b.head.at
	}
	if len(b.events) > 0 && b.now.Sub(b.memory.kept) >= time.Minute {
		b.memory.kept = b.now
		b.conn.Insert(checkpoints, []any{h.size, h.at, note})
	}
	b.memory.head, b.memory.edge = h, edge
	b.conn.Exec("UPDATE head SET size = $1, docs = $2, at = $3, checkpoint = $4", h.size, h.docs, h.at, h.checkpoint)
	return nil
}

// commit makes the batch durable. One without effect ends without a write.
func (b *batch) commit() error {
	if !b.effect() {
		return b.conn.Rollback(b.ctx)
	}
	if len(b.events) > 0 {
		if err := b.advance(); err != nil {
			return err
		}
	}
	if err := b.conn.Commit(b.ctx); err != nil {
		return err
	}
	b.memory.requests.Age(maxCached)
	b.memory.live.Age(maxCached)
	b.memory.held.Age(maxCached)
	return nil
}

// effect reports whether there is anything to commit.
func (b *batch) effect() bool { return b.wrote || len(b.events) > 0 }

// maxCached is the number of requests, and of lists, in one generation of the
// committer's memory: with two generations about 20 MB.
const maxCached = 1000

// publish tells this process what was committed.
func (b *batch) publish(works []*work) {
	b.db.counters.add(works, b)
	if len(b.events) == 0 {
		return
	}
	b.db.newest.Show(b.memory.docs)
	due := false
	for _, id := range b.order {
		r, _ := b.memory.requests.Get(id)
		task, at := r.Todo()
		due = due || task != writ.Nothing && !at.After(b.now) && !r.InFlight
		b.db.wakers.Wake(id, &r)
	}
	if due {
		b.db.ring()
	}
}
