package witness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/witness/state"
	"github.com/writhq/writ/ledger"
	"github.com/writhq/writ/ledger/witness"
)

// A book is a ledger in memory, of which copies can be taken.
type book struct {
	signer *ledger.Signer
	mu     sync.Mutex
	edge   ledger.Edge
	tiles  map[string][]byte
	kept   string
}

func newBook(t *testing.T) *book {
	t.Helper()
	signer, err := ledger.NewSigner("ledger.example", make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	return &book{signer: signer, tiles: map[string][]byte{}}
}

func (b *book) add(n int, what string) *book {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range n {
		next, tiles, err := b.edge.Append([][]byte{fmt.Append(nil, what, i)})
		if err != nil {
			panic(err) // a record of a test is not too long
		}
		for _, t := range tiles {
			b.tiles[fmt.Sprint(t.Level, t.N)] = t.Hashes
		}
		b.edge = next
	}
	return b
}

func (b *book) copy() *book {
	c := &book{signer: b.signer, edge: b.edge, tiles: map[string][]byte{}, kept: b.kept}
	for name, hashes := range b.tiles {
		c.tiles[name] = hashes
	}
	return c
}

func (b *book) Tile(_ context.Context, level int, n int64) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tiles[fmt.Sprint(level, n)], nil
}

func (b *book) Checkpoint(context.Context) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.signer.Sign(b.edge.Size(), b.edge.Root())
}

func (b *book) Witnessed(context.Context) (int64, string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kept == "" {
		return 0, "", nil
	}
	c, err := ledger.OpenCheckpoint(b.kept, b.signer.VerifierKey())
	return c.Size, b.kept, err
}

func (b *book) KeepWitnessed(_ context.Context, note string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept = note
	return nil
}

// A guard is a real witness that can be switched off.
type guard struct {
	witness.Known
	off http.HandlerFunc // answers in its place; nil while it is on
	mu  sync.Mutex
}

func (g *guard) set(off http.HandlerFunc) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.off = off
}

func newGuard(t *testing.T, name string, b *book) *guard {
	t.Helper()
	dir := t.TempDir()
	keys, err := state.OpenKeys(dir, name+".example")
	if err != nil {
		t.Fatal(err)
	}
	db, err := state.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	signers, err := witness.NewSigners(keys.Secret)
	if err != nil {
		t.Fatal(err)
	}
	one, err := witness.New(db, signers, []string{b.signer.VerifierKey()})
	if err != nil {
		t.Fatal(err)
	}
	g := &guard{}
	on := one.Handler(slog.New(slog.DiscardHandler))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		h := g.off
		g.mu.Unlock()
		if h == nil {
			h = on.ServeHTTP
		}
		h(w, r)
	}))
	t.Cleanup(s.Close)
	g.Known = witness.Known{Name: name, Key: keys.Public[0], URL: s.URL + "/"}
	return g
}

func down(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusBadGateway) }

func newAsker(t *testing.T, b *book, need int, guards ...*guard) *Asker {
	t.Helper()
	var all []witness.Known
	for _, g := range guards {
		all = append(all, g.Known)
	}
	p, err := witness.NewPolicy(need, all...)
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(Config{
		Log: b, Key: b.signer.VerifierKey(), Policy: p, Every: time.Nanosecond,
		Metrics: NewMetrics(prometheus.NewRegistry()), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func turn(t *testing.T, a *Asker) {
	t.Helper()
	time.Sleep(time.Microsecond) // whoever failed is asked again
	if err := a.Round(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func witnessed(t *testing.T, a *Asker, want int64) {
	t.Helper()
	if got, err := a.Witnessed(t.Context()); err != nil || got != want {
		t.Errorf("witnessed up to %d, want %d: %v", got, want, err)
	}
}

// TestNewsIsWitnessed: what is new is cosigned by all and kept, with what the
// witness said in a round before counting for the same checkpoint.
func TestNewsIsWitnessed(t *testing.T) {
	b := newBook(t).add(5, "a")
	east, west := newGuard(t, "east", b), newGuard(t, "west", b)
	a := newAsker(t, b, 2, east, west)
	witnessed(t, a, 0)
	turn(t, a)
	witnessed(t, a, 5)
	b.add(300, "b")
	west.set(down)
	turn(t, a)
	witnessed(t, a, 5)
	west.set(nil)
	turn(t, a)
	witnessed(t, a, 305)
	if err := a.Safe(); err != nil {
		t.Error(err)
	}
	again := newAsker(t, b, 2, east, west) // the server was started again
	b.add(7, "c")
	turn(t, again)
	witnessed(t, again, 312)
	b.kept = strings.Replace(b.kept, "\n312\n", "\n313\n", 1)
	if _, err := again.Witnessed(t.Context()); err == nil {
		t.Error("what the database says was believed")
	}
}

// TestOldCopyIsNotTrusted (L17): a ledger that is behind, or another history
// than the one witnessed, grants nothing, whatever it says of itself.
func TestOldCopyIsNotTrusted(t *testing.T) {
	for name, c := range map[string]struct {
		change func(old *book) *book
		want   string
	}{
		"behind":                   {func(old *book) *book { return old }, "it has 5 events, and witness east has cosigned 9"},
		"behind, and went on":      {func(old *book) *book { return old.add(3, "fork") }, "it has 8 events"},
		"as long, another history": {func(old *book) *book { return old.add(4, "fork") }, "another history"},
		"longer, another history":  {func(old *book) *book { return old.add(40, "fork") }, "another history"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t).add(5, "a")
			east := newGuard(t, "east", b)
			old := b.copy()
			turn(t, newAsker(t, b.add(4, "b"), 1, east))
			a := newAsker(t, c.change(old), 1, east)
			if err := a.Ready(); err == nil {
				t.Error("ready before anybody was asked")
			}
			turn(t, a)
			for _, err := range []error{a.Safe(), a.Halted(), a.Ready()} {
				if !errors.Is(err, writ.Unavailable) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v, want %q", err, c.want)
				}
			}
		})
	}
}

// TestRestoreUnderARunningServer is noticed, too.
func TestRestoreUnderARunningServer(t *testing.T) {
	b := newBook(t).add(5, "a")
	east := newGuard(t, "east", b)
	a := newAsker(t, b, 1, east)
	old := b.copy()
	b.add(4, "b")
	turn(t, a)
	if err := a.Safe(); err != nil {
		t.Fatal(err)
	}
	a.Log = old
	turn(t, a)
	if err := a.Halted(); err == nil || !strings.Contains(err.Error(), "it has 5 events, and witness east has cosigned 9") {
		t.Error(err)
	}
}

// TestNotKnowingIsNotTrust: until enough have answered that one of them would
// know, nothing is granted; but that is no alarm.
func TestNotKnowingIsNotTrust(t *testing.T) {
	b := newBook(t).add(5, "a")
	guards := []*guard{newGuard(t, "a", b), newGuard(t, "b", b), newGuard(t, "c", b)}
	a := newAsker(t, b, 2, guards...)
	for _, g := range guards {
		g.set(down)
	}
	for i, want := range []bool{false, false, true, true} { // two of three meet every two of three
		if i > 0 {
			guards[i-1].set(nil)
		}
		turn(t, a)
		if err := a.Safe(); want != (err == nil) {
			t.Errorf("%d answer: %v", i, err)
		}
		if err := errors.Join(a.Halted(), a.Ready()); err != nil {
			t.Errorf("%d answer: %v", i, err)
		}
	}
}

// TestAnotherServerWasQuicker: two servers of one ledger are no rollback.
func TestAnotherServerWasQuicker(t *testing.T) {
	b := newBook(t).add(5, "a")
	east := newGuard(t, "east", b)
	one, two := newAsker(t, b, 1, east), newAsker(t, b, 1, east)
	slow := &lagging{book: b, late: true}
	one.Log = slow
	turn(t, two)
	b.add(3, "b")
	turn(t, two)
	turn(t, one) // it read the ledger before that
	if err := one.Halted(); err != nil {
		t.Error(err)
	}
	turn(t, one)
	if err := one.Safe(); err != nil {
		t.Error(err)
	}
}

// lagging shows an old checkpoint once.
type lagging struct {
	*book
	late bool
}

func (l *lagging) Checkpoint(ctx context.Context) (string, error) {
	if l.late {
		l.late = false
		root, err := ledger.Root(ctx, l.book, 5)
		if err != nil {
			return "", err
		}
		return l.signer.Sign(5, root)
	}
	return l.book.Checkpoint(ctx)
}

// TestStrangeAnswers: none is a cosignature, none is followed, none is waited
// for or read for ever, and none is an alarm.
func TestStrangeAnswers(t *testing.T) {
	b := newBook(t).add(5, "a")
	east, other := newGuard(t, "east", b), newGuard(t, "other", b)
	followed := false
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed = true }))
	defer target.Close()
	note, _ := b.Checkpoint(t.Context())
	forged := strings.Repeat("— east.example AAAAAAAAAAAAAAAA\n", 3)
	for name, h := range map[string]http.HandlerFunc{
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, target.URL, http.StatusTemporaryRedirect)
		},
		"a forged signature": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, forged) },
		"the log's own":      func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, note[strings.Index(note, "—"):]) },
		"nothing":            func(http.ResponseWriter, *http.Request) {},
		"far too much":       func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, strings.Repeat("x", maxAnswer+9)) },
		"409 without a size": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "999999", http.StatusConflict) },
		"409 again and again": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/x.tlog.size")
			w.WriteHeader(http.StatusConflict)
			io.WriteString(w, "3\n")
		},
		"an empty page": down,
		"silence":       func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			east.set(h)
			a := newAsker(t, b, 1, east)
			a.Client.Timeout = 300 * time.Millisecond
			turn(t, a)
			witnessed(t, a, 0)
			if err := a.Halted(); err != nil || a.Safe() == nil {
				t.Errorf("%v %v", err, a.Safe())
			}
		})
	}
	if followed {
		t.Error("a redirect was followed")
	}
	east.set(nil)
	east.Key = other.Key // what it signs is signed with another key than the configured
	a := newAsker(t, b, 1, east)
	turn(t, a)
	witnessed(t, a, 0)
}

// TestOnlyWitnessURLs are asked.
func TestOnlyWitnessURLs(t *testing.T) {
	for raw, ok := range map[string]bool{
		"https://witness.example": true, "https://witness.example/x/": true, "http://127.0.0.1:7481": true, "http://localhost:1": true, "http://[::1]:1": true,
		"http://witness.example": false, "": false, "witness.example": false, "file:///etc/passwd": false, "https://a:b@witness.example": false,
		"https://witness.example?x": false, "http://127.0.0.1.example": false, "http://10.0.0.1": false,
	} {
		if err := CheckURL(raw); ok != (err == nil) {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

// TestWitnessThatForgets is asked on, and somebody is told.
func TestWitnessThatForgets(t *testing.T) {
	b := newBook(t).add(5, "a")
	east := newGuard(t, "east", b)
	a := newAsker(t, b, 1, east)
	var log strings.Builder
	a.Logger = slog.New(slog.NewTextHandler(&log, nil))
	turn(t, a)
	east.set(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/x.tlog.size")
		w.WriteHeader(http.StatusConflict)
		io.WriteString(w, "2\n")
	})
	b.add(1, "b")
	turn(t, a)
	if err := a.Safe(); err != nil || !strings.Contains(log.String(), "ALARM: a witness has forgotten") {
		t.Errorf("%v\n%s", err, log.String())
	}
}
