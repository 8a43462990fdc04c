// Package worker carries out what is due: it tells targets to make access
// exist and to make it stop, reads back what came of it, and says both in the
// ledger, before and after.
package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/internal/store"
	"github.com/writhq/writ/internal/worker/view"
	"github.com/writhq/writ/policy"
)

// Config is what a Worker stands on.
type Config struct {
	Store    *store.DB
	View     *view.View // the ledger that is believed; of Store and its own key if nil
	Judge    *policy.Judge
	Targets  *Targets
	Signer   Signer
	Seal     string        // age recipient of credentials that are to be claimed
	Parallel int           // tasks at once, without those that take long; 32 if zero
	Lease    time.Duration // longest time one call may take; a minute if zero
	ClaimFor time.Duration // how long a credential waits to be claimed; a day if zero
	Pins     *Pins         // what is believed before the ledger; nothing if nil
	Safe     func() error  // why the ledger must not be trusted to grant; always if nil

	Witnessed func(context.Context) (size int64, err error) // of the checkpoint that witnesses cosigned; none if nil

	Metrics *Metrics
	Logger  *slog.Logger
}

// A Signer makes and checks the signature of a writ, and makes that of a deed.
type Signer interface {
	Sign(payload []byte) (jws string, err error)
	Attest(payload []byte) (jws string, err error)
	Verify(jws string) (payload []byte, err error) // refuses all keys but the ledger's own
}

// A Worker carries out due tasks. Any number may share a store.
type Worker struct {
	Config
	free chan struct{} // one token for each task that may still start
	wg   sync.WaitGroup
}

// New returns a worker that does nothing until Run.
func New(c Config) *Worker {
	if c.Parallel == 0 {
		c.Parallel = 32
	}
	if c.Lease == 0 {
		c.Lease = time.Minute
	}
	if c.ClaimFor == 0 {
		c.ClaimFor = 24 * time.Hour
	}
	if c.View == nil {
		c.View = view.New(c.Store, c.Store.Log.VerifierKey())
	}
	if c.Safe == nil {
		c.Safe = func() error { return nil }
	}
	w := &Worker{Config: c, free: make(chan struct{}, c.Parallel)}
	for range c.Parallel {
		w.free <- struct{}{}
	}
	return w
}

// idle is how long a worker waits when nothing is due. Work that becomes due
// in this process wakes it at once; this is for what other processes wrote.
const idle = time.Second

// Run works until ctx ends, and then until the calls under way have ended.
func (w *Worker) Run(ctx context.Context) {
	defer w.wg.Wait()
	w.wg.Go(func() { w.watch(ctx) })
	w.wg.Go(func() { _ = w.View.Catch(ctx) }) // so that the first grant need not wait for it
	tick := time.NewTicker(idle)
	defer tick.Stop()
	for ctx.Err() == nil {
		n, err := w.round(ctx)
		if err != nil && ctx.Err() == nil {
			w.Logger.ErrorContext(ctx, "work queue cannot be read; trying again", "err", err)
		}
		if n > 0 && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
		case <-w.Store.Due():
		case <-tick.C:
		}
	}
}

// round claims as much as may run at once and starts it.
func (w *Worker) round(ctx context.Context) (int, error) {
	slots := w.slots(ctx)
	if slots == 0 {
		return 0, ctx.Err()
	}
	jobs, err := w.Store.Claim(context.WithoutCancel(ctx), slots, w.Lease) // what was claimed must be known, to be let go
	for range slots - len(jobs) {
		w.free <- struct{}{}
	}
	for _, job := range jobs {
		w.wg.Go(func() {
			end := sync.OnceFunc(func() { w.free <- struct{}{} })
			defer end()
			slow := time.AfterFunc(w.slowAfter(), end) // it goes on, and stands in nobody's way
			defer slow.Stop()
			w.do(ctx, job)
		})
	}
	return len(jobs), err
}

// slots waits for one free slot and takes all that are free.
func (w *Worker) slots(ctx context.Context) int {
	select {
	case <-ctx.Done():
		return 0
	case <-w.free:
	}
	n := 1
	for {
		select {
		case <-w.free:
			n++
		default:
			return n
		}
	}
}

// do carries out one task. One that cannot be finished now is let go, and is
// due again after a while; where even that fails, when its lease ends.
func (w *Worker) do(ctx context.Context, job store.Job) {
	err := ctx.Err()
	if err == nil {
		err = w.carry(ctx, job)
	}
	if err == nil {
		return
	}
	wait := idle
	switch {
	case ctx.Err() != nil:
		wait = 0 // who works on may have it at once
	case errors.Is(err, errSlow):
		wait = w.Lease / 2
		w.Logger.InfoContext(ctx, "task waits", "request", job.ID, "task", job.Task, "why", err)
	case errors.Is(err, errUnproven) || errors.Is(err, errUnpinned):
		wait = alarmAfter
		w.Logger.ErrorContext(ctx, "ALARM: a request does not hold; nothing is done", "request", job.ID, "task", job.Task, "err", err)
	case errors.Is(err, writ.Unavailable) || errors.Is(err, writ.Conflict):
		w.Logger.InfoContext(ctx, "task waits", "request", job.ID, "task", job.Task, "why", err)
	default:
		w.Logger.ErrorContext(ctx, "task failed", "request", job.ID, "task", job.Task, "err", err)
	}
	ctx = context.WithoutCancel(ctx)
	if r, err := w.Store.Get(ctx, job.ID); err == nil && task(r) != job.Task {
		return // it waits for something else by now, and not for us
	}
	if err := w.Store.Release(ctx, job, time.Now().Add(wait)); err != nil {
		w.Logger.WarnContext(ctx, "task not let go; it is due again when its lease ends", "request", job.ID, "err", err)
	}
}

// decisions are the tasks that need no target.
var decisions = map[writ.Task]writ.Command{
	writ.DoRemind: writ.Remind{}, writ.DoEscalate: writ.Escalate{}, writ.DoLapse: writ.Lapse{}, writ.DoExpire: writ.Expire{},
}

func (w *Worker) carry(ctx context.Context, job store.Job) error {
	if c, ok := decisions[job.Task]; ok {
		_, err := w.decide(ctx, job.ID, c)
		return err
	}
	r, err := w.Store.Get(ctx, job.ID)
	if err != nil {
		return err
	}
	over, err := w.Targets.enter(r.Terms.Entitlement, w.slowAfter())
	if err != nil {
		return err
	}
	defer over()
	if job.Task == writ.DoGrant {
		return w.grant(ctx, job, r)
	}
	return w.revoke(ctx, job)
}

// slowAfter is how long a task may take without being called slow.
func (w *Worker) slowAfter() time.Duration { return w.Lease / 6 }

func task(r writ.Request) writ.Task {
	t, _ := r.Todo()
	return t
}

// decide records what follows from a command of Writ itself. Policy is asked
// only where access is about to be made: what ends it must work without.
func (w *Worker) decide(ctx context.Context, id writ.ID, c writ.Command) (writ.Request, error) {
	return w.Store.Update(context.WithoutCancel(ctx), store.Change{ID: id, Decide: func(r writ.Request, f writ.Facts) ([]writ.Event, error) {
		f.Actor = writ.System
		switch c.(type) {
		case writ.BeginGrant:
			if err := w.bears(f); err != nil {
				return nil, err
			}
			f.Verdict = w.Judge.Verdict(policy.Query{Terms: r.Terms, Facts: f})
		case writ.Recheck:
			f.Verdict = w.Judge.Verdict(policy.Query{Terms: r.Terms, Facts: f})
		}
		return writ.Decide(r, id, c, f)
	}})
}

// order is what the connector is told.
func order(o writ.Order, instance string) connector.Order {
	e := o.Terms.Entitlement
	return connector.Order{
		Request: string(o.Request), Serial: o.Serial, Subject: string(o.Terms.Subject.Name), SubjectUID: string(o.Terms.Subject.UID),
		Entitlement: e.Name, Environment: e.Environment, Kind: connector.Kind(e.Credential), Grant: e.Grant,
		Scope: o.Terms.Scope, PublicKey: o.Terms.PublicKey, From: o.From, Until: o.Until,
		Instance: instance,
	}
}

func receipt(r connector.Receipt) writ.Receipt {
	return writ.Receipt{External: r.External, Fingerprint: r.Fingerprint, Detail: r.Detail}
}
