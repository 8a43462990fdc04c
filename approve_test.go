package writ

import (
	"testing"
	"time"
)

// TestApproveRefused is every no to a yes. Fay asked, Ann is the manager.
func TestApproveRefused(t *testing.T) {
	retired := func(name, rest string) func(*world, *Facts) {
		return func(w *world, f *Facts) {
			f.Directory = w.with(`{"kind":"identity","name":"` + name + `","state":"retired"` + rest + `}`)
		}
	}
	for _, c := range []struct {
		what  string
		by    Ref
		world func(*world, *Facts)
		kind  Fault
		says  string
	}{
		{"late", ann, func(w *world, f *Facts) { f.Now = w.request("req-a").LapseAt }, Conflict, "it has to be asked for again"},
		{"after the latest start", ann, func(w *world, f *Facts) { f.Now = w.request("req-a").Terms.StartBy.Add(1) }, Conflict, "it has to be asked for again"},
		{"a machine", ci, nil, Forbidden, "only a person can"},
		{"Writ itself", writ, nil, Forbidden, "only a person can"},
		{"an approver who left", ann, retired("human/ann", ""), Forbidden, "only a person can"},
		{"an approver who was made again", ann, func(_ *world, f *Facts) { f.Actor.UID = "before" }, Forbidden, "only a person can"},
		{"no approver of this stage", cyd, nil, Forbidden, "not an approver of stage manager of req-a; it waits for human/ann"},
		{"policy says no now", ann, func(_ *world, f *Facts) {
			f.Verdict.Allowed, f.Verdict.Reasons = false, []Reason{{"freeze", true, "the calendar is frozen"}}
		}, Forbidden, "policy does not allow req-a any more: the calendar is frozen"},
		{"policy could not be asked", ann, func(_ *world, f *Facts) { f.Verdict = Verdict{} }, Forbidden, "no rule allows it"},
		{"policy allows less now", ann, func(_ *world, f *Facts) { f.Verdict.MaxFor = 23 * hour }, Forbidden, "policy now allows at most 23h and req-a asks for 24h"},
		{"policy has it end with more now", ann, func(_ *world, f *Facts) { f.Verdict.Ends = []string{"incident/INC-7"} }, Forbidden, "policy now has req-a end with incident/INC-7"},
		{"policy lets others approve now", ann, func(w *world, f *Facts) {
			f.Verdict = rules{Stages: []rule{{"manager", 1, false, []Ref{cyd}}}}.verdict(w.dir)
		}, Forbidden, "it waits for nobody who still may; withdraw it and ask again"},
		{"the entitlement gives more now", ann, func(w *world, f *Facts) {
			f.Directory = w.with(`{"kind":"entitlement","name":"db/deploy","target":"db","credential":"password","grant":{"role":"admin"},"maxFor":"72h"}`)
		}, Stale, "what db/deploy gives has changed since it was asked for"},
		{"the entitlement was made again", ann, func(w *world, f *Facts) {
			again := w.dir.Entitlements["db/deploy"].withHead(Header{Kind: "entitlement", Name: "db/deploy", UID: "another"})
			f.Directory = NewDirectory(append(w.dir.All(), again)...)
		}, Stale, "entitlement db/deploy no longer exists; ask for another"},
		{"the target is elsewhere now", ann, func(w *world, f *Facts) {
			f.Directory = w.with(`{"kind":"target","name":"db","connector":"postgres","environment":"production","config":{"host":"evil.example"}}`)
		}, Stale, "what db/deploy gives has changed since it was asked for"},
		{"the subject is retired", ann, retired("service/ci", `,"owner":"human/dee"`), Conflict, "service/ci is retired"},
		{"the requester left", ann, retired("human/fay", ``), Conflict, "who asked for req-a, human/fay, is retired; withdraw it and ask again"},
		{"nobody answers for the subject", ann, func(w *world, f *Facts) {
			f.Directory = w.with(`{"kind":"identity","name":"service/ci","owner":"human/gus"}`, `{"kind":"identity","name":"human/gus","state":"disabled"}`)
		}, Conflict, "nobody active answers for service/ci; give it another owner"},
	} {
		w := in(t, StatusPending, deploy)
		f := w.facts(c.by, "req-a")
		if c.world != nil {
			c.world(w, &f)
		}
		_, err := w.decide("req-a", Approve{Digest: w.request("req-a").Digest}, f)
		refused(t, c.what, err, c.kind, c.says)
	}
}

// TestOnePersonOneVote tries to fill two places with one person.
func TestOnePersonOneVote(t *testing.T) {
	recreate := func(t *testing.T, w *world, name Ref) {
		doc := w.dir.Identities[name].withHead(Header{Kind: "identity", Name: string(name)})
		must(t)(w.change(gus, Put{Documents: []Document{doc}, Remove: []Header{doc.Head()}}))
	}
	two := rules{Stages: []rule{{"one", 2, false, []Ref{"group/security", gus}}, {"two", 1, false, []Ref{"group/security"}}}}
	for _, c := range []struct {
		what    string
		first   Ref
		between func(*testing.T, *world)
		again   Ref
	}{
		{"the same account", "human/ben", nil, "human/ben"},
		{"another account", "human/ben", nil, "human/ben2"},
		{"another account, the first is gone by now", "human/ben", func(t *testing.T, w *world) { recreate(t, w, "human/ben") }, "human/ben2"},
		{"the account made again", "human/ben", func(t *testing.T, w *world) { recreate(t, w, "human/ben") }, "human/ben"},
		{"the account made again, of nobody known", gus, func(t *testing.T, w *world) { recreate(t, w, gus) }, gus},
		{"another account, the first is somebody else's by now", "human/ben", func(t *testing.T, w *world) {
			must(t)(w.put(gus, `{"kind":"identity","name":"human/ben","person":"p-new"}`))
		}, "human/ben2"},
		{"an account that turned out to be the same person's", "human/ben", func(t *testing.T, w *world) {
			must(t)(w.put(gus, `{"kind":"identity","name":"human/cyd","person":"p-ben"}`))
		}, cyd},
		{"an account that turned out to be the same person's, once it was known whose it is", gus, func(t *testing.T, w *world) {
			must(t)(w.put(gus, `{"kind":"identity","name":"human/gus","person":"p-cyd"}`))
		}, cyd},
	} {
		w := newWorld()
		w.rule(two)
		must(t)(w.ask(fay, "req-a", deploy))
		yes := Approve{Digest: w.request("req-a").Digest}
		must(t)(w.do(c.first, "req-a", yes))
		if c.between != nil {
			c.between(t, w)
		}
		if events, err := w.do(c.again, "req-a", yes); err == nil && len(events) > 0 || len(w.request("req-a").Votes) != 1 {
			t.Errorf("%s: counted twice: %v", c.what, w.request("req-a").Votes)
		}
	}
}

// TestAnAccountMadeAgainIsNotSomebodyElse: nor in a stage that was added since.
func TestAnAccountMadeAgainIsNotSomebodyElse(t *testing.T) {
	w := newWorld()
	w.rule(rules{Stages: []rule{{"database", 1, false, []Ref{gus}}, {"manager", 1, false, []Ref{ann}}}})
	must(t)(w.ask(fay, "req-a", deploy))
	yes := Approve{Digest: w.request("req-a").Digest}
	must(t)(w.do(gus, "req-a", yes))
	doc := w.dir.Identities[gus].withHead(Header{Kind: "identity", Name: string(gus)})
	must(t)(w.change(gus, Put{Documents: []Document{doc}, Remove: []Header{doc.Head()}}))
	w.rule(rules{Stages: []rule{{"manager", 1, false, []Ref{ann, cyd}}, {"owners", 1, false, []Ref{gus}}}})
	must(t)(w.do(ann, "req-a", yes))
	_, err := w.do(gus, "req-a", yes)
	refused(t, "made again", err, Forbidden, "you approved stage database of req-a; stage owners needs somebody else")
}

// TestOnePersonOneStage: who approved one stage is refused in the next.
func TestOnePersonOneStage(t *testing.T) {
	w := newWorld()
	w.rule(rules{Stages: []rule{{"one", 1, false, []Ref{"group/security"}}, {"two", 1, false, []Ref{"group/security"}}}})
	must(t)(w.ask(dee, "req-a", deploy))
	yes := Approve{Digest: w.request("req-a").Digest}
	must(t)(w.do("human/ben", "req-a", yes))
	for _, by := range []Ref{"human/ben", "human/ben2"} {
		_, err := w.do(by, "req-a", yes)
		refused(t, string(by), err, Forbidden, "you approved stage one of req-a; stage two needs somebody else")
	}
	must(t)(w.do(cyd, "req-a", yes))
	if got := w.request("req-a").Status; got != StatusAuthorized {
		t.Errorf("with both stages it is %s", got)
	}
}

// TestApprovalSetsAbsoluteBounds: access lasts what was approved from when it
// starts, and neither a late vote nor a second look moves the end.
func TestApprovalSetsAbsoluteBounds(t *testing.T) {
	for _, c := range []struct {
		what           string
		startAt, voted time.Duration
		from           time.Duration
	}{
		{"at once", 0, 0, 0},
		{"two hours later", 0, 2 * time.Hour, 2 * time.Hour},
		{"within a second", 0, 1500 * time.Millisecond, time.Second},
		{"before it may start", 5 * time.Hour, 2 * time.Hour, 5 * time.Hour},
		{"after it may start", 5 * time.Hour, 6 * time.Hour, 6 * time.Hour},
		{"in the last moment", 0, 7*24*time.Hour - 1, 7*24*time.Hour - time.Second},
	} {
		a := deploy
		if c.startAt > 0 {
			a.StartAt = monday.Add(c.startAt)
		}
		w := in(t, StatusPending, a)
		w.now = monday.Add(c.voted)
		yes := Approve{Digest: w.request("req-a").Digest}
		must(t)(w.do(ann, "req-a", yes))
		must(t)(w.do(cyd, "req-a", yes))
		r := w.request("req-a")
		if !r.From.Equal(monday.Add(c.from)) || !r.Until.Equal(r.From.Add(24*time.Hour)) {
			t.Errorf("%s: from %s until %s", c.what, r.From, r.Until)
		}
	}
}

// TestPolicyTightensWhilePeopleDecide: what either policy asks is asked, L8.
func TestPolicyTightensWhilePeopleDecide(t *testing.T) {
	w := in(t, StatusPending, deploy)
	yes := Approve{Digest: w.request("req-a").Digest}
	must(t)(w.do(ann, "req-a", yes))
	stricter := rules{Stages: []rule{
		{"security", 2, false, []Ref{"human/ben", cyd, gus}}, {"database", 1, false, []Ref{gus}},
	}}
	w.rule(stricter)
	_, err := w.do("human/hal", "req-a", yes)
	refused(t, "no longer in the stage", err, Forbidden, "it waits for human/ben, human/cyd")
	_, err = w.do(gus, "req-a", yes)
	refused(t, "in the stage only since", err, Forbidden, "it waits for human/ben, human/cyd")
	must(t)(w.do("human/ben", "req-a", yes))
	must(t)(w.do(cyd, "req-a", yes))
	if r := w.request("req-a"); r.Status != StatusPending {
		t.Fatalf("the new stage was not asked: %s", r.Status)
	}
	must(t)(w.do(gus, "req-a", yes))
	if r := w.request("req-a"); r.Status != StatusAuthorized || len(r.Votes) != 4 {
		t.Errorf("with all it is %s with %d votes", r.Status, len(r.Votes))
	}
}

// TestPolicyLoosensWhilePeopleDecide: a stage that was added after everybody
// else had approved, and is taken back, does not leave the request to lapse.
func TestPolicyLoosensWhilePeopleDecide(t *testing.T) {
	w := in(t, StatusPending, deploy)
	yes := Approve{Digest: w.request("req-a").Digest}
	must(t)(w.do(ann, "req-a", yes))
	more := managerThenSecurity
	more.Stages = append(more.Stages[:2:2], rule{"database", 1, false, []Ref{gus}})
	w.rule(more)
	must(t)(w.do(cyd, "req-a", yes))
	must(t)(w.do(writ, "req-a", Recheck{}))
	if got := w.request("req-a").Status; got != StatusPending {
		t.Fatalf("while the new stage is open it is %s", got)
	}
	w.rule(managerThenSecurity)
	late := w.facts(writ, "req-a")
	late.Now = w.request("req-a").LapseAt
	if events, err := w.decide("req-a", Recheck{}, late); err != nil || len(events) > 0 {
		t.Errorf("after the lapse: got %v, %v", events, err)
	}
	_, err := w.do(cyd, "req-a", yes)
	refused(t, "nobody is waited for", err, Conflict, "req-a has every approval it needs")
	must(t)(w.do(writ, "req-a", Recheck{}))
	if got := w.request("req-a").Status; got != StatusAuthorized {
		t.Errorf("with every approval it is %s", got)
	}
}

// TestWaiting names who could decide next, and leaves out who has.
func TestWaiting(t *testing.T) {
	w := newWorld()
	w.rule(rules{Stages: []rule{{"one", 2, false, []Ref{ann, cyd, gus}}}})
	must(t)(w.ask(dee, "req-a", deploy))
	must(t)(w.do(cyd, "req-a", Approve{Digest: w.request("req-a").Digest}))
	names := func() (out string) {
		for _, a := range w.request("req-a").Waiting() {
			out += string(a.Name) + " "
		}
		return out
	}
	if got := names(); got != "human/ann human/gus " {
		t.Errorf("it waits for %s", got)
	}
	must(t)(w.do(ann, "req-a", Approve{Digest: w.request("req-a").Digest}))
	if got := names(); got != "" {
		t.Errorf("authorized, it waits for %s", got)
	}
}
