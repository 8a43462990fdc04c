package worker

import (
	"context"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store"
	"github.com/writhq/writ/policy"
)

// watch sweeps at start and whenever documents have changed. What is due does
// not wait for it.
func (w *Worker) watch(ctx context.Context) {
	tick := time.NewTicker(idle)
	defer tick.Stop()
	var swept *writ.Directory
	for ctx.Err() == nil {
		if dir := w.Store.Directory(); dir != swept && w.sweep(ctx, dir) {
			swept = dir
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// sweep holds every live request against the documents: an owner who left, an
// identity that was retired, a policy that is stricter now. It looks without
// writing, and only what must change goes through a decision. It reports
// whether it could look at all of them: one that fails is no reason to leave
// out the others.
func (w *Worker) sweep(ctx context.Context, dir *writ.Directory) (whole bool) {
	live := map[writ.UID][]writ.Live{}
	q := store.Query{Limit: 500, Status: []writ.Status{
		writ.StatusPending, writ.StatusAuthorized, writ.StatusGranting, writ.StatusActive,
	}}
	for whole = true; ctx.Err() == nil; {
		page, err := w.Store.List(ctx, q)
		if err != nil {
			w.Logger.WarnContext(ctx, "live requests cannot be read; trying again", "err", err)
			return false
		}
		for _, r := range page {
			if err := w.recheck(ctx, dir, r, live); err != nil {
				whole = false
				w.Logger.WarnContext(ctx, "recheck failed; trying again", "request", r.ID, "err", err)
			}
		}
		if len(page) < q.Limit {
			return whole
		}
		q.Before = page[len(page)-1].ID
	}
	return false
}

func (w *Worker) recheck(ctx context.Context, dir *writ.Directory, r writ.Request, live map[writ.UID][]writ.Live) error {
	f := writ.Facts{Now: time.Now().UTC(), Actor: writ.System, Directory: dir}
	all, err := w.live(ctx, r.Terms.Subject.UID, live)
	if err != nil {
		return err
	}
	for _, other := range all {
		if other.ID != r.ID {
			f.Live = append(f.Live, other)
		}
	}
	f.Verdict = w.Judge.Verdict(policy.Query{Terms: r.Terms, Facts: f})
	if events, err := writ.Decide(r, r.ID, writ.Recheck{}, f); err != nil || len(events) == 0 {
		return err
	}
	if !w.was(ctx, r) && ctx.Err() == nil { // it ends all the same, and nobody must miss why
		w.Metrics.refused()
		w.Logger.ErrorContext(ctx, "ALARM: a request is not what its events made it; it ends", "request", r.ID, "err", errUnproven)
	}
	_, err = w.decide(ctx, r.ID, writ.Recheck{})
	return err
}

// live returns a subject's live requests, read once for each sweep.
func (w *Worker) live(ctx context.Context, subject writ.UID, known map[writ.UID][]writ.Live) ([]writ.Live, error) {
	if all, ok := known[subject]; ok {
		return all, nil
	}
	rs, err := w.Store.List(ctx, store.Query{Subject: subject, Limit: writ.MaxLive, Status: []writ.Status{
		writ.StatusPending, writ.StatusAuthorized, writ.StatusGranting, writ.StatusActive, writ.StatusRevoking,
	}})
	if err != nil {
		return nil, err
	}
	all := make([]writ.Live, len(rs))
	for i, r := range rs {
		all[i] = r.Live()
	}
	known[subject] = all
	return all, nil
}
