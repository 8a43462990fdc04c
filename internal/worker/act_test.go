package worker

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/door"
	"github.com/writhq/writ/internal/store"
)

// as returns the caller that a name is now.
func (w *world) as(who writ.Ref) door.Caller {
	return door.Caller{Party: w.store.Directory().Identities[who].Party()}
}

const why = "release 42 of the order service"

// ask asks for access for a machine, by itself.
func (w *world) ask(ctx context.Context, who writ.Ref, entitlement string, lasts time.Duration, more ...func(*door.Ask)) (writ.Request, error) {
	a := door.Ask{Entitlement: entitlement, For: writ.Of(lasts), Why: why}
	for _, change := range more {
		change(&a)
	}
	return w.door.Submit(ctx, w.as(who), a)
}

// agree approves a request as Meg and as Sue.
func (w *world) agree(ctx context.Context, r writ.Request) (writ.Request, error) {
	for _, who := range []writ.Ref{meg, sue} {
		var err error
		if r, err = w.door.Approve(ctx, w.as(who), r.ID, r.Digest); err != nil {
			return r, err
		}
	}
	return r, nil
}

// authorized asks for access and has it approved where that is needed.
func (w *world) authorized(t testing.TB, who writ.Ref, entitlement string, lasts time.Duration, more ...func(*door.Ask)) writ.Request {
	t.Helper()
	r, err := w.ask(t.Context(), who, entitlement, lasts, more...)
	if err == nil && r.Status == writ.StatusPending {
		r, err = w.agree(t.Context(), r)
	}
	if err != nil || r.Status == writ.StatusPending {
		t.Fatalf("%s is %s: %v", r.ID, r.Status, err)
	}
	return r
}

// active asks for access and waits until it exists.
func (w *world) active(t testing.TB, who writ.Ref, entitlement string, lasts time.Duration, more ...func(*door.Ask)) writ.Request {
	t.Helper()
	return w.reach(t, w.authorized(t, who, entitlement, lasts, more...).ID, writ.StatusActive)
}

// patience is how long a test waits for what must come.
const patience = time.Minute

// reach waits until a request has a status.
func (w *world) reach(t testing.TB, id writ.ID, want writ.Status) writ.Request {
	t.Helper()
	r, err := w.await(id, func(r writ.Request) bool { return r.Status == want })
	if err != nil {
		t.Fatalf("%s did not become %s: %v", id, want, err)
	}
	return r
}

// await waits until something is true of a request.
func (w *world) await(id writ.ID, so func(writ.Request) bool) (writ.Request, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for seq := 0; ; {
		r, err := w.store.Wait(ctx, id, seq)
		if err != nil {
			return r, fmt.Errorf("it is %s, attempt %d, problem %q: %w", r.Status, r.Attempt, r.Problem, err)
		}
		if so(r) {
			return r, nil
		}
		seq = r.Seq
	}
}

// get returns a request as it is.
func (w *world) get(t testing.TB, id writ.ID) writ.Request {
	t.Helper()
	r, err := w.store.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// put changes documents.
func (w *world) put(t testing.TB, docs ...writ.Document) {
	t.Helper()
	if _, err := w.door.Put(t.Context(), door.System, door.Put{Documents: encoded(docs...)}); err != nil {
		t.Fatal(err)
	}
}

// all returns every request of some statuses, of all if none is named.
func (w *world) all(t testing.TB, statuses ...writ.Status) (out []writ.Request) {
	t.Helper()
	q := store.Query{Status: statuses, Limit: 500}
	for {
		page, err := w.store.List(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, page...)
		if len(page) < q.Limit {
			return out
		}
		q.Before = page[len(page)-1].ID
	}
}

// kinds returns the life of a request in words.
func (w *world) kinds(t testing.TB, id writ.ID) (out []writ.Kind) {
	t.Helper()
	entries, err := w.store.Events(t.Context(), string(id))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		out = append(out, e.Event.Body.Kind())
	}
	return out
}

// until polls for something that nobody announces.
func until(t testing.TB, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not after %s", what, patience)
		}
	}
}
