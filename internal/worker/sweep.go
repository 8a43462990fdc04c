package worker

import (
	"context"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store"
	"github.com/writhq/writ/policy"
)

// sweep holds every live request against the documents when these have
// changed: an owner who left, an identity that was retired, a policy that is
// stricter now. It runs once at start, too. It looks without writing, and only
// what must change goes through a decision.
func (w *Worker) sweep(ctx context.Context) {
	dir := w.Store.Directory()
	if w.swept.Load() == dir {
		return
	}
	q := store.Query{Limit: 500, Status: []writ.Status{
		writ.StatusPending, writ.StatusAuthorized, writ.StatusGranting, writ.StatusActive,
	}}
	for {
		page, err := w.Store.List(ctx, q)
		if err != nil {
			w.Logger.WarnContext(ctx, "live requests cannot be read; trying again", "err", err)
			return
		}
		for _, r := range page {
			if err := w.recheck(ctx, dir, r); err != nil {
				w.Logger.WarnContext(ctx, "recheck failed; trying again", "request", r.ID, "err", err)
				return
			}
		}
		if len(page) < q.Limit {
			w.swept.Store(dir)
			return
		}
		q.Before = page[len(page)-1].ID
	}
}

func (w *Worker) recheck(ctx context.Context, dir *writ.Directory, r writ.Request) error {
	f := writ.Facts{Now: time.Now().UTC(), Actor: writ.System, Directory: dir}
	live, err := w.Store.List(ctx, store.Query{Subject: r.Terms.Subject.UID, Limit: writ.MaxLive, Status: []writ.Status{
		writ.StatusPending, writ.StatusAuthorized, writ.StatusGranting, writ.StatusActive, writ.StatusRevoking,
	}})
	if err != nil {
		return err
	}
	for _, other := range live {
		if other.ID != r.ID {
			f.Live = append(f.Live, other.Live())
		}
	}
	f.Verdict = w.Judge.Verdict(policy.Query{Terms: r.Terms, Facts: f})
	if events, err := writ.Decide(r, r.ID, writ.Recheck{}, f); err != nil || len(events) == 0 {
		return err
	}
	_, err = w.decide(ctx, r.ID, writ.Recheck{})
	return err
}
