package worker

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store"
	"github.com/writhq/writ/internal/worker/view"
)

// A lagging source has something happen right after it was first read.
type lagging struct {
	*store.DB
	then func()
}

func (l lagging) Entries(ctx context.Context, from, to int64) ([][]byte, error) {
	records, err := l.DB.Entries(ctx, from, to)
	l.then()
	return records, err
}

// TestChangedWhileProven is no forgery: whoever withdraws what is about to be
// granted raises no alarm.
func TestChangedWhileProven(t *testing.T) {
	w := newWorld(t, setup{}, faults{})
	r := w.authorized(t, machine(1), someKey, time.Hour)
	w.worker.View = view.New(lagging{w.store, sync.OnceFunc(func() {
		if _, err := w.door.Release(t.Context(), w.as(machine(1)), r.ID); err != nil {
			t.Error(err)
		}
	})}, w.store.Log.VerifierKey())
	if _, err := w.worker.prove(t.Context(), r.ID, r); !errors.Is(err, writ.Unavailable) || errors.Is(err, errUnproven) {
		t.Errorf("proven while it ended: %v", err)
	}
	if n := w.metric(t, "writ_writ_refusals_total", ""); n != 0 {
		t.Errorf("%v refusals counted", n)
	}
}
