// Package wake tells those who wait for a request what has become of it.
package wake

import (
	"sync"

	"github.com/writhq/writ"
)

// A List is those who wait for a change of a request.
type List struct {
	mu sync.Mutex
	on map[writ.ID]map[Waker]bool
}

// A Waker holds the newest change that who waits has not taken yet: the request
// after it, or nil where only a look into the database tells.
type Waker chan *writ.Request

// Enter returns a Waker for changes of a request from now on.
func (w *List) Enter(id writ.ID) Waker {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.on == nil {
		w.on = map[writ.ID]map[Waker]bool{}
	}
	if w.on[id] == nil {
		w.on[id] = map[Waker]bool{}
	}
	one := make(Waker, 1)
	w.on[id][one] = true
	return one
}

// Leave ends that.
func (w *List) Leave(id writ.ID, one Waker) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if delete(w.on[id], one); len(w.on[id]) == 0 {
		delete(w.on, id)
	}
}

// Wake tells who waits for the request what it is now, or with nil to look into the
// database.
func (w *List) Wake(id writ.ID, now *writ.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for one := range w.on[id] {
		one.set(now)
	}
}

// WakeAll sends everybody who waits to look into the database.
func (w *List) WakeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, all := range w.on {
		for one := range all {
			one.set(nil)
		}
	}
}

// Len returns how many requests somebody waits for.
func (w *List) Len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.on)
}

// set replaces what was not taken yet; only a look into the database says more
// than whatever else there is. One goroutine does it at a time.
func (w Waker) set(now *writ.Request) {
	select {
	case was := <-w:
		if was == nil {
			now = nil
		}
	default:
	}
	w <- now
}
