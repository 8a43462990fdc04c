// Package projection knows what is derived from the ledger's events: which rows
// follow from a request, how they are made again, and whether those that are
// stored, and the ledger itself, hold.
package projection

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store/database"
)

const (
	requestColumns = "subject, requester, entitlement, target, environment, fixed"
	stateColumns   = "seq, status, task, due, inflight, live, hold, moving"
)

var (
	// Requests is what was asked for.
	Requests = database.Table{Name: "requests", Columns: "id, " + requestColumns, After: "ON CONFLICT (id) DO UPDATE SET fixed = excluded.fixed"}

	// States is what has become of it. A request that changes is let go by the
	// worker that held it, unless a call to the target is under way: that one
	// is still the worker's.
	States = database.Table{Name: "states", Columns: "request, busy, " + stateColumns,
		After: `ON CONFLICT (request) DO UPDATE SET seq = excluded.seq, status = excluded.status, task = excluded.task, due = excluded.due,
		busy = CASE WHEN excluded.inflight = 1 THEN states.busy ELSE 0 END, inflight = excluded.inflight, live = excluded.live, hold = excluded.hold, moving = excluded.moving`}
)

type (
	// fixed is the part of a request that stays as it was asked for.
	fixed struct {
		Terms   *writ.Terms   `json:"terms"`
		Verdict *writ.Verdict `json:"verdict"`
	}
	// moving is all the rest.
	moving struct {
		*writ.Request
		Terms   *struct{} `json:"terms,omitempty"` // hides the Request's
		Verdict *struct{} `json:"verdict,omitempty"`
	}
)

// requestRow returns the values of requestColumns.
func requestRow(r writ.Request) ([]any, error) {
	data, err := json.Marshal(fixed{&r.Terms, &r.Verdict})
	t, e := r.Terms, r.Terms.Entitlement
	return []any{string(t.Subject.UID), string(t.Requester.UID), e.Name, e.Target, e.Environment, string(data)}, err
}

// stateRow returns the values of stateColumns.
func stateRow(r writ.Request) ([]any, error) {
	data, err := json.Marshal(moving{Request: &r})
	var due, live, hold any
	task, at := r.Todo()
	if task != writ.Nothing {
		due = at.UnixMicro()
	}
	if r.Status.Live() {
		live = string(r.Terms.Subject.UID)
		if h := r.Terms.Hold(); h != "" {
			hold = string(h)
		}
	}
	inflight := int64(0)
	if r.InFlight {
		inflight = 1
	}
	return []any{int64(r.Seq), string(r.Status), string(task), due, inflight, live, hold, string(data)}, err
}

// decode reads a request from the columns that hold it.
func decode(asked, became []byte) (r writ.Request, err error) {
	if err = json.Unmarshal(asked, &fixed{&r.Terms, &r.Verdict}); err == nil {
		err = json.Unmarshal(became, &moving{Request: &r})
	}
	if err != nil {
		err = fmt.Errorf("a stored request cannot be read: %w; run 'writ verify'", err)
	}
	return r, err
}

// A link says that a request has to do with somebody, by uid, or with a
// condition that ends it.
type link struct {
	key, request string
	waits        int64 // 1: for this person to decide
}

// Links says for each request what it has to do with.
var Links = database.Table{Name: "links", Columns: "key, request, waits", After: "ON CONFLICT (key, request) DO UPDATE SET waits = excluded.waits"}

// endKey is the key in Links of a condition; that of a person is the uid.
func endKey(condition string) string { return "end:" + condition }

// linksOf returns the links of a request, each once.
func linksOf(r writ.Request) []link {
	if r.Seq == 0 {
		return nil
	}
	var out []link
	at := map[string]int{}
	add := func(key string) {
		if _, ok := at[key]; !ok {
			at[key] = len(out)
			out = append(out, link{key: key, request: string(r.ID)})
		}
	}
	add(string(r.Terms.Requester.UID))
	add(string(r.Terms.Subject.UID))
	for _, s := range r.Asked().Stages {
		for _, a := range s.Approvers {
			add(string(a.UID))
		}
	}
	for _, end := range r.Terms.Ends {
		add(endKey(end))
	}
	for _, a := range r.Waiting() {
		out[at[string(a.UID)]].waits = 1
	}
	return out
}

// Documents has the newest event of each document, also of a removed one.
var Documents = database.Table{Name: "documents", Columns: "stream, pos", After: "ON CONFLICT (stream) DO UPDATE SET pos = excluded.pos"}

// Rows are those that follow from changes, ready to be written.
type Rows struct{ requests, states, links, documents []any }

// Add adds what is to be written for a request that was as before, or did not
// exist. What it was asked for changes only with the terms, and it never loses
// a link.
func (p *Rows) Add(before, r writ.Request) error {
	values, err := stateRow(r)
	if err != nil {
		return err
	}
	p.states = append(append(p.states, string(r.ID), int64(0)), values...)
	if before.Digest != r.Digest {
		if values, err = requestRow(r); err != nil {
			return err
		}
		p.requests = append(append(p.requests, string(r.ID)), values...)
	}
	was := linksOf(before)
	for _, l := range linksOf(r) {
		if !slices.Contains(was, l) {
			p.links = append(p.links, l.key, l.request, l.waits)
		}
	}
	return nil
}

// AddDocument adds that a document changed last at pos.
func (p *Rows) AddDocument(stream string, pos int64) {
	p.documents = append(p.documents, stream, pos)
}

// Write writes the rows.
func (p *Rows) Write(c *database.Conn) {
	c.Insert(Requests, p.requests)
	c.Insert(States, p.states)
	c.Insert(Links, p.links)
	c.Insert(Documents, p.documents)
}
