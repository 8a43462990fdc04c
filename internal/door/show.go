package door

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store"
)

// A Dossier is all that is known of one request.
type Dossier struct {
	writ.Request
	Task    writ.Task         `json:"task,omitempty"` // what it waits for
	Due     time.Time         `json:"due,omitzero"`
	Waiting []writ.Approver   `json:"waiting,omitempty"` // who could decide next
	Texts   map[string]string `json:"texts,omitempty"`   // why, deny, revoke: kept beside the ledger
	Events  []Event           `json:"events,omitempty"`
}

// An Event is one record of the ledger as it is shown.
type Event struct {
	Pos   int64           `json:"pos"` // in the ledger
	Seq   int             `json:"seq"`
	At    time.Time       `json:"at"`
	Actor writ.Party      `json:"actor"`
	Kind  writ.Kind       `json:"kind"`
	Body  json.RawMessage `json:"body"`
}

func dossier(r writ.Request) Dossier {
	out := Dossier{Request: r, Waiting: r.Waiting()}
	out.Task, out.Due = r.Todo()
	return out
}

// Show returns the dossier of a request that the caller may see.
func (d *Door) Show(ctx context.Context, who Caller, id writ.ID) (Dossier, error) {
	r, err := d.get(ctx, who, id)
	if err != nil {
		return Dossier{}, err
	}
	entries, err := d.Store.Events(ctx, string(id))
	if err != nil {
		return Dossier{}, err
	}
	out := dossier(r)
	for _, e := range entries {
		body, err := json.Marshal(e.Event.Body)
		if err != nil {
			return Dossier{}, err
		}
		out.Events = append(out.Events, Event{e.Pos, e.Event.Seq, e.Event.At, e.Event.Actor, e.Event.Body.Kind(), body})
	}
	out.Texts, err = d.texts(ctx, r)
	return out, err
}

// texts returns the free texts of a request that are still kept.
func (d *Door) texts(ctx context.Context, r writ.Request) (map[string]string, error) {
	kept, err := d.keptTexts(ctx, r)
	out := map[string]string{}
	for _, t := range kept {
		out[t.Name] = t.Text
	}
	return out, err
}

// keptTexts returns them with their salts, ordered by name.
func (d *Door) keptTexts(ctx context.Context, r writ.Request) (out []store.Text, err error) {
	has := map[string]bool{"why": r.Terms.Why != "", "deny": r.Note != "", "revoke": r.Note != "" || r.End != nil && r.End.Note != ""}
	for _, name := range []string{"deny", "revoke", "why"} {
		if !has[name] {
			continue
		}
		t, err := d.Store.Text(ctx, r.ID, name)
		if errors.Is(err, writ.NotFound) { // erased
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

func (d *Door) get(ctx context.Context, who Caller, id writ.ID) (writ.Request, error) {
	r, err := d.Store.Get(ctx, id)
	if errors.Is(err, writ.NotFound) || err == nil && !sees(r, d.facts(who)) {
		return writ.Request{}, unknown(id)
	}
	return r, err
}

// Wait returns the dossier, without texts and events, as soon as the request
// has more than after events, or once it has the status until or can no longer
// get it. When ctx ends first it returns the request as it then is.
func (d *Door) Wait(ctx context.Context, who Caller, id writ.ID, after int, until writ.Status) (Dossier, error) {
	facts := d.facts(who)
	r, err := d.Store.WaitFor(ctx, id, func(r writ.Request) bool {
		return !sees(r, facts) || arrived(r, after, until)
	})
	if errors.Is(err, writ.NotFound) || r.Seq > 0 && !sees(r, facts) {
		return Dossier{}, unknown(id)
	}
	if err != nil && ctx.Err() != nil && r.Seq > 0 {
		err = nil
	}
	return dossier(r), err
}

func arrived(r writ.Request, after int, until writ.Status) bool {
	if until == "" {
		return r.Seq > after
	}
	ending := r.Status == writ.StatusRevoking && until != writ.StatusClosed
	return r.Status == until || ending || !r.Status.Live()
}
