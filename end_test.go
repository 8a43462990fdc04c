package writ

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMeet(t *testing.T) {
	a := deploy
	a.Ends = []string{"incident/INC-7", "ticket/CHG-1", "review/2026"}
	for condition, cause := range map[string]Cause{
		"incident/INC-7": IncidentResolved, "ticket/CHG-1": TicketClosed, "review/2026": ConditionMet,
	} {
		w := in(t, StatusActive, a)
		must(t)(w.do(writ, "req-a", Meet{condition}))
		wantEnd(t, condition, w, cause, condition)
	}
	w := in(t, StatusPending, a)
	must(t)(w.do(writ, "req-a", Meet{"ticket/CHG-1"}))
	if r := w.request("req-a"); r.Status != StatusDenied || r.Problem != "ticket/CHG-1 is over" {
		t.Errorf("before it began: %s, %q", r.Status, r.Problem)
	}
}

// TestRevokeNeedsNoPolicy: taking access away works when policy is down, L16.
func TestRevokeNeedsNoPolicy(t *testing.T) {
	for _, by := range []Ref{ann, gus, dee, eli, ci, fay} {
		w := in(t, StatusActive, deploy)
		f := w.facts(by, "req-a")
		f.Verdict, f.Authority = Verdict{}, Authority{}
		must(t)(w.decide("req-a", Revoke{Note: "sha256:note"}, f))
		wantEnd(t, string(by), w, CutOff, "")
		if note := w.request("req-a").End.Note; note != "sha256:note" {
			t.Errorf("%s: the note is %q", by, note)
		}
	}
}

// TestUntilIsTheEnd: nobody has to notice; whoever looks sees it, L6.
func TestUntilIsTheEnd(t *testing.T) {
	w := in(t, StatusActive, deploy)
	until := w.request("req-a").Until
	if task, due := w.request("req-a").Todo(); task != DoExpire || !due.Equal(until) {
		t.Errorf("to do: %s at %s", task, due)
	}
	w.now = until.Add(-1)
	f := w.facts(writ, "req-a")
	f.Verdict = Verdict{} // who only looks at the clock asks no policy
	if events, err := w.decide("req-a", Expire{}, f); err != nil || len(events) > 0 {
		t.Errorf("a moment before: got %v, %v", events, err)
	}
	w.now = until
	_, err := w.do(fay, "req-a", Claim{})
	refused(t, "claimed at the end", err, Conflict, "can be claimed while access is active")
	must(t)(w.do(writ, "req-a", Expire{}))
	wantEnd(t, "at the end", w, Expired, "")
}

func TestClaimOnce(t *testing.T) {
	w := in(t, StatusActive, deploy)
	must(t)(w.do(fay, "req-a", Claim{}))
	w.now = w.now.Add(time.Hour)
	_, err := w.do(fay, "req-a", Claim{})
	refused(t, "again", err, Conflict, "was claimed by human/fay at 2026-11-02T09:00:00Z; it is given once: release it and ask again")

	w = in(t, StatusActive, deploy)
	f := w.facts(fay, "req-a")
	f.Actor.UID = "made again"
	_, err = w.decide("req-a", Claim{}, f)
	refused(t, "another of the same name", err, Forbidden, "only human/fay, who asked")
	f = w.facts(fay, "req-a")
	f.Waits = false
	_, err = w.decide("req-a", Claim{}, f)
	refused(t, "too late", err, NotFound, "no credential waits for req-a any more")

	w = in(t, StatusActive, Ask{Subject: ci, Entitlement: "db/readers", For: hour})
	_, err = w.do(fay, "req-a", Claim{})
	refused(t, "a membership", err, Conflict, "issues no credential: service/ci has the access itself")
}

// TestRevokeIsTriedForEver: only a read-back that shows nothing ends it, L1.
func TestRevokeIsTriedForEver(t *testing.T) {
	w := in(t, StatusRevoking, deploy)
	reports := []ReportRevoke{
		{Problem: "down"}, {Seen: seen(Absent), Problem: "lost the reply"}, {Seen: seen(Present)}, {Seen: seen(Unread)}, {},
	}
	for n := range 40 {
		must(t)(w.do(writ, "req-a", BeginRevoke{}))
		c := reports[n%len(reports)]
		c.Attempt = w.request("req-a").Attempt
		must(t)(w.do(writ, "req-a", c))
		task, due := w.request("req-a").Todo()
		if task != DoRevoke || due.Sub(w.now) > 9*time.Minute || w.request("req-a").Problem == "" {
			t.Fatalf("after failure %d: %s in %s, problem %q", n+1, task, due.Sub(w.now), w.request("req-a").Problem)
		}
	}
	must(t)(w.do(writ, "req-a", BeginRevoke{}))
	must(t)(w.do(writ, "req-a", ReportRevoke{Attempt: w.request("req-a").Attempt, Seen: seen(Absent)}))
	if r := w.request("req-a"); r.Status != StatusClosed || r.Problem != "" || !r.ClosedAt.Equal(w.now) {
		t.Errorf("gone at last: %+v", r.Request)
	}
}

// TestRevokeDuringGrant lets the end come first and the answer of the grant
// late: it may have made access after the revoke, so that is done again.
func TestRevokeDuringGrant(t *testing.T) {
	late := func(t *testing.T, w *world) {
		must(t)(w.do(writ, "req-a", ReportGrant{Attempt: 1, Seen: seen(Present)}))
		r := w.request("req-a")
		if r.Status != StatusRevoking || r.InFlight || !r.ClosedAt.IsZero() {
			t.Fatalf("after the late answer: %+v", r.Request)
		}
	}
	w := in(t, StatusGranting, deploy)
	must(t)(w.do(sol, "req-a", Revoke{}))
	must(t)(w.do(writ, "req-a", BeginRevoke{}))
	under := w.request("req-a").Attempt
	late(t, w)
	if events, err := w.do(writ, "req-a", ReportRevoke{Attempt: under, Seen: seen(Absent)}); err != nil || len(events) > 0 {
		t.Errorf("a revoke from before the late answer proves nothing: got %v, %v", events, err)
	}
	must(t)(w.do(writ, "req-a", BeginRevoke{}))
	must(t)(w.do(writ, "req-a", ReportRevoke{Attempt: w.request("req-a").Attempt, Seen: seen(Absent)}))
	late(t, w) // and once more, after it was closed
}

// TestFindAfterTheEnd: access that is seen again is taken away again.
func TestFindAfterTheEnd(t *testing.T) {
	w := in(t, StatusClosed, deploy)
	must(t)(w.do(writ, "req-a", Find{seen(Present)}))
	if r := w.request("req-a"); r.Status != StatusRevoking || r.Problem != "access was seen after its end" {
		t.Errorf("found: %+v", r.Request)
	}
	must(t)(w.do(writ, "req-a", BeginRevoke{}))
}

// TestTheLastOneOutRevokes ends two requests for one access in every order, L9.
// Each is ended (e) and then taken away (r); what is taken from the target must
// be taken once, by the last of them.
func TestTheLastOneOutRevokes(t *testing.T) {
	readers := Ask{Subject: ci, Entitlement: "db/readers", For: 24 * hour}
	got := ""
	for _, order := range []string{"ea ra eb rb", "ea eb ra rb", "ea eb rb ra", "eb ea ra rb", "eb ea rb ra", "eb rb ea ra"} {
		w := in(t, StatusActive, readers)
		w.rule(rules{})
		must(t)(w.ask(dee, "req-b", readers))
		must(t)(w.do(writ, "req-b", BeginGrant{Writ: "jws"}))
		must(t)(w.do(writ, "req-b", ReportGrant{Attempt: 1, Seen: seen(Present)}))
		for _, s := range strings.Fields(order) {
			id := ID("req-" + s[1:])
			if s[0] == 'e' {
				must(t)(w.do(sol, id, Revoke{}))
				continue
			}
			must(t)(w.do(writ, id, BeginRevoke{}))
			state := Absent
			if w.request(id).KeptBy != "" {
				state = Present // the target is not touched
			}
			must(t)(w.do(writ, id, ReportRevoke{Attempt: w.request(id).Attempt, Seen: seen(state)}))
		}
		a, b := w.request("req-a"), w.request("req-b")
		got += fmt.Sprintf("%s: a %s kept by %q, b %s kept by %q\n", order, a.Status, a.KeptBy, b.Status, b.KeptBy)
		for _, r := range []*past{a, b} {
			if err := r.history.audit(r.Request); err != nil {
				t.Errorf("%s: %v", order, err)
			}
		}
	}
	want := `ea ra eb rb: a closed kept by "req-b", b closed kept by ""
ea eb ra rb: a closed kept by "", b closed kept by ""
ea eb rb ra: a closed kept by "", b closed kept by ""
eb ea ra rb: a closed kept by "", b closed kept by ""
eb ea rb ra: a closed kept by "", b closed kept by ""
eb rb ea ra: a closed kept by "", b closed kept by "req-a"
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestWhatIsKeptIsNotTaken: while a grant of the same access is under way, or
// the keeper is gone by the time of the next try, and for access that is its own.
func TestWhatIsKeptIsNotTaken(t *testing.T) {
	readers := Ask{Subject: ci, Entitlement: "db/readers", For: 24 * hour}
	w := in(t, StatusRevoking, readers)
	w.rule(rules{})
	must(t)(w.ask(dee, "req-b", readers))
	keeper := func() ID {
		must(t)(w.do(writ, "req-a", BeginRevoke{}))
		return w.request("req-a").KeptBy
	}
	if got := keeper(); got != "" {
		t.Errorf("authorized only, req-b keeps it: %s", got)
	}
	must(t)(w.do(writ, "req-a", ReportRevoke{Attempt: w.request("req-a").Attempt, Problem: "down"}))
	must(t)(w.do(writ, "req-b", BeginGrant{Writ: "jws"}))
	if got := keeper(); got != "req-b" {
		t.Errorf("granting, it is kept by %q", got)
	}
	must(t)(w.do(writ, "req-a", ReportRevoke{Attempt: w.request("req-a").Attempt, Seen: seen(Present)}))
	if events, err := w.do(writ, "req-a", Find{seen(Present)}); err != nil || len(events) > 0 {
		t.Errorf("what another holds is found: got %v, %v", events, err)
	}
	must(t)(w.do(writ, "req-a", ReportGrant{Attempt: 1, Seen: seen(Present)}))
	if r := w.request("req-a"); r.Status != StatusRevoking || r.KeptBy != "" {
		t.Errorf("a late answer, and yet it is %s and kept by %q", r.Status, r.KeptBy)
	}
	must(t)(w.do(writ, "req-b", ReportGrant{Attempt: 1, Problem: "no", Refused: true}))
	if got := keeper(); got != "" {
		t.Errorf("req-b is ending and keeps it: %s", got)
	}
	must(t)(w.do(writ, "req-a", ReportRevoke{Attempt: w.request("req-a").Attempt, Seen: seen(Present)}))
	if got := w.request("req-a").Status; got != StatusRevoking {
		t.Errorf("kept by nobody and still there, it is %s", got)
	}

	w = in(t, StatusRevoking, deploy)
	w.rule(rules{})
	must(t)(w.ask(dee, "req-b", deploy))
	must(t)(w.do(writ, "req-b", BeginGrant{Writ: "jws"}))
	if got := keeper(); got != "" {
		t.Errorf("a password of its own is kept by %s", got)
	}
}

// TestAbsenceElsewhereProvesNothing: only where access may have been made can it
// be seen to be gone, L1.
func TestAbsenceElsewhereProvesNothing(t *testing.T) {
	for _, c := range []struct {
		what       string
		made, read string
		status     Status
		says       string
		keptBy     ID
	}{
		{what: "the same place", made: "one", read: "one", status: StatusClosed},
		{what: "another place", made: "one", read: "two", status: StatusRevoking, says: "access was made at one, but target db now leads to two; point its configuration back until req-a has ended"},
		{what: "no place", made: "one", read: "", status: StatusRevoking, says: "leads to an unknown place"},
		{what: "nothing was called", made: "", read: "two", status: StatusClosed},
		{what: "somebody else holds it", made: "one", read: "two", keptBy: "req-b", status: StatusClosed},
	} {
		w, must := in(t, StatusAuthorized, deploy), must(t)
		must(w.do(writ, "req-a", BeginGrant{Writ: "jws", Instance: c.made}))
		must(w.do(writ, "req-a", ReportGrant{Attempt: 1, Problem: "the answer was lost"}))
		must(w.do(sol, "req-a", Revoke{}))
		f := w.facts(writ, "req-a")
		if c.keptBy != "" {
			f.Siblings = []Live{{ID: c.keptBy, Status: StatusActive}}
		}
		must(w.decide("req-a", BeginRevoke{}, f))
		must(w.do(writ, "req-a", ReportRevoke{Attempt: w.request("req-a").Attempt, Seen: seen(Absent), Instance: c.read}))
		if r := w.request("req-a"); r.Status != c.status || !strings.Contains(r.Problem, c.says) {
			t.Errorf("%s: %s, %q", c.what, r.Status, r.Problem)
		}
	}
}

// TestOneRequestIsMadeAtOnePlace: a second try elsewhere ends it instead; a try
// that was never made is not held against the next.
func TestOneRequestIsMadeAtOnePlace(t *testing.T) {
	w, must := in(t, StatusAuthorized, deploy), must(t)
	try := func(instance string) {
		must(w.do(writ, "req-a", BeginGrant{Writ: "jws", Instance: instance}))
		if w.request("req-a").Status == StatusGranting {
			must(w.do(writ, "req-a", ReportGrant{Attempt: w.request("req-a").Attempt, Problem: "down"}))
		}
	}
	try("")
	try("one")
	try("")
	try("one")
	if r := w.request("req-a"); r.Status != StatusGranting || r.Instance != "one" {
		t.Errorf("%s at %q", r.Status, r.Instance)
	}
	try("two")
	wantEnd(t, "elsewhere", w, DefinitionChanged, "access was made at one")
}
