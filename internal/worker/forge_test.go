package worker

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store"
)

// database opens the SQLite file of a world that is shut, as somebody who has
// the file has it.
func database(t testing.TB, s setup) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(s.Dir, "writ.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func execute(t testing.TB, db *sql.DB, text string, args ...any) {
	t.Helper()
	result, err := db.ExecContext(t.Context(), text, args...)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		t.Fatalf("%s changed nothing: %v", text, err)
	}
}

// alter changes what the tables say of a request behind everybody's back, with
// all that follows from the change: whoever forges takes care.
func alter(t testing.TB, s setup, id writ.ID, change func(*writ.Request)) {
	t.Helper()
	db := database(t, s)
	defer db.Close()
	var fixed, moving []byte
	var r writ.Request
	err := db.QueryRowContext(t.Context(), "SELECT fixed, moving FROM requests JOIN states ON request = id WHERE id = $1", string(id)).Scan(&fixed, &moving)
	if err = errors.Join(err, json.Unmarshal(fixed, &r), json.Unmarshal(moving, &r)); err != nil {
		t.Fatal(err)
	}
	change(&r)
	all := map[string]json.RawMessage{}
	data, err := json.Marshal(r)
	if err = errors.Join(err, json.Unmarshal(data, &all)); err != nil {
		t.Fatal(err)
	}
	fixed, errFixed := json.Marshal(map[string]json.RawMessage{"terms": all["terms"], "verdict": all["verdict"]})
	delete(all, "terms")
	delete(all, "verdict")
	moving, errMoving := json.Marshal(all)
	if err := errors.Join(errFixed, errMoving); err != nil {
		t.Fatal(err)
	}
	task, due := r.Todo()
	subject := string(r.Terms.Subject.UID)
	execute(t, db, "UPDATE requests SET fixed = $1, subject = $2, target = $3, entitlement = $4, requester = $5 WHERE id = $6",
		string(fixed), subject, r.Terms.Entitlement.Target, r.Terms.Entitlement.Name, string(r.Terms.Requester.UID), string(id))
	execute(t, db, "UPDATE states SET moving = $1, seq = $2, status = $3, task = $4, due = $5, busy = 0, live = $6 WHERE request = $7",
		string(moving), r.Seq, string(r.Status), string(task), due.UnixMicro(), subject, string(id))
}

// refit makes digests and votes fit the terms as they are now.
func refit(r *writ.Request) {
	r.Digest, _ = r.Terms.Digest() // they were encoded before
	votes := slices.Clone(r.Votes)
	for i := range votes {
		votes[i].Digest = r.Digest
	}
	r.Votes = votes
}

// authorize makes a request look as if two people had approved it.
func authorize(w *world) func(*writ.Request) {
	people := map[string]writ.Party{"manager": w.as(meg).Party, "security": w.as(sue).Party}
	return func(r *writ.Request) {
		r.Votes = nil
		for _, stage := range []string{"manager", "security"} {
			r.Votes = append(r.Votes, writ.Vote{Stage: stage, By: people[stage], Digest: r.Digest, At: r.At})
		}
		r.Status, r.Seq = writ.StatusAuthorized, 4
		r.From, r.Retry, r.Serial = r.At, r.At, "writ-"+string(r.ID)
		r.Until = r.From.Add(r.Terms.For.Std())
		r.End, r.EndedAt, r.ClosedAt = nil, time.Time{}, time.Time{}
	}
}

// TestForgedTableIsRefused changes what the table says of a request that is
// about to be granted, in every way that would give somebody more.
func TestForgedTableIsRefused(t *testing.T) {
	approved := func(t *testing.T, w *world) writ.Request { return w.authorized(t, machine(1), stagedKey, time.Hour) }
	pending := func(t *testing.T, w *world) writ.Request {
		r, err := w.ask(t.Context(), machine(1), stagedKey, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for name, c := range map[string]struct {
		request func(*testing.T, *world) writ.Request
		forge   func(*world) func(*writ.Request)
	}{
		"longer": {approved, always(func(r *writ.Request) {
			r.Terms.For *= 2
			r.Until = r.From.Add(r.Terms.For.Std())
			refit(r)
		})},
		"later end":     {approved, always(func(r *writ.Request) { r.Until = r.Until.Add(time.Hour) })},
		"another start": {approved, always(func(r *writ.Request) { r.From = r.From.Add(time.Second) })},
		"another grant": {approved, always(func(r *writ.Request) { r.Terms.Entitlement.Grant = json.RawMessage(`{"scopes":["root"]}`); refit(r) })},
		"another scope": {approved, always(func(r *writ.Request) { r.Terms.Scope = map[string]string{"all": "yes"}; refit(r) })},
		"another subject": {approved, func(w *world) func(*writ.Request) {
			p := w.as(machine(2)).Party
			return func(r *writ.Request) { r.Terms.Subject = p; refit(r) }
		}},
		"another requester": {approved, func(w *world) func(*writ.Request) {
			p := w.as(machine(2)).Party
			return func(r *writ.Request) { r.Terms.Requester = p; refit(r) }
		}},
		"another recipient": {approved, always(func(r *writ.Request) { r.Terms.Recipient = "age1somebodyelse"; refit(r) })},
		"terms alone":       {approved, always(func(r *writ.Request) { r.Terms.Ticket = "CHG-1" })},
		"another approver": {approved, func(w *world) func(*writ.Request) {
			p := w.as(sid).Party
			return func(r *writ.Request) { r.Votes[1].By = p }
		}},
		"a vote less":         {approved, always(func(r *writ.Request) { r.Votes = r.Votes[:1] })},
		"no stages":           {approved, always(func(r *writ.Request) { r.Verdict.Stages = nil })},
		"another serial":      {approved, always(func(r *writ.Request) { r.Serial = "writ-other" })},
		"approved by nobody":  {pending, authorize},
		"what was denied":     {denied(pending), authorize},
		"what was withdrawn":  {withdrawn(pending), authorize},
		"what is over":        {over(approved), always(func(r *writ.Request) { r.Status, r.End, r.Retry = writ.StatusGranting, nil, r.From })},
		"what is over, again": {over(approved), authorize},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, setup{Dir: t.TempDir()}, faults{})
				r := c.request(t, w)
				forge := c.forge(w)
				w.shut(t)
				alter(t, w.setup, r.ID, forge)
				w.refused(t, r.ID, -1)
			})
		})
	}
}

func always(f func(*writ.Request)) func(*world) func(*writ.Request) {
	return func(*world) func(*writ.Request) { return f }
}

func denied(request func(*testing.T, *world) writ.Request) func(*testing.T, *world) writ.Request {
	return func(t *testing.T, w *world) writ.Request {
		r := request(t, w)
		if _, err := w.door.Deny(t.Context(), w.as(meg), r.ID, r.Digest, "no"); err != nil {
			t.Fatal(err)
		}
		return r
	}
}

func withdrawn(request func(*testing.T, *world) writ.Request) func(*testing.T, *world) writ.Request {
	return func(t *testing.T, w *world) writ.Request {
		r := request(t, w)
		if _, err := w.door.Withdraw(t.Context(), w.as(machine(1)), r.ID); err != nil {
			t.Fatal(err)
		}
		return r
	}
}

func over(request func(*testing.T, *world) writ.Request) func(*testing.T, *world) writ.Request {
	return func(t *testing.T, w *world) writ.Request {
		stop := w.work(t)
		defer stop()
		r := w.reach(t, request(t, w).ID, writ.StatusActive)
		if _, err := w.door.Release(t.Context(), w.as(machine(1)), r.ID); err != nil {
			t.Fatal(err)
		}
		return w.reach(t, r.ID, writ.StatusClosed)
	}
}

// refused opens a forged world and lets the worker see it: there is an alarm, at
// most an end comes of it, and who verifies is told which event it is about, the
// last if n is -1.
func (w *world) refused(t *testing.T, id writ.ID, n int) {
	t.Helper()
	w, err := open(t.Context(), w.setup, faults{})
	if err != nil {
		t.Fatalf("it does not even open: %v", err)
	}
	stop := w.work(t)
	before := w.size(t, id)
	time.Sleep(3 * time.Minute)
	stop()
	if left := w.listed(t, "keys"); len(left) > 0 {
		t.Errorf("the target has %v", left)
	}
	if n := w.log.count(`"level":"ERROR"`, "ALARM", string(id)); n < 1 || n > 5 {
		t.Errorf("%d alarms in three minutes:\n%s", n, w.log)
	}
	if n := w.metric(t, "writ_writ_refusals_total", ""); n < 1 {
		t.Errorf("%v refusals counted", n)
	}
	if size := w.size(t, id); size != before && w.get(t, id).Status != writ.StatusClosed {
		t.Errorf("%d events were recorded on top of the forgery, and it is %s", size-before, w.get(t, id).Status)
	}
	var broken store.Broken
	if err := w.broken(); !errors.As(err, &broken) || broken.Pos != w.position(t, id, n) {
		t.Errorf("verify says %v, the forgery is at %d", err, w.position(t, id, n))
	}
	w.shut(t)
}

// size returns how many events of a request there are.
func (w *world) size(t testing.TB, id writ.ID) (n int) {
	t.Helper()
	db := database(t, w.setup)
	defer db.Close()
	if err := db.QueryRow("SELECT count(*) FROM events WHERE stream = $1", string(id)).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// position returns where an event of a request stands; -1 is its last.
func (w *world) position(t testing.TB, id writ.ID, n int) (pos int64) {
	t.Helper()
	db := database(t, w.setup)
	defer db.Close()
	if n < 0 {
		n += w.size(t, id)
	}
	if err := db.QueryRow("SELECT pos FROM events WHERE stream = $1 AND seq = $2", string(id), n+1).Scan(&pos); err != nil {
		t.Fatal(err)
	}
	return pos
}

// TestForgedRecordIsRefused changes the ledger itself before a grant: the record
// alone, and the record together with all that the table says.
func TestForgedRecordIsRefused(t *testing.T) {
	longer := func(r *writ.Request) {
		r.Terms.For *= 2
		r.Until = r.From.Add(r.Terms.For.Std())
		refit(r)
	}
	for name, c := range map[string]struct {
		event  int // of the request
		change [2]string
		table  func(*writ.Request)
	}{
		"terms":               {0, [2]string{`"for":"1h"`, `"for":"2h"`}, nil},
		"terms and table":     {0, [2]string{`"for":"1h"`, `"for":"2h"`}, longer},
		"an approval":         {1, [2]string{"human/meg", "human/pat"}, nil},
		"an end":              {3, [2]string{`"until":"20`, `"until":"30`}, nil},
		"an end and table":    {3, [2]string{`"until":"20`, `"until":"21`}, func(r *writ.Request) { r.Until = r.Until.AddDate(100, 0, 0) }},
		"no JSON any more":    {2, [2]string{`{`, `[`}, nil},
		"of somebody else":    {0, [2]string{`"stream":"req-`, `"stream":"req-x`}, nil},
		"another kind":        {1, [2]string{`"kind":"approved"`, `"kind":"claimed"`}, nil},
		"a digit of a digest": {1, [2]string{`"digest":"sha256:`, `"digest":"sha256:0`}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, setup{Dir: t.TempDir()}, faults{})
				r := w.authorized(t, machine(1), stagedKey, time.Hour)
				pos := w.position(t, r.ID, c.event)
				w.shut(t)
				db := database(t, w.setup)
				var record string
				if err := db.QueryRow("SELECT record FROM events WHERE pos = $1", pos).Scan(&record); err != nil {
					t.Fatal(err)
				}
				forged := strings.Replace(record, c.change[0], c.change[1], 1)
				if forged == record {
					t.Fatalf("nothing to forge in %s", record)
				}
				execute(t, db, "UPDATE events SET record = $1 WHERE pos = $2", forged, pos)
				db.Close()
				if c.table != nil {
					alter(t, w.setup, r.ID, c.table)
				}
				w.refused(t, r.ID, c.event)
			})
		})
	}
}

// TestForgedWritIsRefused has whoever can write to the ledger, with its key, put
// a writ into it that the key of writs did not sign for this request.
func TestForgedWritIsRefused(t *testing.T) {
	sign := func(alg jose.SignatureAlgorithm, key any, typ string) func(*testing.T, *world, []byte) string {
		return func(t *testing.T, _ *world, payload []byte) string {
			s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
			if err != nil {
				t.Fatal(err)
			}
			jws, err := s.Sign(payload)
			if err != nil {
				t.Fatal(err)
			}
			text, err := jws.CompactSerialize()
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
	}
	own := func(change func(*world, []byte) []byte) func(*testing.T, *world, []byte) string {
		return func(t *testing.T, w *world, payload []byte) string {
			jws, err := w.worker.Signer.Sign(change(w, payload))
			if err != nil {
				t.Fatal(err)
			}
			return jws
		}
	}
	_, stranger, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, forge := range map[string]func(*testing.T, *world, []byte) string{
		"another key": sign(jose.EdDSA, stranger, "writ+jws"),
		"public key as secret": func(t *testing.T, w *world, payload []byte) string {
			return sign(jose.HS256, []byte(w.keys.Writ.Public().(ed25519.PublicKey)), "writ+jws")(t, w, payload)
		},
		"another type": func(t *testing.T, w *world, payload []byte) string {
			return sign(jose.EdDSA, w.keys.Writ, "JWT")(t, w, payload)
		},
		"no algorithm": func(_ *testing.T, _ *world, payload []byte) string {
			return encode(`{"alg":"none","typ":"writ+jws"}`) + "." + encode(string(payload)) + "."
		},
		"another payload": func(t *testing.T, w *world, payload []byte) string {
			parts := strings.Split(own(func(_ *world, p []byte) []byte { return p })(t, w, payload), ".")
			parts[1] = encode(strings.Replace(string(payload), `"for":"1h"`, `"for":"2h"`, 1))
			return strings.Join(parts, ".")
		},
		"longer, well signed": own(func(_ *world, p []byte) []byte {
			return []byte(strings.Replace(string(p), `"for":"1h"`, `"for":"2h"`, 1))
		}),
		"of another request":    own(func(w *world, _ []byte) []byte { return w.otherOrder(t) }),
		"no order, well signed": own(func(*world, []byte) []byte { return []byte(`{}`) }),
		"no text at all":        func(*testing.T, *world, []byte) string { return "..." },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, setup{}, faults{})
				r := w.authorized(t, machine(1), stagedKey, time.Hour)
				w.plant(t, r.ID, forge)
				w.work(t)
				r = w.reach(t, r.ID, writ.StatusClosed)
				if r.End.Cause != writ.GrantRefused || slices.Contains(w.kinds(t, r.ID), "granted") {
					t.Errorf("it ended because of %s: %v", r.End.Cause, w.kinds(t, r.ID))
				}
				if n := w.log.count(`"level":"ERROR"`, "ALARM", string(r.ID)); n != 1 {
					t.Errorf("%d alarms", n)
				}
				if n := w.metric(t, "writ_writ_refusals_total", ""); n != 1 {
					t.Errorf("%v refusals counted", n)
				}
				if left := w.listed(t, "keys"); slices.Contains(left, external(r)) {
					t.Errorf("the target has %v", left)
				}
			})
		})
	}
}

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// otherOrder returns the payload of the writ of another request, which is as
// good as this one.
func (w *world) otherOrder(t testing.TB) []byte {
	r, err := w.ask(context.Background(), machine(1), stagedKey, time.Hour)
	if err == nil {
		r, err = w.agree(context.Background(), r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return payload(t, r)
}

func payload(t testing.TB, r writ.Request) []byte {
	t.Helper()
	o, err := r.Order()
	if err != nil {
		t.Fatal(err)
	}
	data, err := o.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// plant begins a grant with a forged writ.
func (w *world) plant(t *testing.T, id writ.ID, forge func(*testing.T, *world, []byte) string) {
	t.Helper()
	c := writ.BeginGrant{Writ: forge(t, w, payload(t, w.get(t, id)))}
	if _, err := w.worker.begun(t.Context(), id, c); err != nil {
		t.Fatal(err)
	}
}
