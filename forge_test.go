package writ

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestAuditSeesForgedHistories proves that the checker of the random lives can
// fail: each forgery breaks one rule in a history that is otherwise true.
func TestAuditSeesForgedHistories(t *testing.T) {
	genuine, now := fullLife(t)
	if err := genuine.audit(now); err != nil {
		t.Fatalf("the true history: %v", err)
	}
	other := newWorld()
	for _, c := range []struct {
		what  string
		forge func(history) history
		says  string
	}{
		{"a vote is missing", without("approved"), "has 0 of 1 votes"},
		{"no vote at all", func(h history) history { return without("approved")(without("approved")(h)) }, "has 0 of 1 votes"},
		{"a grant without authorization", without("authorized"), "grant-begun cannot follow"},
		{"the requester votes", by("approved", other.party(fay)), "may not vote"},
		{"the owner's second account votes", by("approved", other.party("human/dee2")), "approves for themselves: acts for"},
		{"the requester's second account votes", by("approved", other.party("human/fay2")), "approves for themselves: is human/fay"},
		{"the deputy votes", by("approved", other.party(eli)), "approves for themselves: acts for service/ci"},
		{"whose machine asks votes", by("approved", other.party("human/hal")), "approves for themselves: asks for"},
		{"a vote on other terms", with("approved", func(b Approved) Body { b.Digest = "sha256:other"; return b }), "vote on other terms"},
		{"a vote too late", at("approved", monday.AddDate(0, 0, 8)), "vote after the lapse"},
		{"one person votes twice", votesTwice(other.party("human/ben"), other.party("human/ben2")), "voted twice"},
		{"asked in another's name", with("submitted", func(b Submitted) Body { b.Terms.Requester = other.party(dee); return b }), "in the name of"},
		{"a longer end", with("authorized", func(b Authorized) Body { b.Until = b.Until.Add(time.Second); return b }), "is not 24h after"},
		{"a later start", with("authorized", func(b Authorized) Body {
			b.From, b.Until = b.From.AddDate(0, 1, 0), b.Until.AddDate(0, 1, 0)
			return b
		}), "starts at"},
		{"granted after the end", at("grant-begun", monday.AddDate(0, 0, 2)), "outside its time"},
		{"active after the end", at("granted", monday.AddDate(0, 0, 2)), "active after its end"},
		{"a grant answered by an earlier attempt", with("granted", func(b Granted) Body { b.Attempt--; return b }), "stale answer 1, under way is 2"},
		{"a grant that was not seen", with("granted", func(b Granted) Body { b.Seen.State = Absent; return b }), "the read-back says otherwise"},
		{"attempts that go back", with("revoke-begun", func(b RevokeBegun) Body { b.Attempt = 1; return b }), "attempt 1 after 4"},
		{"closed while it is there", with("revoked", func(b Revoked) Body { b.Seen.State = Present; return b }), "the read-back says otherwise"},
		{"closed by a look elsewhere", with("revoked", func(b Revoked) Body { b.Instance = "two"; return b }), "the read-back says otherwise"},
		{"begun at another place", with("grant-begun", func(b GrantBegun) Body { b.Instance = "two"; return b }), "the read-back says otherwise"},
		{"closed unread", with("revoked", func(b Revoked) Body { b.Seen.State = Unread; return b }), "the read-back says otherwise"},
		{"closed by an earlier attempt", with("revoked", func(b Revoked) Body { b.Attempt--; return b }), "stale answer"},
		{"kept by nobody", with("revoked", func(b Revoked) Body { b.KeptBy = "req-b"; b.Seen.State = Present; return b }), "the read-back says otherwise"},
		{"kept by who does not hold it", with("revoke-begun", func(b RevokeBegun) Body { b.KeptBy = "req-b"; return b }), `kept by "req-b", but held by []`},
		{"taken from another who holds it", sibling(Live{ID: "req-b", Status: StatusActive}, "revoke-begun"), `kept by "", but held by [req-b]`},
		{"given while it is taken away", sibling(Live{ID: "req-b", Status: StatusRevoking, InFlight: true}, "grant-begun"), "while the same access is being taken away"},
		{"closed without a revoke", without("revoke-begun"), "stale answer"},
		{"never taken away", without("ended"), "revoke-begun cannot follow"},
		{"claimed by another", by("claimed", other.party(dee)), "claimed by human/dee"},
		{"claimed too late", at("claimed", monday.AddDate(0, 0, 2)), "claimed after the end"},
		{"claimed without a credential", func(h history) history { h[h.last("claimed")].facts.Waits = false; return h }, "nothing was given"},
		{"claimed twice", twice("claimed"), "claimed twice"},
		{"an event of another request", func(h history) history { h[1].Stream = "req-b"; return h }, "none of its own"},
		{"an event left out", func(h history) history { return slices.Delete(h, 1, 2) }, "event 3 follows event 1"},
		{"events out of order", func(h history) history { h[1], h[2] = h[2], h[1]; return h }, "event 3 follows event 1"},
		{"a kind of event that has no place here", func(h history) history { h[1].Body = Removed{}; return h }, "is not part of a request's life"},
	} {
		forged := c.forge(slices.Clone(genuine))
		if err := forged.audit(forged.fold()); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want … %s …", c.what, err, c.says)
		}
	}
	now.Until = now.Until.Add(1)
	if err := genuine.audit(now); err == nil || !strings.Contains(err.Error(), "another request") {
		t.Errorf("a changed projection: got %v", err)
	}
}

// fullLife is a life with a failure of everything that can fail.
func fullLife(t *testing.T) (history, Request) {
	w := in(t, StatusGranting, deploy)
	for _, s := range []struct {
		by Ref
		c  Command
	}{
		{writ, ReportGrant{Attempt: 1, Problem: "down"}},
		{writ, BeginGrant{Instance: "one"}},
		{writ, ReportGrant{Attempt: 2, Seen: seen(Present)}},
		{fay, Claim{}},
		{sol, Revoke{}},
		{writ, BeginRevoke{}},
		{writ, ReportRevoke{Attempt: 4, Problem: "down"}},
		{writ, BeginRevoke{}},
		{writ, ReportRevoke{Attempt: 5, Seen: seen(Absent), Instance: "one"}},
	} {
		must(t)(w.do(s.by, "req-a", s.c))
	}
	r := w.request("req-a")
	return r.history, r.Request
}

// fold applies what can be applied.
func (h history) fold() (r Request) {
	for _, e := range h {
		if next, err := r.Apply(e.Event); err == nil {
			r = next
		}
	}
	return r
}

// last returns the place of the last event of a kind.
func (h history) last(k Kind) int {
	for i, e := range slices.Backward(h) {
		if e.Body.Kind() == k {
			return i
		}
	}
	panic("the history has no " + k)
}

func (h history) number() history {
	for i := range h {
		h[i].Seq = i + 1
	}
	return h
}

func without(k Kind) func(history) history {
	return func(h history) history {
		i := h.last(k)
		return slices.Delete(h, i, i+1).number()
	}
}

func twice(k Kind) func(history) history {
	return func(h history) history {
		i := h.last(k)
		return slices.Insert(h, i, h[i]).number()
	}
}

func by(k Kind, who Party) func(history) history {
	return func(h history) history { h[h.last(k)].Actor = who; return h }
}

func at(k Kind, when time.Time) func(history) history {
	return func(h history) history { h[h.last(k)].At = when; return h }
}

func with[B Body](k Kind, change func(B) Body) func(history) history {
	return func(h history) history {
		e := &h[h.last(k)]
		e.Body = change(e.Body.(B))
		return h
	}
}

func sibling(l Live, k Kind) func(history) history {
	return func(h history) history { h[h.last(k)].facts.Siblings = []Live{l}; return h }
}

// votesTwice fills both stages with the votes of two accounts that may be in either.
func votesTwice(first, second Party) func(history) history {
	return func(h history) history {
		for i, e := range h {
			if b, ok := e.Body.(Submitted); ok {
				all := Stage{Approvers: []Approver{{first, "test"}, {second, "test"}}}
				b.Verdict.Stages = []Stage{{Name: "manager", Quorum: 1, Approvers: all.Approvers}, {Name: "security", Quorum: 1, Approvers: all.Approvers}}
				h[i].Body = b
			}
			h[i].facts.Verdict.Stages = nil
		}
		i := h.last("approved")
		h[i-1].Actor, h[i].Actor = first, second
		return h
	}
}
