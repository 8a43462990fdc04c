package policy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/policy/internal/source"
)

// An example is a request that a policy file names, and what must come of it.
type example struct {
	name, file string
	line       int
	requester  writ.Ref
	ask        writ.Ask
	why        string
	at         time.Time // zero: now
	live       []string  // entitlements that the subject has already
	expect     expectation
}

type expectation struct {
	allowed        bool
	route, because string
	maxFor         writ.Duration
	stages         map[string][]string
}

// A Result is what came of one example of a policy. It is good if there are
// no problems.
type Result struct {
	Name     string       `json:"name"`
	File     string       `json:"file"`
	Line     int          `json:"line"`
	Problems []string     `json:"problems,omitempty"`
	Verdict  writ.Verdict `json:"verdict"`
}

func (s reader) example(n source.Node) example {
	var form testForm
	var q requestForm
	var want expectForm
	if !s.Decode(n, &form) || form.Request != nil && !s.Decode(form.Request, &q) || form.Expect != nil && !s.Decode(form.Expect, &want) {
		return example{}
	}
	if strings.TrimSpace(form.Name.Value) == "" || !want.Allowed.Set() || !q.Requester.Set() || !q.Entitlement.Set() || !q.For.Set() {
		s.Fail(n, "a test has at least a name, request: {requester, entitlement, for} and expect: {allowed}")
	}
	e := example{
		name: form.Name.Value, file: s.Name, line: source.Start(n).Line,
		requester: writ.Ref(q.Requester.Value), why: q.Why.Value, at: s.Moment(q.At), live: source.Values(q.Live),
		ask: writ.Ask{
			Subject: writ.Ref(q.Subject.Value), Entitlement: q.Entitlement.Value, Scope: map[string]string{}, For: s.Duration(q.For),
			StartAt: s.Moment(q.StartAt), StartBy: s.Moment(q.StartBy), Ends: source.Values(q.Ends), Ticket: q.Ticket.Value,
			PublicKey: "example", // a certificate needs one, and no rule looks at it
		},
		expect: expectation{s.Flag(want.Allowed), want.Route.Value, want.Because.Value, s.Duration(want.MaxFor), map[string][]string{}},
	}
	if !q.Subject.Set() {
		e.ask.Subject = e.requester
	}
	if s.Flag(q.Sealed) {
		e.ask.Recipient = "example"
	}
	for name, t := range q.Scope {
		e.ask.Scope[name] = t.Value
	}
	for name, people := range want.Stages {
		e.expect.stages[name] = slices.Sorted(slices.Values(source.Values(people)))
	}
	return e
}

// Test runs the examples of the policy's own files on these documents. An
// example without a time of its own happens now. What cannot even be asked for
// counts as denied.
func (p *Policy) Test(d *writ.Directory, now time.Time) []Result {
	d = identified(d)
	out := []Result{}
	for _, e := range p.examples {
		r := Result{Name: e.name, File: e.file, Line: e.line}
		q, err := e.query(d, now)
		switch {
		case errors.Is(err, writ.NotFound):
			r.Problems = []string{err.Error()}
		case err != nil:
			r.Verdict = p.denied(err.Error())
			r.Problems = e.expect.differ(r.Verdict)
		default:
			r.Verdict = p.Verdict(q)
			r.Problems = e.expect.differ(r.Verdict)
		}
		out = append(out, r)
	}
	return out
}

// identified gives documents that come from files, and have no UID yet, their
// name as one: people are told apart by it.
func identified(d *writ.Directory) *writ.Directory {
	docs := d.All()
	for i, doc := range docs {
		if h := doc.Head(); h.UID != "" {
			continue
		}
		switch doc := doc.(type) {
		case writ.Identity:
			doc.UID = writ.UID(doc.Name)
			docs[i] = doc
		case writ.Entitlement:
			doc.UID = writ.UID(doc.Name)
			docs[i] = doc
		case writ.Target:
			doc.UID = writ.UID(doc.Name)
			docs[i] = doc
		}
	}
	return writ.NewDirectory(docs...)
}

// query returns what the example asks. The error is a writ.NotFound if the
// example speaks of what does not exist.
func (e example) query(d *writ.Directory, now time.Time) (Query, error) {
	if !e.at.IsZero() {
		now = e.at
	}
	who, ok := d.Identities[e.requester]
	if !ok {
		return Query{}, writ.Errorf(writ.NotFound, "there is no identity %q", e.requester)
	}
	f := writ.Facts{Now: now, Actor: who.Party(), Directory: d}
	for i, name := range e.live {
		ent, ok := d.Entitlements[name]
		if !ok {
			return Query{}, writ.Errorf(writ.NotFound, "live: there is no entitlement %q", name)
		}
		f.Live = append(f.Live, writ.Live{
			ID: writ.ID(fmt.Sprintf("req-live-%d", i)), Status: writ.StatusActive,
			Entitlement: name, Target: ent.Target, Environment: d.Targets[ent.Target].Environment,
		})
	}
	terms, err := e.ask.Terms("req-example", f)
	return Query{terms, &e.why, f}, err
}

// differ lists where a verdict is not what was expected.
func (want expectation) differ(v writ.Verdict) (out []string) {
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	switch {
	case want.allowed && !v.Allowed:
		say("it is denied: %s", v.Why())
	case !want.allowed && v.Allowed:
		say("it is allowed by route %s", v.Route)
	}
	if want.route != "" && want.route != v.Route {
		say("the route is %q, not %q", v.Route, want.route)
	}
	if want.maxFor > 0 && want.maxFor != v.MaxFor {
		say("maxFor is %s, not %s", v.MaxFor, want.maxFor)
	}
	if !slices.ContainsFunc(v.Reasons, func(r writ.Reason) bool { return strings.Contains(r.Text, want.because) }) {
		say("no reason says %q: %s", want.because, v.Why())
	}
	asked := map[string][]string{}
	for _, s := range v.Stages {
		for _, a := range s.Approvers {
			asked[s.Name] = append(asked[s.Name], string(a.Name))
		}
		slices.Sort(asked[s.Name])
	}
	for _, name := range slices.Sorted(maps.Keys(want.stages)) {
		if !slices.Equal(want.stages[name], asked[name]) {
			say("stage %s asks %v, not %v", name, asked[name], want.stages[name])
		}
	}
	return out
}
