package store

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store/database"
)

const (
	requestColumns = "subject, requester, entitlement, target, environment, hold, fixed"
	stateColumns   = "seq, status, task, due, inflight, live, moving"
)

var (
	requests = database.Table{Name: "requests", Columns: "id, " + requestColumns, After: "ON CONFLICT (id) DO UPDATE SET fixed = excluded.fixed"}

	// A request that changed is let go by the worker that held it, unless a call
	// to the target is under way: that one is still the worker's.
	states = database.Table{Name: "states", Columns: "request, busy, " + stateColumns,
		After: `ON CONFLICT (request) DO UPDATE SET seq = excluded.seq, status = excluded.status, task = excluded.task, due = excluded.due,
		busy = CASE WHEN excluded.inflight = 1 THEN states.busy ELSE 0 END, inflight = excluded.inflight, live = excluded.live, moving = excluded.moving`}
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
	return []any{string(t.Subject.UID), string(t.Requester.UID), e.Name, e.Target, e.Environment, string(t.Hold()), string(data)}, err
}

// stateRow returns the values of stateColumns.
func stateRow(r writ.Request) ([]any, error) {
	data, err := json.Marshal(moving{Request: &r})
	var due, live any
	task, at := r.Todo()
	if task != writ.Nothing {
		due = micros(at)
	}
	if r.Status.Live() {
		live = string(r.Terms.Subject.UID)
	}
	inflight := int64(0)
	if r.InFlight {
		inflight = 1
	}
	return []any{int64(r.Seq), string(r.Status), string(task), due, inflight, live, string(data)}, err
}

// decode reads a request from the two columns that hold it.
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

var links = database.Table{Name: "links", Columns: "key, request, waits", After: "ON CONFLICT (key, request) DO UPDATE SET waits = excluded.waits"}

// endKey is the key of a condition.
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
	for _, s := range r.Verdict.Stages {
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

// A projection is the rows that follow from requests, ready to be written.
type projection struct{ requests, states, links []any }

// add adds what is to be written for a request that was as before, or did not
// exist. What it was asked for changes only with the terms, and it never loses
// a link.
func (p *projection) add(before, r writ.Request) error {
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

// write writes the rows.
func (p *projection) write(b *batch) error {
	if err := b.conn.Insert(b.ctx, requests, p.requests); err != nil {
		return err
	}
	if err := b.conn.Insert(b.ctx, states, p.states); err != nil {
		return err
	}
	return b.conn.Insert(b.ctx, links, p.links)
}
