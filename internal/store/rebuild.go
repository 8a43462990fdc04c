package store

import (
	"context"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store/database"
)

// Rebuild makes everything that is derived from events again, in one
// transaction: who reads meanwhile sees it as it was. Decisions wait. It
// refuses, with Broken, a ledger that Verify would refuse. Tasks that workers
// hold are let go. Progress, unless nil, is told from time to time how many of
// the events are done.
func (db *DB) Rebuild(ctx context.Context, progress func(done, total int64)) error {
	_, err := db.do(&work{ctx: ctx, long: true, direct: func(b *batch) error {
		b.wrote = true
		return b.rebuild(ctx, progress)
	}})
	return err
}

func (b *batch) rebuild(ctx context.Context, progress func(done, total int64)) error {
	for _, t := range []database.Table{requests, states, links, documents} {
		if err := b.conn.Exec(b.ctx, "DELETE FROM "+t.Name); err != nil {
			return err
		}
	}
	var done int64
	return histories(b.ctx, b.conn, nil, func(page []*history) error {
		if err := ctx.Err(); err != nil {
			return err // whoever asked for it has left
		}
		var p projection
		var docs []any
		for _, h := range page {
			switch {
			case h.broken != nil:
				return *h.broken
			case h.of == "request":
				if err := p.add(writ.Request{}, h.request); err != nil {
					return err
				}
			case h.of == "document":
				docs = append(docs, h.stream, h.last())
			}
			done += int64(len(h.entries))
		}
		if progress != nil {
			progress(done, b.head.size)
		}
		if err := b.conn.Insert(b.ctx, documents, docs); err != nil {
			return err
		}
		return p.write(b)
	})
}
