package store

import (
	"database/sql"
	"encoding/json"
	"slices"
	"strings"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store/database"
)

// A row is what table requests says of a request, but for its id and for who
// holds it.
type row struct {
	seq          int64
	status, task string
	due          sql.NullInt64
	inflight     int64
	live         sql.NullString // uid of the subject, until it is over
	subject      string
	requester    string
	entitlement  string
	target       string
	environment  string
	hold         string
	body         string
}

const rowColumns = "seq, status, task, due, inflight, live, subject, requester, entitlement, target, environment, hold, body"

// A request that changed is let go by the worker that held it, unless a call
// to the target is under way: that one is still the worker's.
var requests = database.Table{Name: "requests", Columns: "id, busy, " + rowColumns, After: `ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, status = excluded.status, task = excluded.task, due = excluded.due,
	busy = CASE WHEN excluded.inflight = 1 THEN requests.busy ELSE 0 END, inflight = excluded.inflight, live = excluded.live, body = excluded.body`}

func rowOf(r writ.Request) (row, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return row{}, err
	}
	task, at := r.Todo()
	t, e := r.Terms, r.Terms.Entitlement
	is := row{
		seq: int64(r.Seq), status: string(r.Status), task: string(task), subject: string(t.Subject.UID), requester: string(t.Requester.UID),
		entitlement: e.Name, target: e.Target, environment: e.Environment, hold: string(t.Hold()), body: string(body),
	}
	if task != writ.Nothing {
		is.due = sql.NullInt64{Int64: micros(at), Valid: true}
	}
	if r.InFlight {
		is.inflight = 1
	}
	if r.Status.Live() {
		is.live = sql.NullString{String: is.subject, Valid: true}
	}
	return is, nil
}

func (r *row) values() []any {
	return []any{r.seq, r.status, r.task, r.due, r.inflight, r.live, r.subject, r.requester, r.entitlement, r.target, r.environment, r.hold, r.body}
}

// fields are where a statement's answer is scanned to.
func (r *row) fields() []any {
	return []any{&r.seq, &r.status, &r.task, &r.due, &r.inflight, &r.live, &r.subject, &r.requester, &r.entitlement, &r.target, &r.environment, &r.hold, &r.body}
}

// differs names the columns in which a stored row is not what it should be. A
// body that another version of the program wrote may look different and say
// the same.
func (r *row) differs(is *row) string {
	var names []string
	should, stored := r.values(), is.values()
	for i, name := range strings.Split(rowColumns, ", ") {
		if should[i] != stored[i] && (name != "body" || !sameBody(r.body, is.body)) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

func sameBody(should, is string) bool {
	r, err := decodeRequest([]byte(is))
	if err != nil {
		return false
	}
	again, err := json.Marshal(r)
	return err == nil && string(again) == should
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
type projection struct{ requests, links []any }

// add adds what is to be written for a request that was as before, or did not
// exist. A request never loses a link.
func (p *projection) add(before, r writ.Request) error {
	is, err := rowOf(r)
	if err != nil {
		return err
	}
	p.requests = append(append(p.requests, string(r.ID), int64(0)), is.values()...)
	was := linksOf(before)
	for _, l := range linksOf(r) {
		if !slices.Contains(was, l) {
			p.links = append(p.links, l.key, l.request, l.waits)
		}
	}
	return nil
}

// writeTo writes the rows.
func (p *projection) writeTo(b *batch) error {
	if err := b.conn.Insert(b.ctx, requests, p.requests); err != nil {
		return err
	}
	return b.conn.Insert(b.ctx, links, p.links)
}
