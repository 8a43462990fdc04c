package worker

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writhq/writ"
)

// TestOldLedgerGrantsNothing: while the ledger must not be trusted what was
// decided waits, and what has to end ends in time (L16, L17).
func TestOldLedgerGrantsNothing(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, setup{Dir: dir}, faults{})
		var old atomic.Bool
		w.worker.Safe = func() error {
			if old.Load() {
				return writ.Errorf(writ.Unavailable, "an old copy")
			}
			return nil
		}
		stop := w.work(t)
		defer stop()
		ends := w.active(t, machine(0), someKey, 20*time.Second)
		old.Store(true)
		waits := w.authorized(t, machine(1), someKey, time.Hour)
		over := w.reach(t, ends.ID, writ.StatusClosed)
		if late := over.ClosedAt.Sub(over.Until); over.End.Cause != writ.Expired || late > time.Second {
			t.Errorf("ended by %s, %s late", over.End.Cause, late)
		}
		if r := w.get(t, waits.ID); r.Status != writ.StatusAuthorized || r.Attempt != 0 {
			t.Errorf("granted on an old copy: %s, attempt %d", r.Status, r.Attempt)
		}
		old.Store(false)
		w.reach(t, waits.ID, writ.StatusActive)
	})
}
