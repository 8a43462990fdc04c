package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/ledger"
)

// held keeps the committer inside a decision until release, so that whatever
// is queued meanwhile is decided in one transaction.
func held(t testing.TB, db *DB) (release func()) {
	t.Helper()
	entered, leave := make(chan struct{}), make(chan struct{})
	var once sync.Once
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = db.Update(context.Background(), Change{Decide: func(writ.Request, writ.Facts) ([]writ.Event, error) {
			once.Do(func() { close(entered) })
			<-leave
			return nil, nil
		}})
	}()
	<-entered
	return func() {
		close(leave)
		<-done
	}
}

// together makes changes in one transaction and returns what each was told.
func together(t testing.TB, db *DB, changes ...Change) ([]writ.Request, []error) {
	t.Helper()
	release := held(t, db)
	requests, errs := make([]writ.Request, len(changes)), make([]error, len(changes))
	var wg sync.WaitGroup
	for i, c := range changes {
		queued := len(db.queue)
		wg.Go(func() { requests[i], errs[i] = db.Update(t.Context(), c) })
		for len(db.queue) == queued { // one after the other, so that their order is known
			time.Sleep(50 * time.Microsecond)
		}
	}
	release()
	wg.Wait()
	return requests, errs
}

func (c *counters) commits() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Commits
}

// L3: an approval is one serial decision.
func TestTwoApproversAtOnceAuthorizeOnce(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		var authorized atomic.Int64
		var racers sync.WaitGroup
		tries := make(chan int)
		for range 32 {
			racers.Go(func() {
				for n := range tries {
					id := newID()
					must(t, db, asking(id, service(n), "orders/read"), approving(id, "human/cyd"))
					var both sync.WaitGroup
					for _, who := range []writ.Ref{"human/dan", "human/eve"} {
						both.Go(func() {
							r, err := db.Update(t.Context(), approving(id, who))
							if err != nil && !errors.Is(err, writ.Conflict) {
								t.Error(err)
							}
							if err == nil && r.Status == writ.StatusAuthorized {
								authorized.Add(1)
							}
						})
					}
					both.Wait()
					must(t, db, releasing(id, "human/ann"))
				}
			})
		}
		for n := range 1000 {
			tries <- n
		}
		close(tries)
		racers.Wait()
		if n := authorized.Load(); n != 1000 {
			t.Errorf("%d requests were authorized, want 1000", n)
		}
		if n := count(t, db, `SELECT count(*) FROM events WHERE record LIKE '%"kind":"authorized"%'`); n != 1000 {
			t.Errorf("%d events say so, want 1000", n)
		}
	})
}

func TestOneFailureHarmsNoNeighbour(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		first, last := newID(), newID()
		commits := db.counters.commits()
		requests, errs := together(t, db,
			asking(first, service(1), "orders/read"),
			approving("req-unknown", "human/bob"),
			Change{ID: newID(), Decide: func(writ.Request, writ.Facts) ([]writ.Event, error) { panic("what now") }},
			Change{ID: newID(), Decide: func(_ writ.Request, f writ.Facts) ([]writ.Event, error) { // of another request
				return []writ.Event{{Stream: string(first), Seq: 2, At: f.Now, Body: writ.Withdrawn{}}}, nil
			}},
			Change{ID: first, Decide: func(_ writ.Request, f writ.Facts) ([]writ.Event, error) { // that cannot follow
				return []writ.Event{{Stream: string(first), Seq: 2, At: f.Now, Body: writ.Granted{}}}, nil
			}},
			Change{ID: first, Decide: func(_ writ.Request, f writ.Facts) ([]writ.Event, error) { // of another time
				return []writ.Event{{Stream: string(first), Seq: 2, At: f.Now.Add(-time.Hour), Body: writ.Withdrawn{}}}, nil
			}},
			commanding(first, "human/bob", func(r writ.Request) writ.Command { // too long for the ledger
				return writ.Deny{Digest: r.Digest, Note: writ.Commitment(strings.Repeat("x", ledger.MaxRecord))}
			}),
			approving(first, "human/bob"), // sees the submit
			asking(last, service(1), "orders/read"),
		)
		for i, good := range []bool{true, false, false, false, false, false, false, true, true} {
			if (errs[i] == nil) != good {
				t.Errorf("change %d: %v", i, errs[i])
			}
		}
		if n := db.counters.commits() - commits; n != 1 {
			t.Errorf("they took %d commits", n)
		}
		if err := errs[2]; err == nil || !strings.Contains(err.Error(), "what now") {
			t.Errorf("panic: %v", err)
		}
		if len(requests[7].Votes) != 1 {
			t.Errorf("the approval is lost: %v", requests[7])
		}
		if n := count(t, db, "SELECT count(*) FROM requests"); n != 2 {
			t.Errorf("%d requests, want 2", n)
		}
	})
}

// A row that one database refuses must not take others with it.
func TestSpoiledTransactionIsMadeAgainOneByOne(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		before, after := newID(), newID()
		poison := asking(newID(), service(2), "orders/read", "incident/\x00") // PostgreSQL keeps no NUL
		_, errs := together(t, db, asking(before, service(1), "orders/read"), poison, asking(after, service(3), "orders/read"))
		if errs[0] != nil || errs[2] != nil {
			t.Errorf("neighbours: %v, %v", errs[0], errs[2])
		}
		if !db.data.Shared {
			return
		}
		if errs[1] == nil {
			t.Error("a row that cannot be written was taken")
		}
		if n := count(t, db, "SELECT count(*) FROM requests"); n != 2 {
			t.Errorf("%d requests, want 2", n)
		}
	})
}

func TestLaterDecisionsSeeEarlierOnes(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		submit(t, db, 7)
		robot := writ.Identity{Header: writ.Header{Kind: "identity", Name: "agent/robot"}, Owner: "human/ann"}
		var seen [2][]writ.Live
		spy := func(n int, c Change) Change {
			decide := c.Decide
			c.Decide = func(r writ.Request, f writ.Facts) ([]writ.Event, error) {
				seen[n] = f.Live
				return decide(r, f)
			}
			return c
		}
		first, second := newID(), newID()
		_, errs := together(t, db,
			putting(robot),
			asking(first, "agent/robot", "orders/read"),
			spy(0, asking(second, "agent/robot", "orders/admin")),
			commanding(first, "agent/robot", func(writ.Request) writ.Command { return writ.Withdraw{} }),
			spy(1, approving(second, "human/bob")),
		)
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if len(seen[0]) != 1 || seen[0][0].ID != first || seen[0][0].Status != writ.StatusPending {
			t.Errorf("a submit does not see the one before it: %v", seen[0])
		}
		if len(seen[1]) != 0 {
			t.Errorf("what was withdrawn is still live: %v", seen[1])
		}
		if _, ok := db.Directory().Identities["agent/robot"]; !ok {
			t.Error("Directory does not have what was put")
		}
	})
}

func TestLedgerIsOpenedOnceAndFirst(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		opening := func(o writ.Opened) Change {
			return Change{Decide: func(_ writ.Request, f writ.Facts) ([]writ.Event, error) {
				return []writ.Event{{Stream: writ.LedgerStream, Seq: 1, At: f.Now, Actor: writ.System, Body: o}}, nil
			}}
		}
		if _, err := db.Update(t.Context(), putting(worldDocuments()...)); !errors.Is(err, writ.Conflict) {
			t.Errorf("documents before the ledger is open: %v", err)
		}
		if _, err := db.Update(t.Context(), opening(writ.Opened{Origin: origin, LogKey: "another"})); !errors.Is(err, writ.Invalid) {
			t.Errorf("opened with another key: %v", err)
		}
		begin(t, db)
		if _, err := db.Update(t.Context(), opening(writ.Opened{Origin: origin, LogKey: db.Log.VerifierKey()})); !errors.Is(err, writ.Conflict) {
			t.Errorf("opened twice: %v", err)
		}
	})
}

func TestDocumentsKeepTheirSequence(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		robot := writ.Identity{Header: writ.Header{Kind: "identity", Name: "agent/robot"}, Owner: "human/ann"}
		removing := Change{Decide: func(_ writ.Request, f writ.Facts) ([]writ.Event, error) {
			f.Actor, f.Authority.Administer = writ.System, true
			events, _, err := writ.DecidePut(writ.Put{Remove: []writ.Header{robot.Header}}, f)
			return events, err
		}}
		must(t, db, putting(robot), removing)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db = open(t, dsn)
		if _, ok := db.Directory().Identities["agent/robot"]; ok {
			t.Error("a removed document is back")
		}
		skipping := putting(writ.Group{Header: writ.Header{Kind: "group", Name: "all"}})
		decide := skipping.Decide
		skipping.Decide = func(r writ.Request, f writ.Facts) ([]writ.Event, error) {
			events, err := decide(r, f)
			events[0].Seq++
			return events, err
		}
		if _, err := db.Update(t.Context(), skipping); !errors.Is(err, writ.Conflict) {
			t.Errorf("event 2 of a document that has none: %v", err)
		}
		must(t, db, putting(robot))
		if got := db.Directory().Identities["agent/robot"]; got.Version != 3 {
			t.Errorf("version %d after create, remove, create", got.Version)
		}
	})
}

func TestUpdateEndsWithItsContext(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		release := held(t, db)
		ctx, cancel := context.WithCancel(t.Context())
		id := newID()
		told := make(chan error)
		go func() {
			_, err := db.Update(ctx, asking(id, service(1), "orders/read"))
			told <- err
		}()
		for len(db.queue) == 0 {
			time.Sleep(50 * time.Microsecond)
		}
		cancel()
		if err := <-told; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		release()
		submit(t, db, 2)
		if _, err := db.Get(t.Context(), id); !errors.Is(err, writ.NotFound) {
			t.Errorf("a change nobody waits for was taken from the queue: %v", err)
		}
	})
}

func TestCloseAnswersEverybodyWhoWaits(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		release := held(t, db)
		var wg sync.WaitGroup
		errs := make(chan error, 50)
		for n := range 50 {
			wg.Go(func() {
				_, err := db.Update(context.Background(), asking(newID(), service(n), "orders/read"))
				errs <- err
			})
		}
		for len(db.queue) < 50 {
			time.Sleep(time.Millisecond)
		}
		wg.Go(func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
		for !db.isClosed() {
			time.Sleep(time.Millisecond)
		}
		release()
		wg.Wait()
		for range 50 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if _, err := db.Update(t.Context(), asking(newID(), service(1), "orders/read")); !errors.Is(err, writ.Unavailable) {
			t.Errorf("after Close: %v", err)
		}
		if n := count(t, open(t, dsn), "SELECT count(*) FROM requests"); n != 50 {
			t.Errorf("%d requests, want 50", n)
		}
	})
}

func (db *DB) isClosed() bool {
	db.closing.RLock()
	defer db.closing.RUnlock()
	return db.closed
}

func TestRepeatedChangeHappensOnce(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		with := func(c Change, fingerprint string) Change {
			c.Key = &Key{Caller: "ide-1", Key: "k-1", Fingerprint: writ.Digest(fingerprint)}
			return c
		}
		if _, err := db.Update(t.Context(), with(asking(newID(), "service/nobody", "orders/read"), "body")); err == nil {
			t.Fatal("a service that does not exist got access")
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		got := map[writ.ID]int{}
		for n := range 40 { // a refused change does not use up its key
			wg.Go(func() {
				r, err := db.Update(t.Context(), with(asking(newID(), service(n), "orders/read"), "body"))
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				got[r.ID]++
			})
		}
		wg.Wait()
		if len(got) != 1 {
			t.Fatalf("one key made %d requests: %v", len(got), got)
		}
		var id writ.ID
		for id = range got {
		}
		must(t, db, approving(id, "human/bob"))
		if r := must(t, db, with(asking(newID(), service(1), "orders/read"), "body")); r.ID != id || len(r.Votes) != 1 {
			t.Errorf("repeated: %v", r)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db = open(t, dsn) // keys outlive the process
		if r := must(t, db, with(asking(newID(), service(1), "orders/read"), "body")); r.ID != id {
			t.Errorf("repeated after a restart: %v", r)
		}
		if _, err := db.Update(t.Context(), with(asking(newID(), service(1), "orders/read"), "another")); !errors.Is(err, writ.Conflict) {
			t.Errorf("another body: %v", err)
		}
		other := with(asking(newID(), service(1), "orders/read"), "body")
		other.Key.Caller = "ide-2"
		if r := must(t, db, other); r.ID == id {
			t.Error("another caller got this one's answer")
		}
		docs := with(putting(writ.Group{Header: writ.Header{Kind: "group", Name: "all"}}), "documents")
		docs.Key.Key = "k-2"
		must(t, db, docs, docs)
	})
}

func TestTextIsKeptAndErased(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		id := newID()
		c := asking(id, service(1), "orders/read")
		c.Texts = []Text{{Request: id, Name: "why", Salt: []byte("0123456789abcdef"), Text: "für den Umzug\n"}}
		must(t, db, c)
		got, err := db.Text(t.Context(), id, "why")
		if err != nil || got.Text != c.Texts[0].Text || string(got.Salt) != string(c.Texts[0].Salt) {
			t.Errorf("%v, %v", got, err)
		}
		if err := db.Erase(t.Context(), id, "why"); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Text(t.Context(), id, "why"); !errors.Is(err, writ.NotFound) {
			t.Errorf("erased text: %v", err)
		}
		refused := approving(id, "human/ann")
		refused.Texts = []Text{{Request: id, Name: "deny", Text: "kept all the same"}}
		if _, err := db.Update(t.Context(), refused); err == nil {
			t.Fatal("ann approved")
		}
		if _, err := db.Text(t.Context(), id, "deny"); !errors.Is(err, writ.NotFound) {
			t.Errorf("text of a decision that was refused: %v", err)
		}
		bad := asking(newID(), service(1), "orders/read")
		bad.Texts = []Text{{Request: bad.ID, Name: "why", Text: "a\x00b"}}
		if _, err := db.Update(t.Context(), bad); !errors.Is(err, writ.Invalid) {
			t.Errorf("text with NUL: %v", err)
		}
	})
}

func TestStatsCount(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		before, err := db.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r := active(t, db, 1)
		submit(t, db, 2)
		must(t, db, closing(r.ID)[:2]...)
		must(t, db, commanding(r.ID, "", func(r writ.Request) writ.Command {
			return writ.ReportRevoke{Attempt: r.Attempt, Problem: "no route to host"}
		}))
		authorized(t, db, 3)
		s, err := db.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(s.Live); got != fmt.Sprint(map[writ.Status]int{writ.StatusPending: 1, writ.StatusRevoking: 1, writ.StatusAuthorized: 1}) {
			t.Errorf("live: %s", got)
		}
		if n := s.Decisions - before.Decisions; n != 12 || s.RevokeFailures != 1 || s.Batches[0] == 0 || s.Overdue <= 0 {
			t.Errorf("%d decisions; %+v", n, s)
		}
		if s.Size != count(t, db, "SELECT count(*) FROM events") {
			t.Errorf("size %d", s.Size)
		}
	})
}
