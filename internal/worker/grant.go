package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/internal/seal"
	"github.com/writhq/writ/internal/store"
)

// grant makes access exist: prove that it was decided, look where the target is,
// sign the writ, say what is about to be done, check the writ, do it, read it
// back, say what came of it.
func (w *Worker) grant(ctx context.Context, job store.Job, r writ.Request) error {
	if err := w.Safe(); err != nil {
		return err
	}
	last, err := w.prove(ctx, job.ID, r)
	if err != nil {
		return err
	}
	call, cancel := context.WithDeadline(ctx, job.Until.Add(-w.Lease/6)) // leave time to record the outcome
	defer cancel()
	at, lost := w.locate(call, r.Terms.Entitlement)
	r, err = w.begin(ctx, r, writ.BeginGrant{Instance: at.name, Witnessed: w.witnessed(ctx, last)})
	if err != nil || r.Status != writ.StatusGranting {
		return err
	}
	report := writ.ReportGrant{Attempt: r.Attempt}
	err = lost // then nothing is called
	if err == nil {
		err = w.carryOut(call, r, at, &report)
	}
	if err == nil {
		report.Signed, err = w.attest(writ.Granted{Attempt: r.Attempt, Receipt: report.Receipt, Seen: report.Seen}.Deed(r))
	}
	if err != nil {
		report.Problem, report.Refused = problem(err), refused(err)
	}
	if report.Problem != "" {
		w.Metrics.failed("grant")
		w.Logger.WarnContext(ctx, "grant failed", "request", r.ID, "attempt", r.Attempt, "target", r.Terms.Entitlement.Target, "problem", report.Problem)
	}
	_, err = w.decide(ctx, r.ID, report)
	return err
}

// A place is a target and which one of all systems it is just now.
type place struct {
	connector.Connector
	name string
}

// locate finds the place of access that is to be made: by the configuration that
// its terms were approved with, and no other.
func (w *Worker) locate(ctx context.Context, def writ.Definition) (at place, err error) {
	defer recovered(&err)
	is, err := w.Targets.connector(ctx, w.Store.Directory(), def)
	if err != nil {
		return place{}, err
	}
	if is.config != def.Config {
		return place{}, writ.Errorf(writ.Unavailable, "the configuration of target %s is not the one that was approved", def.Target)
	}
	name, err := is.instance(ctx)
	if err != nil {
		return place{}, err
	}
	return place{is.Connector, name}, nil
}

// begin records the intent, with the signed writ the first time. Only a request
// that was proven gets one, and nothing but that writ is carried out.
func (w *Worker) begin(ctx context.Context, r writ.Request, c writ.BeginGrant) (writ.Request, error) {
	if r.Writ == "" {
		var err error
		if c.Writ, err = w.sign(r); err != nil {
			return r, err
		}
	}
	return w.begun(ctx, r.ID, c)
}

// attest signs what was done.
func (w *Worker) attest(d writ.Deed) (string, error) {
	payload, err := d.Canonical()
	if err != nil {
		return "", err
	}
	return w.Signer.Attest(payload)
}

func (w *Worker) sign(r writ.Request) (string, error) {
	o, err := r.Order()
	if err != nil {
		return "", err
	}
	payload, err := o.Canonical()
	if err != nil {
		return "", err
	}
	return w.Signer.Sign(payload)
}

// carryOut does what the writ says, and nothing else: the connector sees only
// what stands in the signed writ.
func (w *Worker) carryOut(ctx context.Context, r writ.Request, at place, report *writ.ReportGrant) (err error) {
	defer recovered(&err)
	o, err := w.verified(r)
	if err != nil {
		return err
	}
	what := order(o, at.name)
	got, err := at.Grant(ctx, what)
	if err != nil {
		return err
	}
	report.Receipt = receipt(got)
	if report.Seen, err = at.Observe(ctx, what, got); err != nil {
		return fmt.Errorf("access was granted but cannot be read back: %w", err)
	}
	if report.Seen.State == writ.Absent || len(report.Seen.Differs) > 0 {
		return fmt.Errorf("the target does not show what was ordered: %s", strings.Join(append(report.Seen.Differs, string(report.Seen.State)), "; "))
	}
	return w.deliver(ctx, o, r.Attempt, got.Credential)
}

// recovered makes an error of a panic in a connector: it must not take with it
// the end of anybody else's access.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("the connector panicked: %v", p)
	}
}

// verified returns the order in a request's writ after checking all of it
// against its signature and against the request.
func (w *Worker) verified(r writ.Request) (writ.Order, error) {
	var o writ.Order
	payload, err := w.Signer.Verify(r.Writ)
	if err == nil {
		err = json.Unmarshal(payload, &o)
	}
	if err == nil {
		err = o.Check(r)
	}
	if err != nil {
		w.Metrics.refused()
		w.Logger.Error("ALARM: a writ does not hold; nothing is done", "request", r.ID, "err", err)
		return o, fmt.Errorf("the writ does not hold: %w: %w", err, connector.ErrRefused)
	}
	return o, nil
}

// deliver keeps the credential for its holder, sealed.
func (w *Worker) deliver(ctx context.Context, o writ.Order, attempt int, c *connector.Credential) error {
	if c == nil {
		return nil
	}
	to := o.Terms.Recipient
	if to == "" {
		to = w.Seal
	}
	sealed, err := seal.Seal(c, to)
	if err != nil {
		return err
	}
	until := time.Now().Add(w.ClaimFor)
	if o.Until.Before(until) {
		until = o.Until
	}
	return w.Store.PutDelivery(ctx, store.Delivery{Request: o.Request, Attempt: attempt, Sealed: sealed, Until: until})
}

func refused(err error) bool {
	return errors.Is(err, connector.ErrRefused) || errors.Is(err, writ.Invalid) || errors.Is(err, writ.Stale)
}

// problem is an error's text as the ledger keeps it: short, on one line.
func problem(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if errors.Is(err, context.DeadlineExceeded) {
		text = "no answer in time: " + text
	}
	return strings.ToValidUTF8(text[:min(len(text), 500)], "")
}
