package projection

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store/database"
	"github.com/writhq/writ/ledger"
)

// Keys is what a ledger is held against. It should come from elsewhere than
// the database.
type Keys struct {
	LogKey string   // C2SP verifier key of the checkpoints
	Kept   []string // checkpoints that somebody else kept, signed notes
	Check  Check    // what else must hold; may be nil
}

// A Check refuses an event that does not hold; the request is as it was after
// the event. It is called in order for the events of one request, but for
// several requests at once.
type Check func(pos int64, e writ.Event, r writ.Request) error

// Broken is the first position of the ledger that does not hold. What is
// derived from events stands for the last event it comes from; what comes from
// none, for the position after the last.
type Broken struct {
	Pos  int64
	What string
}

// Error says the position and what is wrong there.
func (b Broken) Error() string { return fmt.Sprintf("event %d: %s", b.Pos, b.What) }

// Verify reads everything once and returns Broken if anything does not hold:
// the tree, its tiles and its checkpoints; the order of each stream; that each
// event may follow the one before; that nothing was authorized without its
// approvals; and that every derived row is what the events say, so that nothing
// that is due can be forgotten. All is read in tx, which should see one moment.
// Progress, unless nil, is told from time to time how much of the work is done.
func Verify(ctx context.Context, tx *sql.Tx, k Keys, progress func(done, total int64)) error {
	a := &audit{ctx: ctx, tx: tx, keys: k, progress: progress}
	for _, part := range []func() error{a.ledger, a.streams, a.extras} {
		if err := part(); err != nil {
			return err
		}
	}
	if a.first != nil {
		return *a.first
	}
	return nil
}

// An audit is one run of Verify.
type audit struct {
	ctx      context.Context
	tx       *sql.Tx
	keys     Keys
	progress func(done, total int64)
	done     int64
	head     database.Head
	first    *Broken          // of what was found
	docs     map[string]int64 // rows of documents without a stream so far
	events   int64            // in all streams
	links    int64            // how many rows there are to be
}

// found keeps the first position; of two at one position, the one found first.
func (a *audit) found(b *Broken) {
	if b != nil && (a.first == nil || b.Pos < a.first.Pos) {
		a.first = b
	}
}

func (a *audit) broken(pos int64, format string, args ...any) {
	a.found(&Broken{pos, fmt.Sprintf(format, args...)})
}

func (a *audit) step(n int) {
	a.done += int64(n)
	if a.progress != nil {
		a.progress(a.done, 2*a.head.Size)
	}
}

// ledger holds the records against the tiles and the checkpoints.
func (a *audit) ledger() error {
	var err error
	if a.head, err = database.LedgerOf(a.tx).Head(a.ctx); err != nil {
		return err
	}
	checkpoints, err := a.checkpoints()
	if err != nil {
		return err
	}
	v := ledger.NewVerifier(database.LedgerOf(a.tx), checkpoints)
	for {
		n, err := a.records(v)
		if err != nil || n == 0 {
			if err == nil {
				err = v.Finish(a.ctx)
			}
			if err = a.fault(err); err != nil {
				return err
			}
			break
		}
		a.step(n)
	}
	if v.Size() != a.head.Size && a.first == nil {
		a.broken(min(v.Size(), a.head.Size), "the head says that there are %d events, but %d are stored", a.head.Size, v.Size())
	}
	return nil
}

// fault takes what the verifier found; any other error is returned.
func (a *audit) fault(err error) error {
	f, ok := errors.AsType[*ledger.Fault](err)
	if ok {
		a.broken(f.Index, "%s: %s", f.Kind, f.Why)
		return nil
	}
	return err
}

// checkpoints returns all that are there, if they are signed.
func (a *audit) checkpoints() ([]ledger.Checkpoint, error) {
	notes := map[int64][]string{a.head.Size: {a.head.Checkpoint}}
	rows, err := a.tx.QueryContext(a.ctx, "SELECT size, note FROM checkpoints UNION ALL SELECT size, note FROM witnessed")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var size int64
		var note string
		if err := rows.Scan(&size, &note); err != nil {
			return nil, err
		}
		notes[size] = append(notes[size], note)
	}
	var out []ledger.Checkpoint
	for size, all := range notes {
		for _, note := range all {
			c, err := ledger.OpenCheckpoint(note, a.keys.LogKey)
			switch {
			case err != nil:
				a.broken(size, "%v", err)
			case c.Size != size:
				a.broken(min(size, c.Size), "the checkpoint stored for %d events is one of %d", size, c.Size)
			default:
				out = append(out, c)
			}
		}
	}
	for _, note := range a.keys.Kept {
		c, err := ledger.OpenCheckpoint(note, a.keys.LogKey)
		if err != nil {
			return nil, err // not the database's fault
		}
		out = append(out, c)
	}
	return out, rows.Err()
}

// records gives the verifier the next records and returns how many.
func (a *audit) records(v *ledger.Verifier) (int, error) {
	page, err := a.readRecords(v.Size())
	if err == nil && len(page) == 0 { // the end, or a gap
		var next sql.NullInt64
		err = database.ScanOne(a.ctx, a.tx, "SELECT min(pos) FROM events WHERE pos >= $1", []any{v.Size()}, &next)
		if err == nil && next.Valid {
			page, err = a.readRecords(next.Int64)
		}
	}
	if err != nil {
		return 0, err
	}
	for i, e := range page {
		if e.pos == 0 {
			a.origin(e.record)
		}
		if err := v.Add(a.ctx, e.pos, e.record); err != nil {
			return i, err
		}
	}
	return len(page), nil
}

// readRecords reads a page by bounds, so that no planner is tempted to read more.
func (a *audit) readRecords(from int64) (page []entry, err error) {
	text := "SELECT pos, record FROM events WHERE pos >= $1 AND pos < $2 ORDER BY pos"
	err = database.Scan(a.ctx, a.tx, text, []any{from, from + pageSize}, func(scan database.Scanner) error {
		var e entry
		err := scan(&e.pos, &e.record)
		page = append(page, e)
		return err
	})
	return page, err
}

// origin checks that the ledger's first event names the key that signs it.
func (a *audit) origin(record []byte) {
	e, err := writ.Decode(record)
	if err != nil {
		return // found again with its stream
	}
	o, ok := e.Body.(writ.Opened)
	switch {
	case !ok:
		a.broken(0, "the ledger begins with %q instead of %q", e.Body.Kind(), Opened)
	case o.LogKey != a.keys.LogKey:
		a.broken(0, "the ledger was opened with key %s, not with %s", o.LogKey, a.keys.LogKey)
	}
}

// streams replays each stream and holds what is derived from it against that.
func (a *audit) streams() error {
	if err := a.readDocuments(); err != nil {
		return err
	}
	return histories(a.ctx, a.tx, a.keys.Check, func(page []*history) error {
		var whole []*history
		for _, h := range page {
			a.events += int64(len(h.entries))
			a.step(len(h.entries))
			if a.found(h.broken); h.broken != nil {
				continue
			}
			switch h.of {
			case "request":
				whole = append(whole, h)
			case "document":
				a.document(h)
			}
		}
		if err := a.rows(whole); err != nil {
			return err
		}
		return a.linked(whole)
	})
}

func (a *audit) readDocuments() error {
	a.docs = map[string]int64{}
	return database.Scan(a.ctx, a.tx, "SELECT stream, pos FROM documents", nil, func(scan database.Scanner) error {
		var stream string
		var pos int64
		err := scan(&stream, &pos)
		a.docs[stream] = pos
		return err
	})
}

func (a *audit) document(h *history) {
	pos, ok := a.docs[h.stream]
	delete(a.docs, h.stream)
	if !ok {
		a.broken(h.last(), "table documents has no row of %s", h.stream)
	} else if pos != h.last() {
		a.broken(h.last(), "table documents says that %s changed last with event %d", h.stream, pos)
	}
}

// rows holds the rows of requests against what their events say.
func (a *audit) rows(all []*history) error {
	want := map[string]*history{}
	var ids []any
	for _, h := range all {
		want[h.stream] = h
		ids = append(ids, h.stream)
	}
	columns := requestColumns + ", " + stateColumns
	err := database.ScanIn(a.ctx, a.tx, "SELECT id, "+columns+" FROM requests JOIN states ON request = id WHERE id IN ", 1, ids, func(scan database.Scanner) error {
		var id string
		is := make([]any, strings.Count(columns, ",")+1)
		to := []any{&id}
		for i := range is {
			to = append(to, &is[i])
		}
		if err := scan(to...); err != nil {
			return err
		}
		h := want[id]
		delete(want, id)
		diff, err := differs(h.request, columns, is)
		if diff != "" {
			a.broken(h.last(), "the stored row of %s differs from its events in %s", id, diff)
		}
		return err
	})
	for id, h := range want {
		a.broken(h.last(), "there is no stored row of %s", id)
	}
	return err
}

// differs names the columns in which a stored row is not what it should be.
// JSON that another version of the program wrote may look different and say
// the same.
func differs(r writ.Request, columns string, is []any) (string, error) {
	should, err := requestRow(r)
	if err != nil {
		return "", err
	}
	state, err := stateRow(r)
	if err != nil {
		return "", err
	}
	should = append(should, state...)
	var names []string
	for i, name := range strings.Split(columns, ", ") {
		if should[i] != is[i] && (name != "fixed" && name != "moving" || !sameJSON(should[i], is[i])) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", "), nil
}

func sameJSON(should, is any) bool {
	var a, b any
	x, _ := should.(string)
	y, _ := is.(string)
	return json.Unmarshal([]byte(x), &a) == nil && json.Unmarshal([]byte(y), &b) == nil && reflect.DeepEqual(a, b)
}

// linked holds the links of requests against what their events say.
func (a *audit) linked(all []*history) error {
	want, of := map[link]bool{}, map[string]*history{}
	var pairs []any
	for _, h := range all {
		of[h.stream] = h
		for _, l := range linksOf(h.request) {
			want[l] = true
			pairs = append(pairs, l.key, l.request)
		}
	}
	a.links += int64(len(want))
	err := database.ScanIn(a.ctx, a.tx, "SELECT key, request, waits FROM links WHERE (key, request) IN ", 2, pairs, func(scan database.Scanner) error {
		var l link
		err := scan(&l.key, &l.request, &l.waits)
		delete(want, l)
		return err
	})
	for l := range want {
		a.broken(of[l.request].last(), "table links does not say of %s and %s what events say", l.request, l.key)
	}
	return err
}

// extras looks for rows that no event accounts for.
func (a *audit) extras() error {
	if a.events > a.head.Size && a.first == nil {
		a.broken(a.head.Size, "%d events are stored, of which the ledger has %d", a.events, a.head.Size)
	}
	for stream := range a.docs {
		a.broken(a.head.Size, "table documents has a row of %s, of which there is no event", stream)
	}
	err := database.Scan(a.ctx, a.tx, `SELECT id FROM (SELECT id FROM requests UNION ALL SELECT request FROM states) AS stored
		WHERE NOT EXISTS (SELECT 1 FROM events WHERE stream = id) LIMIT 1`, nil, func(scan database.Scanner) error {
		var id string
		err := scan(&id)
		a.broken(a.head.Size, "there is a stored row of %s, of which there is no event", id)
		return err
	})
	if err != nil {
		return err
	}
	var n int64
	err = a.tx.QueryRowContext(a.ctx, "SELECT count(*) FROM links").Scan(&n)
	if n > a.links && a.first == nil {
		a.broken(a.head.Size, "table links has %d rows, but events account for %d", n, a.links)
	}
	return err
}
