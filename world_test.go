package writ

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"testing"
	"time"
)

// A world is a small company at one moment: its documents, its rules of
// approval, its clock and its requests. Tables, stories and random lives all
// act through it, the way a store does.
type world struct {
	now      time.Time
	dir      *Directory
	rules    rules
	requests map[ID]*past
	made     int // UIDs so far
	judged   struct {
		dir     *Directory
		verdict Verdict
	}
}

// past is a request with all that happened to it.
type past struct {
	Request
	history history
	hold    Digest
}

// rules stand in for a policy: who approves whatever is asked for.
type rules struct {
	Deny        string
	Stages      []rule
	MaxFor      Duration
	Ends        []string
	DecideIn    Duration
	StartWithin Duration
	Like        Stage // what is the same in all stages
	Late        []Ref // who is asked as well, after LateAfter
	LateAfter   Duration
	Witnessed   bool
}

type rule struct {
	Name   string
	Quorum int
	Owner  bool
	Refs   []Ref
}

// managerThenSecurity is how things are approved unless a test says otherwise.
var managerThenSecurity = rules{Stages: []rule{
	{"manager", 1, false, []Ref{"human/ann"}},
	{"security", 1, false, []Ref{"group/security"}},
}}

const (
	hour = Duration(time.Hour)
	ann  = Ref("human/ann")
	cyd  = Ref("human/cyd")
	dee  = Ref("human/dee")
	eli  = Ref("human/eli")
	fay  = Ref("human/fay")
	gus  = Ref("human/gus")
	ivy  = Ref("human/ivy")
	sol  = Ref("human/sol")
	ci   = Ref("service/ci")
	writ = Ref("system/writ")
)

var monday = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

// deploy is what ci asks for unless a test says otherwise.
var deploy = Ask{Subject: ci, Entitlement: "db/deploy", Scope: map[string]string{"schema": "app"}, For: 24 * hour}

// worldDocuments are the documents of testdata/world.json.
var worldDocuments = sync.OnceValue(func() *Directory {
	data, err := os.ReadFile("testdata/world.json")
	var raw []json.RawMessage
	if err == nil {
		err = json.Unmarshal(data, &raw)
	}
	var contents []string
	for _, content := range raw {
		contents = append(contents, string(content))
	}
	w := world{now: monday, dir: NewDirectory()}
	if err == nil {
		_, err = w.put(gus, contents...)
	}
	if err != nil {
		panic(err) // the test data of this package cannot be read
	}
	return w.dir
})

func newWorld() *world {
	r := managerThenSecurity
	r.Stages = slices.Clone(r.Stages) // a test may change its own
	return &world{now: monday, dir: worldDocuments(), rules: r, requests: map[ID]*past{}, made: 100}
}

// party returns who a name is now; nobody has the UID of a name that is not there.
func (w *world) party(name Ref) Party {
	if name == writ {
		return System
	}
	if i, ok := w.dir.Identities[name]; ok {
		return i.Party()
	}
	return Party{name, "gone"}
}

// request returns a request as it is, or one that does not exist yet.
func (w *world) request(id ID) *past {
	if p, ok := w.requests[id]; ok {
		return p
	}
	return &past{}
}

func (w *world) facts(by Ref, id ID) Facts {
	f := Facts{
		Now: w.now, Actor: w.party(by), Directory: w.dir, Verdict: w.verdict(),
		Authority: Authority{Administer: by == gus, Revoke: by == sol}, Waits: true,
	}
	r := w.request(id)
	for _, other := range slices.Sorted(maps.Keys(w.requests)) {
		if p := w.requests[other]; other != id && p.Status.Live() {
			e := p.Terms.Entitlement
			f.Live = append(f.Live, Live{other, p.Status, e.Name, e.Target, e.Environment, p.hold, p.InFlight})
		}
	}
	f.Siblings = slices.DeleteFunc(slices.Clone(f.Live), func(l Live) bool { return r.hold == "" || l.Hold != r.hold })
	return f
}

// verdict is what the rules say now.
func (w *world) verdict() Verdict {
	if w.judged.dir != w.dir {
		w.judged.dir, w.judged.verdict = w.dir, w.rules.verdict(w.dir)
	}
	return w.judged.verdict
}

// rule replaces the rules.
func (w *world) rule(r rules) {
	w.rules, w.judged.dir = r, nil
}

// do lets somebody give a command, and applies what is decided.
func (w *world) do(by Ref, id ID, c Command) ([]Event, error) {
	return w.decide(id, c, w.facts(by, id))
}

func (w *world) decide(id ID, c Command, f Facts) ([]Event, error) {
	p := w.request(id)
	events, err := Decide(p.Request, id, c, f)
	if err != nil {
		return nil, err
	}
	for _, e := range events {
		if p.Request, err = p.Apply(e); err != nil {
			return nil, fmt.Errorf("decided, but not applicable: %w", err)
		}
		p.history = append(p.history, entry{e, f})
	}
	if w.requests[id] == nil || p.Terms.Revision > 1 {
		p.hold = p.Terms.Hold()
	}
	w.requests[id] = p
	return events, nil
}

// ask submits what is asked for.
func (w *world) ask(by Ref, id ID, a Ask) ([]Event, error) {
	f := w.facts(by, id)
	terms, err := a.Terms(id, f)
	if err != nil {
		return nil, err
	}
	return w.decide(id, Submit{terms}, f)
}

// put changes documents given as JSON.
func (w *world) put(by Ref, contents ...string) ([]Event, error) {
	var c Put
	for _, content := range contents {
		doc, err := ParseDocument([]byte(content))
		if err != nil {
			return nil, err
		}
		c.Documents = append(c.Documents, doc)
	}
	return w.change(by, c)
}

func (w *world) change(by Ref, c Put) ([]Event, error) {
	for range c.Documents {
		w.made++
		c.UIDs = append(c.UIDs, UID(fmt.Sprintf("uid-%d", w.made)))
	}
	f := w.facts(by, "")
	events, dir, err := DecidePut(c, f)
	if err == nil {
		w.dir = dir
	}
	return events, err
}

// with returns the directory as it would be with these documents.
func (w *world) with(contents ...string) *Directory {
	other := *w
	if _, err := other.put(gus, contents...); err != nil {
		panic(err) // a test names documents that are not accepted
	}
	return other.dir
}

// verdict expands the rules as a policy does: to people who are active.
func (p rules) verdict(d *Directory) Verdict {
	text, _ := json.Marshal(p)
	v := Verdict{
		Policy: sum(text), Allowed: p.Deny == "", Route: "test", MaxFor: p.MaxFor, Ends: p.Ends,
		DecideIn: p.DecideIn, StartWithin: p.StartWithin, Witnessed: p.Witnessed, Reasons: []Reason{{Rule: "test", Deny: p.Deny != "", Text: p.Deny}},
	}
	for _, s := range p.Stages {
		stage := p.Like
		stage.Name, stage.Quorum, stage.Owner, stage.Approvers = s.Name, s.Quorum, s.Owner, approvers(d, s.Refs)
		if p.LateAfter > 0 {
			stage.Escalate = &Escalation{p.LateAfter, approvers(d, p.Late)}
		}
		v.Stages = append(v.Stages, stage)
	}
	return v
}

func approvers(d *Directory, refs []Ref) (out []Approver) {
	for _, i := range d.Expand(refs...) {
		if i.Active() && i.Human() {
			out = append(out, Approver{i.Party(), "test"})
		}
	}
	return out
}

// delegate lets somebody decide in a person's place.
func (w *world) delegate(by Ref, c Delegate) ([]Event, error) {
	w.made++
	c.UID = UID(fmt.Sprintf("uid-%d", w.made))
	events, err := DecideDelegate(c, w.facts(by, ""))
	return events, w.learn(events, err)
}

// learn takes changes of documents that were decided.
func (w *world) learn(events []Event, err error) error {
	if err == nil {
		w.dir, err = w.dir.With(events...)
	}
	return err
}

// must fails the test unless the last command was accepted.
func must(t *testing.T) func([]Event, error) {
	return func(_ []Event, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
}
