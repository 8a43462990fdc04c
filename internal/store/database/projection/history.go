package projection

import (
	"context"
	"database/sql"
	"fmt"
	"runtime"
	"sync"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store/database"
)

// A history is all events of one stream, and what they lead to.
type history struct {
	stream  string
	entries []entry
	request writ.Request // after the last event; zero for other streams
	of      string       // what the stream is of: request, document or ledger
	broken  *Broken
}

// An entry is an event as it is stored.
type entry struct {
	pos, seq int64
	record   []byte
}

// last returns the position of the newest event.
func (h *history) last() int64 { return h.entries[len(h.entries)-1].pos }

// histories reads all streams, a few hundred at a time, and folds them. It
// needs no more memory for a long ledger than for a short one.
func histories(ctx context.Context, q database.Querier, check Check, f func([]*history) error) error {
	var after entry
	var stream string
	var rest *history // the stream that the last page ended in
	for {
		page, err := readPage(ctx, q, stream, after.seq)
		if err != nil {
			return err
		}
		done := len(page) == 0
		var whole []*history
		for _, h := range page {
			switch {
			case rest == nil:
			case rest.stream == h.stream:
				h.entries = append(rest.entries, h.entries...)
			default:
				whole = append(whole, rest)
			}
			rest = h
		}
		if done && rest != nil {
			whole, rest = append(whole, rest), nil
		}
		foldAll(whole, check)
		if err := f(whole); err != nil || done {
			return err
		}
		stream, after = rest.stream, rest.entries[len(rest.entries)-1]
	}
}

const pageSize = 2000 // events read at once

// readPage reads the next events in the order of streams; the last stream of a
// page may go on in the next.
func readPage(ctx context.Context, q database.Querier, stream string, seq int64) ([]*history, error) {
	rows, err := q.QueryContext(ctx, "SELECT stream, seq, pos, record FROM events WHERE (stream, seq) > ($1, $2) ORDER BY stream, seq LIMIT $3", stream, seq, pageSize)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var page []*history
	for rows.Next() {
		var name sql.RawBytes
		var e entry
		if err := rows.Scan(&name, &e.seq, &e.pos, &e.record); err != nil {
			return nil, err
		}
		if len(page) == 0 || page[len(page)-1].stream != string(name) {
			page = append(page, &history{stream: string(name)})
		}
		h := page[len(page)-1]
		h.entries = append(h.entries, e)
	}
	return page, rows.Err()
}

// foldAll folds histories on all processors.
func foldAll(all []*history, check Check) {
	next := make(chan *history)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for h := range next {
				h.fold(check)
			}
		})
	}
	for _, h := range all {
		next <- h
	}
	close(next)
	workers.Wait()
}

// Opened is the kind of the first event of every ledger.
const Opened writ.Kind = "opened"

// fold replays a history and stops at the first event that does not hold.
func (h *history) fold(check Check) {
	for i, e := range h.entries {
		if err := h.replay(i, e, check); err != nil {
			h.broken = &Broken{e.pos, err.Error()}
			return
		}
	}
}

func (h *history) replay(i int, e entry, check Check) error {
	event, err := writ.Decode(e.record)
	switch {
	case err != nil:
		return err
	case event.Stream != h.stream || int64(event.Seq) != e.seq:
		return fmt.Errorf("it is stored as event %d of %s, but says of itself that it is event %d of %s", e.seq, h.stream, event.Seq, event.Stream)
	case e.seq != int64(i)+1:
		return fmt.Errorf("event %d of %s follows event %d", e.seq, h.stream, i)
	}
	of := "request"
	switch {
	case event.OfLedger():
		of = "ledger"
	case event.OfDocument():
		of = "document"
	}
	if i > 0 && of != h.of {
		return fmt.Errorf("%s is no event of a %s", event.Body.Kind(), h.of)
	}
	if h.of = of; of != "request" {
		return nil
	}
	if h.request, err = h.request.Apply(event); err != nil {
		return err
	}
	if event.Body.Kind() == "authorized" {
		if err = h.request.Vouched(); err != nil {
			err = fmt.Errorf("it was authorized, but: %w", err)
		}
	}
	if err == nil && check != nil {
		err = check(e.pos, event, h.request)
	}
	return err
}
