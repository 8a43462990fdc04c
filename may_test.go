package writ

import (
	"testing"
	"time"
)

// TestMay is what is offered to whom, in each place of a life: what the
// commands themselves would then decide.
func TestMay(t *testing.T) {
	for _, c := range []struct {
		at   Status
		by   Ref
		says string
	}{
		{StatusPending, ann, "decide deny revoke"}, // the manager, in the open stage
		{StatusPending, cyd, "deny revoke"},        // of the next stage
		{StatusPending, fay, "withdraw revoke"},    // who asked
		{StatusPending, ci, "withdraw revoke"},
		{StatusPending, sol, "revoke"},
		{StatusPending, ivy, ""},
		{StatusActive, ann, "revoke"},
		{StatusActive, fay, "release revoke"},
		{StatusActive, sol, "revoke"},
		{StatusActive, ivy, ""},
		{StatusRevoking, fay, ""}, // it is under way
		{StatusRevoking, sol, ""},
		{StatusClosed, fay, ""},
		{StatusDenied, ann, ""},
	} {
		w := in(t, c.at, deploy)
		m := w.request("req-a").May(w.facts(c.by, "req-a"))
		got := ""
		for _, offer := range []struct {
			name string
			made bool
		}{{"decide", m.Decide}, {"deny", m.Deny}, {"withdraw", m.Withdraw}, {"release", m.Release}, {"revoke", m.Revoke}} {
			if offer.made {
				got += " " + offer.name
			}
		}
		if got != "" {
			got = got[1:]
		}
		if got != c.says {
			t.Errorf("%s may %q while it is %s, not %q", c.by, got, c.at, c.says)
		}
	}
}

// TestMayInAnotherPlace: whoever stands in sees in whose place.
func TestMayInAnotherPlace(t *testing.T) {
	w := in(t, StatusPending, deploy)
	must(t)(w.delegate(ann, Delegate{To: "human/ben", Until: w.now.Add(24 * time.Hour)}))
	if m := w.request("req-a").May(w.facts("human/ben", "req-a")); !m.Decide || m.For.Name != ann {
		t.Errorf("ben may %+v", m)
	}
	must(t)(w.do("human/ben", "req-a", Approve{Digest: w.request("req-a").Digest}))
	for _, by := range []Ref{ann, "human/ben"} {
		if m := w.request("req-a").May(w.facts(by, "req-a")); m.Decide {
			t.Errorf("%s may decide twice: %+v", by, m)
		}
	}
}
