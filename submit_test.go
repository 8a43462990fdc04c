package writ

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// refused reports an error that is not of this kind or does not say this.
func refused(t *testing.T, what string, err error, kind Fault, says string) {
	t.Helper()
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), says) {
		t.Errorf("%s: got %v, want %s: … %s …", what, err, kind, says)
	}
}

func TestAskForWhatCannotBeGiven(t *testing.T) {
	for _, c := range []struct {
		what string
		ask  func(*Ask)
		says string
	}{
		{"unknown subject", func(a *Ask) { a.Subject = "service/nobody" }, `there is no identity "service/nobody"`},
		{"unknown entitlement", func(a *Ask) { a.Entitlement = "db/all" }, `there is no entitlement "db/all"`},
		{"unknown scope parameter", func(a *Ask) { a.Scope["row"] = "7" }, "no scope parameter \"row\"; it has: schema, table"},
		{"scope where there is none", func(a *Ask) { a.Entitlement = "db/readers" }, "it has: none"},
		{"scope not one of", func(a *Ask) { a.Scope["schema"] = "hr" }, "it is one of: app, audit"},
		{"scope outside the pattern", func(a *Ask) { a.Scope["table"] = "orders; drop" }, "it matches [a-z_]+"},
		{"scope with a line more", func(a *Ask) { a.Scope["table"] = "orders\n" }, "it matches [a-z_]+"},
		{"empty scope", func(a *Ask) { a.Scope["table"] = "" }, "it matches [a-z_]+"},
		{"scope left out", func(a *Ask) { a.Scope = nil }, "needs scope schema; it is one of"},
		{"no duration", func(a *Ask) { a.For = 0 }, "for how long?"},
		{"negative duration", func(a *Ask) { a.For = -hour }, "for how long?"},
		{"duration over the limit", func(a *Ask) { a.For = 72*hour + 1e9 }, "allows at most 3d; 72h1s is too long: ask for less"},
		{"start in the past", func(a *Ask) { a.StartBy = monday }, "is past; give a later one"},
		{"start after its latest", func(a *Ask) { a.StartBy, a.StartAt = monday.Add(1e9), monday.Add(2e9) }, "is after startBy"},
		{"end without a name", func(a *Ask) { a.Ends = []string{"incident/"} }, "write it as kind/name"},
		{"certificate without a key", func(a *Ask) { a.Entitlement, a.Scope, a.For = "db/tunnel", nil, hour }, "send what it is for as publicKey"},
	} {
		a := deploy
		a.Scope = map[string]string{"schema": "app"}
		c.ask(&a)
		_, err := a.Terms("req-a", newWorld().facts(dee, "req-a"))
		refused(t, c.what, err, Invalid, c.says)
	}
}

func TestTermsAreComplete(t *testing.T) {
	w := newWorld()
	a := deploy
	a.StartAt = time.Date(2026, 11, 3, 9, 0, 0, 999, time.FixedZone("", 3600))
	terms, err := a.Terms("req-a", w.facts(dee, "req-a"))
	if err != nil {
		t.Fatal(err)
	}
	config, _ := digest("writ/config/v1", map[string]string{"host": "db.example"})
	ent := w.dir.Entitlements["db/deploy"]
	want := Terms{
		V: 1, Request: "req-a", Revision: 1, Requester: w.party(dee), Subject: w.party(ci),
		Scope: map[string]string{"schema": "app", "table": "orders"}, For: 24 * hour,
		StartAt: time.Date(2026, 11, 3, 8, 0, 0, 0, time.UTC), Ends: []string{},
		Entitlement: Definition{
			Name: "db/deploy", UID: ent.UID, Target: "db", TargetUID: w.dir.Targets["db"].UID, Connector: "postgres",
			Environment: "production", Credential: "password", Grant: []byte(`{"role":"deploy"}`), Config: config,
		},
	}
	if diff := cmp.Diff(want, terms); diff != "" {
		t.Error(diff)
	}
}

func TestSubmitAsWho(t *testing.T) {
	for by, may := range map[Ref]bool{
		ci: true, dee: true, eli: true, fay: true, "service/robot": true, "agent/aide": true,
		"human/dee2": false, "human/fay2": false, ann: false, gus: false, writ: false, "human/gone": false,
	} {
		_, err := newWorld().ask(by, "req-a", deploy)
		if may != (err == nil) {
			t.Errorf("%s: got %v", by, err)
		}
		if !may {
			refused(t, string(by), err, Forbidden, "")
		}
	}
}

func TestSubmitRefused(t *testing.T) {
	for _, c := range []struct {
		what  string
		world func(*world, *Facts, *Terms)
		kind  Fault
		says  string
	}{
		{"in another's name", func(w *world, _ *Facts, t *Terms) { t.Requester = w.party(fay) }, Invalid, "make them again"},
		{"terms of another request", func(_ *world, _ *Facts, t *Terms) { t.Request = "req-b" }, Invalid, "make them again"},
		{"the requester left", func(w *world, f *Facts, _ *Terms) {
			f.Directory = w.with(`{"kind":"identity","name":"human/dee","state":"retired"}`)
		}, Forbidden, "human/dee is not an active identity"},
		{"the subject is retired", func(w *world, f *Facts, _ *Terms) {
			f.Directory = w.with(`{"kind":"identity","name":"service/ci","owner":"human/dee","state":"retired"}`)
		}, Forbidden, "service/ci gets no access: service/ci is retired"},
		{"the subject is another by now", func(_ *world, _ *Facts, t *Terms) { t.Subject.UID = "before" }, Forbidden, "service/ci gets no access"},
		{"too many at once", func(_ *world, f *Facts, _ *Terms) { f.Live = make([]Live, MaxLive) }, Conflict, "200 live requests, the most"},
		{"longer than policy allows", func(_ *world, f *Facts, _ *Terms) { f.Verdict.MaxFor = 23 * hour }, Invalid, "policy allows db/deploy for at most 23h; 24h is too long"},
		{"a later start than policy allows", func(_ *world, f *Facts, t *Terms) {
			f.Verdict.StartWithin, t.StartBy = hour, monday.Add(2*time.Hour)
		}, Invalid, "startBy 2026-11-02T11:00:00Z is later than policy allows: 2026-11-02T10:00:00Z"},
		{"a start after the latest", func(_ *world, _ *Facts, t *Terms) { t.StartAt = monday.AddDate(0, 0, 8) }, Invalid, "is later than the latest start"},
	} {
		w := newWorld()
		f := w.facts(dee, "req-a")
		terms, err := deploy.Terms("req-a", f)
		if err != nil {
			t.Fatal(err)
		}
		c.world(w, &f, &terms)
		_, err = w.decide("req-a", Submit{terms}, f)
		refused(t, c.what, err, c.kind, c.says)
		if len(w.requests) > 0 {
			t.Errorf("%s: a refused request is there", c.what)
		}
	}
	w := newWorld()
	must(t)(w.ask(dee, "req-a", deploy))
	_, err := w.ask(dee, "req-a", deploy)
	refused(t, "again", err, Conflict, "request req-a exists")
}

func TestSubmitSetsTheBounds(t *testing.T) {
	day := 24 * time.Hour
	for _, c := range []struct {
		what           string
		rules          rules
		startBy        time.Time
		lapse, startBe time.Duration
	}{
		{"by itself", rules{}, time.Time{}, 7 * day, 7 * day},
		{"policy decides sooner", rules{DecideIn: 24 * hour}, time.Time{}, day, day},
		{"policy starts sooner", rules{StartWithin: 12 * hour}, time.Time{}, day / 2, day / 2},
		{"policy starts later", rules{DecideIn: 24 * hour, StartWithin: 48 * hour}, time.Time{}, day, 2 * day},
		{"asked to start soon", rules{}, monday.Add(time.Hour), time.Hour, time.Hour},
		{"asked to start late", rules{}, monday.Add(30 * day), 7 * day, 30 * day},
	} {
		w := newWorld()
		c.rules.Stages = managerThenSecurity.Stages
		w.rule(c.rules)
		a := deploy
		a.StartBy = c.startBy
		must(t)(w.ask(dee, "req-a", a))
		r := w.request("req-a")
		if !r.LapseAt.Equal(monday.Add(c.lapse)) || !r.Terms.StartBy.Equal(monday.Add(c.startBe)) {
			t.Errorf("%s: lapses at %s, starts by %s", c.what, r.LapseAt, r.Terms.StartBy)
		}
	}
}

func TestSubmitAnswers(t *testing.T) {
	for _, c := range []struct {
		what  string
		rules rules
		want  string
	}{
		{"people decide", managerThenSecurity, "submitted → pending"},
		{"nobody need decide", rules{}, "submitted authorized → authorized"},
		{"policy says no", rules{Deny: "the calendar is frozen", Stages: managerThenSecurity.Stages}, "submitted denied → denied"},
		{"policy says no and nobody would decide", rules{Deny: "frozen"}, "submitted denied → denied"},
		{"a stage without a quorum still asks one person", rules{Stages: []rule{{"any", 0, false, []Ref{ann}}}}, "submitted → pending"},
		{"a stage without people waits", rules{Stages: []rule{{"any", 1, false, nil}}}, "submitted → pending"},
	} {
		w := newWorld()
		w.rule(c.rules)
		events, err := w.ask(dee, "req-a", deploy)
		if got := answer(w, "req-a", events, err); got != c.want {
			t.Errorf("%s: got %s, want %s", c.what, got, c.want)
		}
	}
}

// TestSubmitAddsTheEndsOfPolicy also says that the ask itself stays as it was.
func TestSubmitAddsTheEndsOfPolicy(t *testing.T) {
	w := newWorld()
	w.rule(rules{Ends: []string{"incident/INC-7", "review/2026"}})
	a := deploy
	a.Ends = []string{"ticket/CHG-1", "incident/INC-7"}
	terms, err := a.Terms("req-a", w.facts(dee, "req-a"))
	if err != nil {
		t.Fatal(err)
	}
	must(t)(w.do(dee, "req-a", Submit{terms}))
	if diff := cmp.Diff([]string{"incident/INC-7", "review/2026", "ticket/CHG-1"}, w.request("req-a").Terms.Ends); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"ticket/CHG-1", "incident/INC-7"}, terms.Ends); diff != "" {
		t.Errorf("the ask changed: %s", diff)
	}
}

// answer is what a command did, in a few words.
func answer(w *world, id ID, events []Event, err error) string {
	if err != nil {
		var kind Fault
		errors.As(err, &kind)
		return string(kind)
	}
	text := ""
	for _, e := range events {
		text += string(e.Body.Kind()) + " "
	}
	return fmt.Sprintf("%s→ %s", text, w.request(id).Status)
}
