// Package witness asks the configured witnesses to cosign the ledger's newest
// checkpoints, and says when the ledger must not be trusted to grant anything:
// when a witness knows more of it than it does itself, or something else.
//
// It stands beside the server, never in the way of a decision: access ends
// whether or not a witness answers.
package witness

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/ledger"
	"github.com/writhq/writ/ledger/witness"
)

// A Log is the ledger that is witnessed.
type Log interface {
	ledger.Tiles
	Checkpoint(ctx context.Context) (string, error)                     // the newest, which can be read back by now
	Witnessed(ctx context.Context) (size int64, note string, err error) // what was kept last
	KeepWitnessed(ctx context.Context, note string) error               // durably
}

// Config is what an Asker stands on.
type Config struct {
	Log     Log
	Key     string         // verifier key of the log
	Policy  witness.Policy // its witnesses have URLs
	Every   time.Duration  // how often they are asked while there is news; a second if zero
	Client  *http.Client   // NewClient() if nil
	Metrics *Metrics
	Logger  *slog.Logger
}

// An Asker asks witnesses.
type Asker struct {
	Config
	asked []*asked

	mu     sync.Mutex
	unsafe error // once set it stays: what was wrong with the ledger
	begun  bool  // every witness was asked once
	sure   bool  // enough witnesses have said that it is not behind
}

// asked is a witness, and what it said last. One goroutine at a time uses it.
type asked struct {
	witness.Known
	size   int64     // that it cosigned last, as far as is known
	line   string    // its cosignature of that size; empty if it gave none since the start
	until  time.Time // it is left alone until then
	failed int       // in a row
}

// New returns an asker that asks nobody until Run.
func New(c Config) (*Asker, error) {
	if c.Every == 0 {
		c.Every = time.Second
	}
	if c.Client == nil {
		c.Client = NewClient()
	}
	a := &Asker{Config: c}
	for _, w := range c.Policy.Witnesses {
		if err := CheckURL(w.URL); err != nil {
			return nil, writ.Errorf(writ.Invalid, "witness %s: %v", w.Name, err)
		}
		a.asked = append(a.asked, &asked{Known: w})
		c.Metrics.failures.WithLabelValues(w.Name)
	}
	return a, nil
}

// Safe returns nil if the ledger may be trusted to grant something: no witness
// contradicts it, and so many have cosigned it since this process began that
// one of them would know if it were behind a witnessed checkpoint. Otherwise it
// is a writ.Unavailable that says what to do.
func (a *Asker) Safe() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.unsafe != nil {
		return a.unsafe
	}
	if !a.sure {
		return writ.Errorf(writ.Unavailable, "nothing is granted before the witnesses have said that this ledger is not behind; they are asked again and again")
	}
	return nil
}

// Ready returns Halted, and while the witnesses have not been asked once, that.
func (a *Asker) Ready() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.unsafe == nil && !a.begun {
		return writ.Errorf(writ.Unavailable, "the witnesses are being asked whether this ledger is behind")
	}
	return a.unsafe
}

// Halted returns why the ledger must not be trusted, if a witness said so. Not
// to know yet is nothing of that kind.
func (a *Asker) Halted() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.unsafe
}

// Witnessed returns how many events are under the newest checkpoint that was
// kept with the cosignatures of a quorum, checked against the configured keys:
// the event at position p is witnessed if p is less than that.
func (a *Asker) Witnessed(ctx context.Context) (size int64, err error) {
	_, note, err := a.Log.Witnessed(ctx)
	if err != nil || note == "" {
		return 0, err
	}
	c, err := a.Policy.Open(note, a.Key)
	if err != nil {
		return 0, writ.Errorf(writ.Unavailable, "the witnessed checkpoint that was kept does not hold: %v", err)
	}
	return c.Size, nil
}

// Run asks until ctx ends.
func (a *Asker) Run(ctx context.Context) {
	tick := time.NewTicker(a.Every)
	defer tick.Stop()
	for {
		if err := a.Round(ctx); err != nil && ctx.Err() == nil {
			a.Logger.WarnContext(ctx, "witnesses could not be asked; trying again", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Round asks every witness that has not cosigned the newest checkpoint, all at
// once, and keeps what they say as soon as that is a quorum. A witness that does
// not answer is left alone for longer each time, up to half a minute. One round
// at a time.
func (a *Asker) Round(ctx context.Context) error {
	note, err := a.Log.Checkpoint(ctx)
	if err != nil {
		return err
	}
	head, err := ledger.OpenCheckpoint(note, a.Key)
	if err != nil {
		return err
	}
	a.measure(ctx, head.Size)
	r := &round{Asker: a, head: head, note: note, lines: map[string]string{}}
	var due []*asked
	for _, w := range a.asked {
		switch {
		case w.line != "" && w.size == head.Size:
			r.lines[w.Name] = w.line
		case !time.Now().Before(w.until):
			due = append(due, w)
		}
	}
	var wg sync.WaitGroup
	for _, w := range due {
		wg.Go(func() { r.visit(ctx, w) })
	}
	wg.Wait()
	a.settle()
	return r.err
}

// measure says how far the witnessed checkpoint is behind.
func (a *Asker) measure(ctx context.Context, size int64) {
	if seen, _, err := a.Log.Witnessed(ctx); err == nil {
		a.Metrics.seen(seen, size, time.Now())
	}
}

// settle is sure once the witnesses that cosigned this ledger meet every quorum.
func (a *Asker) settle() {
	met := map[string]bool{}
	for _, w := range a.asked {
		met[w.Name] = w.line != ""
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.begun = true
	a.sure = a.Policy.Decisive(func(name string) bool { return met[name] })
}

// halt goes to safe mode, from which only another start leads back.
func (a *Asker) halt(ctx context.Context, format string, args ...any) {
	err := writ.Errorf(writ.Unavailable, "safe mode: "+format+"; nothing is granted or approved until the right database is back: see docs/howto/witness.md", args...)
	a.mu.Lock()
	first := a.unsafe == nil
	if first {
		a.unsafe = err
	}
	a.mu.Unlock()
	if first {
		a.Metrics.halted.Set(1)
		a.Logger.ErrorContext(ctx, "ALARM: "+err.Error())
	}
}

// A round is one checkpoint that all witnesses are asked about.
type round struct {
	*Asker
	head ledger.Checkpoint
	note string // as the log signed it

	mu    sync.Mutex
	lines map[string]string // cosignatures, by witness
	err   error             // of keeping them
}

// visit asks one witness, twice if it was the first that told where it stands.
func (r *round) visit(ctx context.Context, w *asked) {
	ctx, cancel := context.WithTimeout(ctx, answerIn)
	defer cancel()
	line, err := r.cosign(ctx, w)
	if err == nil {
		w.failed, w.line, w.size = 0, line, r.head.Size
		r.add(ctx, w)
		return
	}
	if errors.Is(err, errBehind) || errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	w.failed++
	w.until = time.Now().Add(min(r.Every<<min(w.failed, 8), 30*time.Second))
	r.Metrics.failures.WithLabelValues(w.Name).Inc()
	if w.failed == 1 { // and then the metric tells
		r.Logger.WarnContext(ctx, "a witness did not cosign", "witness", w.Name, "url", w.URL, "err", err)
	}
}

// errBehind says that the witness was asked about a checkpoint that is not the
// newest any more: another server of this ledger was quicker.
var errBehind = errors.New("it has cosigned a later checkpoint of another server already")

func (r *round) cosign(ctx context.Context, w *asked) (string, error) {
	for range 2 {
		if w.size > r.head.Size {
			w.size = 0 // let it say so itself
		}
		proof, err := ledger.Consistency(ctx, r.Log, w.size, r.head.Size)
		if err != nil {
			return "", err
		}
		a, err := ask(ctx, r.Client, w.URL, witness.Request{Old: w.size, Proof: proof, Checkpoint: r.note})
		if err != nil {
			return "", err
		}
		switch a.status {
		case http.StatusOK:
			return r.check(w, a.body)
		case http.StatusUnprocessableEntity:
			r.halt(ctx, "witness %s cosigned another history of this ledger: what it has of %d events is not how these %d begin", w.Name, w.size, r.head.Size)
			return "", fmt.Errorf("it answers 422: %.200q", a.body)
		case http.StatusConflict:
			if w.size, err = r.conflict(ctx, w, a); err != nil {
				return "", err
			}
		default:
			return "", fmt.Errorf("it answers %d: %.200q", a.status, a.body)
		}
	}
	return "", errors.New("it answers 409 twice")
}

// conflict returns the size from which the witness wants to go on. One that the
// ledger has not reached, looked at again, is the news that nobody wants.
func (r *round) conflict(ctx context.Context, w *asked, a answer) (int64, error) {
	size, err := a.size()
	if err == nil && size < w.size && w.line != "" {
		r.Logger.ErrorContext(ctx, "ALARM: a witness has forgotten what it cosigned; it vouches for nothing that was before", "witness", w.Name, "cosigned", w.size, "says", size)
	}
	if err != nil || size <= r.head.Size {
		return size, err
	}
	note, err := r.Log.Checkpoint(ctx)
	if err != nil {
		return w.size, err
	}
	now, err := ledger.OpenCheckpoint(note, r.Key)
	if err != nil {
		return w.size, err
	}
	if now.Size >= size {
		return w.size, errBehind
	}
	r.halt(ctx, "this ledger is behind: it has %d events, and witness %s has cosigned %d; an old copy of the database was restored, or its end is lost", now.Size, w.Name, size)
	return w.size, fmt.Errorf("it has cosigned %d events, this ledger has %d", size, now.Size)
}

// check returns the one line of an answer that the witness's configured key
// signed. The others are of keys that nobody here knows.
func (r *round) check(w *asked, body string) (string, error) {
	alone, err := witness.NewPolicy(1, w.Known)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(body) {
		if _, err := alone.Open(r.note+line, r.Key); err == nil {
			return line, nil
		}
	}
	return "", errors.New("its answer is not signed with the key that is configured for it")
}

// add adds a cosignature, and keeps the checkpoint once they are a quorum.
func (r *round) add(ctx context.Context, w *asked) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines[w.Name] = w.line
	if !r.Policy.Enough(func(name string) bool { return r.lines[name] != "" }) {
		return
	}
	cosigned := r.note
	for _, name := range slices.Sorted(maps.Keys(r.lines)) {
		cosigned += r.lines[name]
	}
	if r.err = r.Log.KeepWitnessed(ctx, cosigned); r.err == nil {
		r.Metrics.seen(r.head.Size, r.head.Size, time.Now())
	}
}
