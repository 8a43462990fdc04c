package wake

import (
	"testing"

	"github.com/writhq/writ"
)

func TestNewestIsTold(t *testing.T) {
	var l List
	one, two, other := l.Enter("req-a"), l.Enter("req-a"), l.Enter("req-b")
	l.Wake("req-a", &writ.Request{Seq: 2})
	l.Wake("req-a", &writ.Request{Seq: 3})
	for _, w := range []Waker{one, two} {
		if r := <-w; r == nil || r.Seq != 3 {
			t.Errorf("told %v", r)
		}
	}
	if len(other) != 0 {
		t.Error("told of another request")
	}
	l.WakeAll()
	if r := <-other; r != nil {
		t.Errorf("told %v without knowing", r)
	}
	l.Leave("req-a", one)
	l.Wake("req-a", nil)
	if len(one) != 1 || len(two) != 1 { // one: what WakeAll left
		t.Error("who left is told, or who stays is not")
	}
	l.Leave("req-a", two)
	l.Leave("req-b", other)
	if n := l.Len(); n != 0 {
		t.Errorf("%d requests are waited for by nobody", n)
	}
}

// What another process wrote is known only to the database: being told of an
// older change afterwards must not hide it.
func TestLookIsNotForgotten(t *testing.T) {
	var l List
	w := l.Enter("req-a")
	l.Wake("req-a", nil)
	l.Wake("req-a", &writ.Request{Seq: 2})
	if r := <-w; r != nil {
		t.Errorf("told event %d, but a later one may be in the database", r.Seq)
	}
}
