package writ

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestRandomLives lets random people do random things to requests that share
// an access, while documents, policy and clock change around them, and then
// checks what must always hold. What every rule can do must also have happened
// often: a rule that nothing reaches is not tested.
func TestRandomLives(t *testing.T) {
	seeds := uint64(20_000)
	if testing.Short() || raced {
		seeds = 2_000
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // a third of the time, otherwise
	var wg sync.WaitGroup
	workers := uint64(runtime.GOMAXPROCS(0))
	counts := make([]map[string]int, workers)
	for n := range workers {
		counts[n] = map[string]int{}
		wg.Go(func() {
			for seed := n; seed < seeds && !t.Failed(); seed += workers {
				if err := newFate(seed, counts[n]).run(); err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
			}
		})
	}
	wg.Wait()
	total := map[string]int{}
	for _, c := range counts {
		for what, n := range c {
			total[what] += n
		}
	}
	for _, what := range expected() {
		if uint64(total[what]) < seeds/1000 {
			t.Errorf("%s happened %d times in %d lives", what, total[what], seeds)
		}
	}
	if testing.Verbose() {
		text, _ := json.MarshalIndent(total, "", "  ")
		t.Logf("%s", text)
	}
}

// expected is all that random lives have to come through.
func expected() []string {
	out := []string{
		"is pending", "is denied", "is withdrawn", "is lapsed", "is authorized", "is granting", "is active", "is revoking", "is closed",
		"kept", "fault invalid", "fault forbidden", "fault conflict", "fault stale", "fault unavailable",
	}
	for k := range life {
		out = append(out, "event "+string(k))
	}
	for _, c := range []Cause{
		Expired, Released, CutOff, IncidentResolved, TicketClosed, ConditionMet, OwnerLeft, IdentityRetired,
		PolicyTightened, DefinitionChanged, LateStart, GrantRefused,
	} {
		out = append(out, "cause "+string(c))
	}
	return out
}

// A fate is one random course of the world.
type fate struct {
	*world
	*rand.Rand
	counts  map[string]int
	careful bool // watch that nothing changes its input; slow
}

var (
	names  = slices.Sorted(maps.Keys(worldDocuments().Identities))
	agreed = []rules{
		{Stages: []rule{{"manager", 1, false, []Ref{ann}}, {"security", 2, false, []Ref{"group/security"}}}},
		{Stages: []rule{{"security", 1, false, []Ref{"group/security"}}}, DecideIn: 48 * hour, StartWithin: 24 * hour},
		{Stages: []rule{{"owner", 1, true, []Ref{dee, eli}}}, Ends: []string{"review/2026"}},
		{StartWithin: 24 * hour},
		{
			Stages:    []rule{{"manager", 1, false, []Ref{ann, cyd}}, {"security", 1, false, []Ref{"group/security"}}},
			Witnessed: true, Like: Stage{Remind: 4 * hour, Repeat: true}, Late: []Ref{gus, cyd, fay}, LateAfter: 6 * hour,
		},
	}
)

func newFate(seed uint64, counts map[string]int) *fate {
	f := &fate{newWorld(), rand.New(rand.NewPCG(seed, 1)), counts, seed%64 == 0}
	f.rule(pick(f, agreed))
	return f
}

func pick[T any](f *fate, from []T) T { return from[f.IntN(len(from))] }

func (f *fate) chance(percent int) bool { return f.IntN(100) < percent }

func (f *fate) run() error {
	ids := []ID{"req-a", "req-b", "req-c"}[:1+f.IntN(3)]
	for range 22 {
		f.now = f.now.Add(time.Duration(f.IntN(1000)) * time.Millisecond)
		id := pick(f, ids)
		var err error
		switch n := f.IntN(100); {
		case n < 7:
			f.turn()
		case n < 15:
			f.now = f.now.Add(time.Duration(f.Int64N(int64(30 * time.Hour))))
		case f.request(id).Seq == 0:
			err = f.submit(id)
		case n < 60:
			err = f.try(f.useful(id))
		default:
			err = f.try(pick(f, names), id, f.anything(id))
		}
		if err != nil {
			return err
		}
	}
	return f.end()
}

// turn changes a document or the policy.
func (f *fate) turn() {
	if f.chance(30) {
		r := pick(f, agreed)
		r.MaxFor = pick(f, []Duration{0, 0, 12 * hour, 48 * hour})
		r.Deny = pick(f, []string{"", "", "the calendar is frozen"})
		f.rule(r)
		return
	}
	if f.chance(15) {
		_, _ = f.delegate(pick(f, names), Delegate{To: pick(f, names), Until: f.now.Add(time.Duration(f.IntN(72)) * time.Hour)})
		return
	}
	if f.chance(15) {
		f.recreate(pick(f, []Ref{ci, cyd, ann}))
		return
	}
	_, _ = f.put(gus, strings.Split(pick(f, []string{
		`{"kind":"identity","name":"service/ci","state":"retired","owner":"human/dee"}`,
		`{"kind":"identity","name":"service/ci","owner":"human/dee","deputy":"human/eli","askers":["group/release"]}`,
		`{"kind":"identity","name":"service/ci","owner":"human/cyd","askers":["human/ben"]}`,
		`{"kind":"identity","name":"service/ci","owner":"human/gus"}` + "\n" + `{"kind":"identity","name":"human/gus","state":"retired"}`,
		`{"kind":"identity","name":"service/ci","owner":"human/dee","askers":["group/release"]}`,
		`{"kind":"identity","name":"human/dee","person":"p-dee","state":"retired"}`,
		`{"kind":"identity","name":"human/dee","person":"p-dee"}`,
		`{"kind":"identity","name":"human/eli","person":"p-eli","state":"disabled"}`,
		`{"kind":"identity","name":"human/cyd","person":"p-ben"}`,
		`{"kind":"group","name":"security","members":["human/ben","human/cyd"]}`,
		`{"kind":"group","name":"security","members":["human/ben","human/ben2","human/eli","human/hal","human/fay2"]}`,
		`{"kind":"entitlement","name":"db/readers","target":"db","credential":"membership","grant":{"group":"writers"},"maxFor":"90d"}`,
		`{"kind":"target","name":"db","connector":"postgres","environment":"production","config":{"host":"other.example"}}`,
	}), "\n")...)
}

// recreate removes an identity, and makes another of the same name.
func (f *fate) recreate(name Ref) {
	doc := f.dir.Identities[name]
	_, _ = f.change(gus, Put{Documents: []Document{doc.withHead(Header{Kind: "identity", Name: doc.Name})}, Remove: []Header{{Kind: "identity", Name: doc.Name}}})
}

func (f *fate) submit(id ID) error {
	a := Ask{Subject: ci, Entitlement: "db/readers", For: pick(f, []Duration{hour, 24 * hour, 100 * hour}), Ends: pick(f, [][]string{
		nil, {"ticket/CHG-1", "incident/INC-7"}, {"review/2026"},
	})}
	if f.chance(25) {
		a.Entitlement, a.Scope = "db/deploy", map[string]string{"schema": "app"}
	}
	if f.chance(20) {
		a.StartAt = f.now.Add(time.Duration(f.IntN(20)) * time.Hour)
	}
	if f.chance(20) {
		a.StartBy = f.now.Add(time.Duration(f.IntN(40)) * time.Hour)
	}
	by := pick(f, []Ref{ci, dee, eli, fay, "service/robot", "agent/aide", pick(f, names)})
	facts := f.facts(by, id)
	terms, err := a.Terms(id, facts)
	if err != nil {
		return f.refused(err)
	}
	return f.try(by, id, Submit{terms})
}

// useful is what would bring the request on.
func (f *fate) useful(id ID) (Ref, ID, Command) {
	r := f.request(id).Request
	_, due := r.Todo()
	switch r.Status {
	case StatusPending:
		stage, ok := r.Open(r.stricter(f.verdict()))
		if !ok || len(stage.Approvers) == 0 {
			break
		}
		by := pick(f, stage.Approvers).Name
		switch n := f.IntN(10); {
		case n == 0:
			return by, id, f.narrower(r)
		case n == 1:
			return by, id, Require{r.Digest, pick(f, names)}
		}
		return by, id, Approve{Digest: r.Digest}
	case StatusAuthorized, StatusGranting:
		if due.After(f.now) && f.chance(70) {
			f.now = due
		}
		if r.Status == StatusAuthorized || !r.InFlight {
			return writ, id, BeginGrant{Writ: "jws", Instance: "one", Witnessed: true}
		}
		return writ, id, ReportGrant{Attempt: r.Attempt, Seen: Observation{State: Present}}
	case StatusActive:
		if f.chance(30) && due.After(f.now) {
			f.now = due
			return writ, id, Expire{}
		}
		return r.Terms.Requester.Name, id, pick(f, []Command{Claim{}, Release{}})
	case StatusRevoking:
		if r.InFlight {
			return writ, id, ReportRevoke{Attempt: r.Attempt, Seen: Observation{State: Absent}, Instance: r.Instance}
		}
		return writ, id, BeginRevoke{}
	}
	return writ, id, Recheck{}
}

// narrower gives less than is asked for, as a rule.
func (f *fate) narrower(r Request) Command {
	return Narrow{Digest: r.Digest, For: pick(f, []Duration{0, hour, r.Terms.For / 2, 200 * hour}), Ends: pick(f, [][]string{nil, {"review/2027"}})}
}

// anything is any command at all, mostly out of place.
func (f *fate) anything(id ID) Command {
	r := f.request(id).Request
	digest := pick(f, []Digest{r.Digest, r.Digest, r.Digest, "sha256:other"})
	attempt := r.Attempt - pick(f, []int{0, 0, 1, 2})
	seen := Observation{State: pick(f, []State{Present, Absent, Unread})}
	problem := pick(f, []string{"", "", "the target is down"})
	place := pick(f, []string{"one", "one", "one", "two", ""})
	return pick(f, []Command{
		Approve{Digest: digest}, Approve{Digest: digest}, Approve{Digest: digest}, Deny{Digest: digest}, Withdraw{}, Lapse{}, Claim{}, Release{}, Revoke{}, Expire{}, Recheck{}, Recheck{},
		BeginGrant{pick(f, []string{"jws", ""}), place, f.chance(50)}, ReportGrant{attempt, Receipt{External: "x"}, seen, problem, f.chance(20), "jws"},
		BeginRevoke{}, ReportRevoke{attempt, seen, place, problem, "jws"}, Find{seen}, Remind{}, Escalate{}, f.narrower(r), Require{digest, pick(f, names)},
		Meet{pick(f, []string{"incident/INC-7", "ticket/CHG-1", "review/2026", "incident/other"})},
	})
}

// try gives a command and looks at what it did.
func (f *fate) try(by Ref, id ID, c Command) error {
	facts, before := f.facts(by, id), f.request(id).Request
	if f.careful {
		if err := unchanged(before, id, c, facts); err != nil {
			return err
		}
	}
	events, err := f.decide(id, c, facts)
	if err != nil {
		return f.refused(err)
	}
	for _, e := range events {
		f.counts["event "+string(e.Body.Kind())]++
		switch b := e.Body.(type) {
		case Ended:
			f.counts["cause "+string(b.Cause)]++
		case Revoked:
			if b.KeptBy != "" {
				f.counts["kept"]++
			}
		}
	}
	f.counts["is "+string(f.request(id).Status)]++
	return nil
}

// refused counts a refusal. One that is no Fault is a bug.
func (f *fate) refused(err error) error {
	var kind Fault
	if !errors.As(err, &kind) {
		return fmt.Errorf("refused without a kind: %w", err)
	}
	f.counts["fault "+string(kind)]++
	return nil
}

// unchanged decides twice, and refuses any change of what was passed in.
func unchanged(r Request, id ID, c Command, f Facts) error {
	print := func() string {
		text, err := json.Marshal([]any{r, c, f, f.Directory.member})
		return fmt.Sprint(string(text), err)
	}
	before := print()
	first, errFirst := Decide(r, id, c, f)
	if before != print() {
		return fmt.Errorf("%T changed its input", c)
	}
	again, errAgain := Decide(r, id, c, f)
	a, _ := json.Marshal(first)
	b, _ := json.Marshal(again)
	if string(a) != string(b) || fmt.Sprint(errFirst) != fmt.Sprint(errAgain) {
		return fmt.Errorf("%T decided differently the second time", c)
	}
	return nil
}

// end brings every request to its end by doing only what Todo says, with a
// target that works, and then audits each life.
func (f *fate) end() error {
	for range 40 {
		for _, id := range slices.Sorted(maps.Keys(f.requests)) {
			if err := f.work(id); err != nil {
				return err
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(f.requests)) {
		p := f.requests[id]
		if p.Status.Live() {
			return fmt.Errorf("%s never ends: it is %s", id, p.Status)
		}
		if err := p.history.audit(p.Request); err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
	}
	return nil
}

// work is what a worker does with a request that is due.
func (f *fate) work(id ID) error {
	r := f.request(id).Request
	task, due := r.Todo()
	if due.After(f.now) {
		f.now = due
	}
	switch task {
	case DoRemind:
		return f.try(writ, id, Remind{})
	case DoEscalate:
		return f.try(writ, id, Escalate{})
	case DoLapse:
		return f.try(writ, id, Lapse{})
	case DoExpire:
		return f.try(writ, id, Expire{})
	case DoGrant:
		if r.InFlight {
			return f.try(writ, id, ReportGrant{Attempt: r.Attempt, Seen: Observation{State: Present}})
		}
		return f.try(writ, id, BeginGrant{Writ: "jws", Instance: "one", Witnessed: true})
	case DoRevoke:
		if r.InFlight {
			return f.try(writ, id, ReportRevoke{Attempt: r.Attempt, Seen: Observation{State: Absent}, Instance: r.Instance})
		}
		return f.try(writ, id, BeginRevoke{})
	}
	return nil
}
