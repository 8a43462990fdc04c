package worker

import (
	"context"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/internal/store"
)

// revoke makes access stop and proves it by reading back. It is tried for ever.
func (w *Worker) revoke(ctx context.Context, job store.Job) error {
	r, err := w.decide(ctx, job.ID, writ.BeginRevoke{})
	if err != nil || r.Status != writ.StatusRevoking {
		return err
	}
	call, cancel := context.WithDeadline(ctx, job.Until.Add(-w.Lease/6))
	defer cancel()
	report := writ.ReportRevoke{Attempt: r.Attempt}
	if err = w.takeAway(call, r, &report); err != nil {
		report.Problem = problem(err)
	} else if report.Signed, err = w.attest(writ.Revoked{Attempt: r.Attempt, Seen: report.Seen, KeptBy: r.KeptBy, Instance: report.Instance}.Deed(r)); err != nil {
		w.Logger.ErrorContext(ctx, "what was taken away is recorded without a signature", "request", r.ID, "err", err)
	}
	done, err := w.decide(ctx, r.ID, report)
	if err != nil {
		return err
	}
	w.account(ctx, report, done)
	return nil
}

// account tells metrics and log how the revocation went.
func (w *Worker) account(ctx context.Context, report writ.ReportRevoke, r writ.Request) {
	switch {
	case r.Attempt != report.Attempt: // somebody else's by now
	case r.Status == writ.StatusClosed && r.End.Cause == writ.Expired:
		w.Metrics.lag(r.ClosedAt.Sub(r.Until))
	case r.Status == writ.StatusRevoking && r.Problem != "":
		w.Metrics.failed("revoke")
		level := w.Logger.WarnContext
		if time.Since(r.EndedAt) > alarmAfter {
			level = w.Logger.ErrorContext
		}
		level(ctx, "access is not proven gone; trying again", "request", r.ID, "target", r.Terms.Entitlement.Target,
			"since", r.EndedAt, "tries", r.Tries, "problem", r.Problem)
	}
}

// alarmAfter is the objective for an end to be proven; past it each failure is an error.
const alarmAfter = time.Minute

// takeAway makes access stop where it was made, and nowhere else.
func (w *Worker) takeAway(ctx context.Context, r writ.Request, report *writ.ReportRevoke) (err error) {
	defer recovered(&err)
	c, err := w.Targets.connector(ctx, w.Store.Directory(), r.Terms.Entitlement)
	if err != nil {
		return err
	}
	if report.Instance, err = c.instance(ctx); err != nil {
		return err
	}
	if err := r.Elsewhere(report.Instance); err != nil && r.KeptBy == "" {
		return err
	}
	o, err := r.Order()
	if err != nil {
		return err
	}
	what := order(o, report.Instance)
	done := connector.Receipt{External: r.Receipt.External, Fingerprint: r.Receipt.Fingerprint, Detail: r.Receipt.Detail}
	if r.KeptBy == "" {
		if err := c.Revoke(ctx, what, done); err != nil {
			return err
		}
	}
	if report.Seen, err = c.Observe(ctx, what, done); err == nil {
		err = w.unanswered(ctx, r)
	}
	return err
}

// unanswered refuses to believe a read-back while a grant of the request may
// still be under way: one that was begun less than a lease ago, by a worker that
// has not said what came of it and may be dead. Its access would come after the
// end was proven, and nobody would look again.
func (w *Worker) unanswered(ctx context.Context, r writ.Request) error {
	if r.Writ == "" || r.Receipt.External != "" {
		return nil // no grant was begun, or the last one was answered
	}
	entries, err := w.Store.Events(ctx, string(r.ID))
	if err != nil {
		return err
	}
	var begun time.Time
	for _, e := range entries {
		switch e.Event.Body.(type) {
		case writ.GrantBegun:
			begun = e.Event.At
		case writ.GrantFailed, writ.Strayed:
			begun = time.Time{}
		}
	}
	if left := time.Until(begun.Add(w.Lease)); left > 0 {
		return writ.Errorf(writ.Unavailable, "a grant that began at %s was never answered; it can come for %s more", begun.Format(time.RFC3339), left.Round(time.Second))
	}
	return nil
}
