package writ

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// whatEnds are the facts under which access is not given, or does not stay.
var whatEnds = []struct {
	what  string
	facts func(*world, *Facts)
	cause Cause
	says  string
}{
	{"its time is up", func(w *world, f *Facts) { f.Now = w.request("req-a").Until }, Expired, ""},
	{"the subject is retired", func(w *world, f *Facts) {
		f.Directory = w.with(`{"kind":"identity","name":"service/ci","owner":"human/dee","state":"retired"}`)
	}, IdentityRetired, "service/ci is retired"},
	{"the subject is disabled", func(w *world, f *Facts) {
		f.Directory = w.with(`{"kind":"identity","name":"service/ci","owner":"human/dee","state":"disabled"}`)
	}, IdentityRetired, "service/ci is disabled"},
	{"the subject was made again", func(w *world, f *Facts) {
		ci := w.dir.Identities[ci].withHead(Header{Kind: "identity", Name: "service/ci", UID: "another"})
		f.Directory = NewDirectory(append(w.dir.All(), ci)...)
	}, IdentityRetired, ""},
	{"nobody answers for it", func(w *world, f *Facts) {
		f.Directory = w.with(`{"kind":"identity","name":"human/dee","state":"retired"}`, `{"kind":"identity","name":"human/eli","state":"disabled"}`)
	}, OwnerLeft, "nobody active answers for service/ci"},
	{"policy says no", func(_ *world, f *Facts) {
		f.Verdict.Allowed, f.Verdict.Reasons = false, []Reason{{"freeze", true, "the calendar is frozen"}}
	}, PolicyTightened, "the calendar is frozen"},
	{"policy cannot be asked", func(_ *world, f *Facts) { f.Verdict = Verdict{} }, PolicyTightened, "no rule allows it"},
	{"policy allows less", func(_ *world, f *Facts) { f.Verdict.MaxFor = hour }, PolicyTightened, "policy now allows at most 1h"},
	{"policy has it end with more", func(_ *world, f *Facts) { f.Verdict.Ends = []string{"incident/INC-7"} }, PolicyTightened, "end with incident/INC-7"},
	{"policy asks more people", func(w *world, f *Facts) {
		f.Verdict = rules{Stages: []rule{{"security", 2, false, []Ref{"group/security"}}}}.verdict(w.dir)
	}, PolicyTightened, "stage security now needs more approvals than it has"},
	{"policy asks others too", func(w *world, f *Facts) {
		f.Verdict = rules{Stages: []rule{{"database", 1, false, []Ref{gus}}}}.verdict(w.dir)
	}, PolicyTightened, "stage database now needs more approvals than it has"},
	{"the entitlement gives more", func(w *world, f *Facts) {
		f.Directory = w.with(`{"kind":"entitlement","name":"db/deploy","target":"db","credential":"password","grant":{"role":"admin"},"maxFor":"72h"}`)
	}, DefinitionChanged, "what db/deploy gives has changed"},
	{"the target is elsewhere", func(w *world, f *Facts) {
		f.Directory = w.with(`{"kind":"target","name":"db","connector":"postgres","environment":"production","config":{"host":"evil.example"}}`)
	}, DefinitionChanged, "what db/deploy gives has changed"},
}

// TestNothingIsGrantedOnOldFacts: what has changed since it was approved is
// looked at before the target is called, at every attempt.
func TestNothingIsGrantedOnOldFacts(t *testing.T) {
	for _, status := range []Status{StatusAuthorized, StatusGranting} {
		for _, c := range whatEnds {
			w := in(t, status, deploy)
			f := w.facts(writ, "req-a")
			c.facts(w, &f)
			must(t)(w.decide("req-a", BeginGrant{Writ: "jws"}, f))
			wantEnd(t, string(status)+": "+c.what, w, c.cause, c.says)
		}
	}
}

// TestRecheckEndsWhatIsNoLongerAllowed is the same for access that exists. A
// definition that changes afterwards does not end it: it gives what was approved.
func TestRecheckEndsWhatIsNoLongerAllowed(t *testing.T) {
	for _, status := range []Status{StatusAuthorized, StatusGranting, StatusActive} {
		for _, c := range whatEnds {
			w := in(t, status, deploy)
			f := w.facts(writ, "req-a")
			c.facts(w, &f)
			events, err := w.decide("req-a", Recheck{}, f)
			stays := status == StatusActive && c.cause == DefinitionChanged
			if err != nil || stays != (len(events) == 0) {
				t.Errorf("%s: %s: got %v, %v", status, c.what, events, err)
			}
			if stays || len(events) == 0 {
				continue
			}
			wantEnd(t, string(status)+": "+c.what, w, c.cause, c.says)
			digest, _ := f.Verdict.Digest()
			if seen, ok := events[0].Body.(Rechecked); !ok || seen.Verdict != digest {
				t.Errorf("%s: %s: what policy said is not on record: %v", status, c.what, events[0].Body)
			}
		}
	}
}

// TestRecheckDeniesWhatWaits: nobody has to decide what cannot be given.
func TestRecheckDeniesWhatWaits(t *testing.T) {
	for _, c := range whatEnds {
		if c.cause == Expired || c.says == "" || c.what == "policy asks more people" || c.what == "policy asks others too" {
			continue
		}
		w := in(t, StatusPending, deploy)
		f := w.facts(writ, "req-a")
		c.facts(w, &f)
		must(t)(w.decide("req-a", Recheck{}, f))
		r := w.request("req-a")
		if r.Status != StatusDenied || !strings.Contains(r.Problem, c.says) {
			t.Errorf("%s: %s, %q", c.what, r.Status, r.Problem)
		}
	}
}

func wantEnd(t *testing.T, what string, w *world, cause Cause, says string) {
	t.Helper()
	r := w.request("req-a")
	if r.Status != StatusRevoking || r.End == nil || r.End.Cause != cause || !strings.Contains(r.End.Detail, says) {
		t.Errorf("%s: %s, end %+v, want %s: %s", what, r.Status, r.End, cause, says)
	}
}

// TestLateStart: access that did not start in time is not given, however much
// of it would be left, L10: no call begins after StartBy, also where one before
// it failed or was never answered. One that began in time may be answered later.
func TestLateStart(t *testing.T) {
	a := deploy
	a.StartBy = monday.Add(time.Hour)
	w := in(t, StatusAuthorized, a)
	w.now = a.StartBy.Add(1)
	must(t)(w.do(writ, "req-a", BeginGrant{Writ: "jws"}))
	wantEnd(t, "late", w, LateStart, "")

	w = in(t, StatusAuthorized, a)
	w.now = a.StartBy
	must(t)(w.do(writ, "req-a", BeginGrant{Writ: "jws"}))
	w.now = a.StartBy.Add(time.Second)
	must(t)(w.do(writ, "req-a", Recheck{}))
	must(t)(w.do(writ, "req-a", ReportGrant{Attempt: 1, Seen: seen(Present)}))
	if got := w.request("req-a").Status; got != StatusActive {
		t.Errorf("begun in time and answered later it is %s", got)
	}

	for what, c := range map[string][]Command{
		"failed":                  {ReportGrant{Attempt: 1, Problem: "down"}, BeginGrant{Writ: "jws"}},
		"failed, and looked at":   {ReportGrant{Attempt: 1, Problem: "down"}, Recheck{}},
		"never answered":          {BeginGrant{Writ: "jws"}},
		"answered after that":     {BeginGrant{Writ: "jws"}, ReportGrant{Attempt: 1, Seen: seen(Present)}},
		"answered no after that":  {BeginGrant{Writ: "jws"}, ReportGrant{Attempt: 1, Problem: "no", Refused: true}},
		"failed, then taken away": {ReportGrant{Attempt: 1, Problem: "down"}, BeginGrant{Writ: "jws"}, BeginRevoke{}},
	} {
		w = in(t, StatusAuthorized, a)
		w.now = a.StartBy
		must(t)(w.do(writ, "req-a", BeginGrant{Writ: "jws"}))
		w.now = a.StartBy.Add(time.Minute)
		for _, c := range c {
			must(t)(w.do(writ, "req-a", c))
		}
		wantEnd(t, what, w, LateStart, "")
	}

	w = in(t, StatusAuthorized, a) // and it does not wait for the next try to end
	must(t)(w.do(writ, "req-a", BeginGrant{Writ: "jws"}))
	w.now = a.StartBy.Add(-time.Second / 2)
	must(t)(w.do(writ, "req-a", ReportGrant{Attempt: 1, Problem: "down"}))
	if task, due := w.request("req-a").Todo(); task != DoGrant || !due.After(a.StartBy) || due.After(a.StartBy.Add(time.Millisecond)) {
		t.Errorf("to do: %s at %s, want it as soon as it is late, at %s", task, due, a.StartBy)
	}
}

func TestGrantNotBeforeItsTime(t *testing.T) {
	a := deploy
	a.StartAt = monday.Add(time.Hour)
	w := in(t, StatusAuthorized, a)
	if task, due := w.request("req-a").Todo(); task != DoGrant || !due.Equal(a.StartAt) {
		t.Errorf("to do: %s at %s", task, due)
	}
	w.now = a.StartAt.Add(-1)
	_, err := w.do(writ, "req-a", BeginGrant{Writ: "jws"})
	refused(t, "early", err, Conflict, "req-a starts at 2026-11-02T10:00:00Z")
	w.now = a.StartAt
	must(t)(w.do(writ, "req-a", BeginGrant{Writ: "jws"}))
}

// TestNoWritNoAccess: the first attempt brings the writ, and none replaces it.
func TestNoWritNoAccess(t *testing.T) {
	w := in(t, StatusAuthorized, deploy)
	_, err := w.do(writ, "req-a", BeginGrant{})
	refused(t, "without a writ", err, Invalid, "without one nothing is granted")
	must(t)(w.do(writ, "req-a", BeginGrant{Writ: "first"}))
	must(t)(w.do(writ, "req-a", BeginGrant{Writ: "second"}))
	must(t)(w.do(writ, "req-a", BeginGrant{}))
	if r := w.request("req-a"); r.Writ != "first" || r.Attempt != 3 {
		t.Errorf("attempt %d has the writ %q", r.Attempt, r.Writ)
	}
}

// TestGrantTriesAgain: later each time, but never later than the end.
func TestGrantTriesAgain(t *testing.T) {
	w := in(t, StatusGranting, deploy)
	var waits []time.Duration
	for n := 1; n <= 12; n++ {
		must(t)(w.do(writ, "req-a", ReportGrant{Attempt: n, Problem: "down"}))
		r := w.request("req-a")
		task, due := r.Todo()
		if task != DoGrant || r.InFlight || r.Problem != "down" {
			t.Fatalf("after failure %d: %s, in flight %t, problem %q", n, task, r.InFlight, r.Problem)
		}
		waits = append(waits, due.Sub(w.now)/time.Second)
		must(t)(w.do(writ, "req-a", BeginGrant{}))
	}
	if diff := cmp.Diff([]time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 512, 512}, waits); diff != "" {
		t.Error(diff)
	}
	w.now = w.request("req-a").Until.Add(-time.Second)
	must(t)(w.do(writ, "req-a", ReportGrant{Attempt: 13, Problem: "down"}))
	if _, due := w.request("req-a").Todo(); !due.Equal(w.request("req-a").Until) {
		t.Errorf("next due %s, after its end %s", due, w.request("req-a").Until)
	}
	must(t)(w.do(writ, "req-a", BeginGrant{}))
	must(t)(w.do(writ, "req-a", ReportGrant{Attempt: 14, Receipt: Receipt{External: "x"}, Seen: seen(Present)}))
	if r := w.request("req-a"); r.Status != StatusActive || r.Tries != 0 || r.Problem != "" || r.Receipt.External != "x" {
		t.Errorf("granted at last: %+v", r.Request)
	}
}

// TestOnlyTheLatestAnswerCounts takes answers in every wrong order.
func TestOnlyTheLatestAnswerCounts(t *testing.T) {
	w := in(t, StatusGranting, deploy)
	must(t)(w.do(writ, "req-a", BeginGrant{}))
	for _, c := range []ReportGrant{
		{Attempt: 1, Seen: seen(Present)}, {Attempt: 1, Problem: "down"}, {Attempt: 1, Problem: "no", Refused: true}, {Attempt: 3, Seen: seen(Present)},
	} {
		if events, err := w.do(writ, "req-a", c); err != nil || len(events) > 0 {
			t.Errorf("%+v while attempt 2 is under way: got %v, %v", c, events, err)
		}
	}
	must(t)(w.do(writ, "req-a", ReportGrant{Attempt: 2, Problem: "down"}))
	if events, err := w.do(writ, "req-a", ReportGrant{Attempt: 2, Seen: seen(Present)}); err != nil || len(events) > 0 {
		t.Errorf("a second answer to attempt 2: got %v, %v", events, err)
	}
	w = in(t, StatusActive, deploy)
	_, err := Decide(w.request("req-a").Request, "req-a", ReportGrant{Attempt: 2, Seen: seen(Present)}, w.facts(writ, "req-a"))
	refused(t, "an answer to what was never begun", err, Conflict, "strayed cannot follow")
}

// TestGrantWaitsForARevoke: the same access is not given while it is being
// taken away for another request: the late end of that call would take it too.
func TestGrantWaitsForARevoke(t *testing.T) {
	readers := Ask{Subject: ci, Entitlement: "db/readers", For: 24 * hour}
	w := in(t, StatusRevoking, readers)
	w.rule(rules{})
	must(t)(w.ask(dee, "req-b", readers))
	must(t)(w.do(writ, "req-a", BeginRevoke{}))
	_, err := w.do(writ, "req-b", BeginGrant{Writ: "jws"})
	refused(t, "under way", err, Unavailable, "req-b waits: the same access is being taken away for req-a")
	must(t)(w.do(writ, "req-a", ReportRevoke{Attempt: w.request("req-a").Attempt, Seen: seen(Absent)}))
	must(t)(w.do(writ, "req-b", BeginGrant{Writ: "jws"}))
}
