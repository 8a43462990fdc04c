package audit

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/evidence"
)

// An Attribute is what must hold of each request of a population.
type Attribute struct {
	Name   string `json:"name"`
	Says   string `json:"says"`
	Tested int    `json:"tested"` // requests that it applies to
	Failed int    `json:"failed"`
}

// The attributes.
const (
	History     = "history"
	Approved    = "approved-before-granted"
	Eligible    = "eligible-approvers"
	Independent = "independent-approvers"
	SameTerms   = "same-terms"
	Limits      = "within-limits"
	Owner       = "owner-at-grant"
	Deeds       = "signed-deeds"
	Revoked     = "revoked-in-time"
)

func attributes(objective writ.Duration) []Attribute {
	return []Attribute{
		{Name: History, Says: "each event may follow the one before, without a gap"},
		{Name: Approved, Says: "every approval was there before access was made"},
		{Name: Eligible, Says: "who approved was asked, active and a person, and none decided twice"},
		{Name: Independent, Says: "nobody approved for themselves: no requester, subject or who answers for them, with any account"},
		{Name: SameTerms, Says: "the digest of the terms is the same in the request, each approval and the signed writ"},
		{Name: Limits, Says: "access lasted no longer than its terms, policy and entitlement allow, and began within its bounds"},
		{Name: Owner, Says: "when access was made, the identity was active and somebody active answered for it"},
		{Name: Deeds, Says: "what was done at the target, and read there, is signed by whoever did it"},
		{Name: Revoked, Says: "from when access had to end until it was seen to be gone took at most " + objective.String()},
	}
}

// A Failure is one attribute that does not hold of one request.
type Failure struct {
	Request   writ.ID `json:"request"`
	Position  int64   `json:"position"` // of the event that shows it
	Attribute string  `json:"attribute"`
	Why       string  `json:"why"`
}

// A Result is what testing all of a population found.
type Result struct {
	Period     Period        `json:"period"`
	Requests   int           `json:"requests"`
	Objective  writ.Duration `json:"objective"`
	Until      time.Time     `json:"until"` // what is not gone yet is measured up to then
	Attributes []Attribute   `json:"attributes"`
	Failures   []Failure     `json:"failures"`
}

// Test holds every request of a population against every attribute, on the
// documents as they were at each event. It reads and hashes the ledger once more.
func Test(ctx context.Context, l Ledger, p Population, objective writ.Duration) (Result, error) {
	t := &test{
		Result:    Result{p.Period, len(p.Requests), objective, p.Until, attributes(objective), []Failure{}},
		dir:       writ.NewDirectory(),
		lives:     map[writ.ID]*life{},
		objective: objective.Std(),
	}
	for _, item := range p.Requests {
		t.lives[item.Request] = &life{test: t, item: item}
	}
	if err := p.Period.read(ctx, l, t.event); err != nil {
		return Result{}, err
	}
	slices.SortStableFunc(t.Failures, func(a, b Failure) int { return cmp.Compare(a.Position, b.Position) })
	return t.Result, nil
}

// A test is one run of Test.
type test struct {
	Result
	dir       *writ.Directory
	pending   []writ.Event // of documents, not in dir yet
	public    ed25519.PublicKey
	lives     map[writ.ID]*life
	objective time.Duration
}

func (t *test) event(pos int64, e writ.Event) error {
	if b, ok := e.Body.(writ.Opened); ok {
		var err error
		t.public, err = evidence.WritKey(b)
		return err
	}
	if e.OfDocument() {
		t.pending = append(t.pending, e)
		return nil
	}
	life := t.lives[writ.ID(e.Stream)]
	if life == nil {
		return nil
	}
	if len(t.pending) > 0 {
		next, err := t.dir.With(t.pending...)
		if err != nil {
			return writ.Errorf(writ.Stale, "the documents before record %d: %v", pos, err)
		}
		t.dir, t.pending = next, nil
	}
	if !life.broken {
		life.event(pos, e)
	}
	if pos == life.item.Last {
		life.end()
		delete(t.lives, life.item.Request) // nothing is kept of those that are over
	}
	return nil
}

// A life is what is known of one request so far.
type life struct {
	*test
	item    Item
	request writ.Request
	applied map[string]bool // attribute, and whether it holds so far
	broken  bool
}

// event takes the next event, and looks at what it shows.
func (l *life) event(pos int64, e writ.Event) {
	next, err := l.request.Apply(e)
	if l.check(pos, History, err == nil, "%v", err); err != nil {
		l.broken = true
		return
	}
	before := l.request
	l.request = next
	switch b := e.Body.(type) {
	case writ.Submitted:
		l.asked(pos, b)
	case writ.Narrowed:
		l.narrowed(pos, before)
	case writ.Approved:
		l.approved(pos, e, b, before)
	case writ.Authorized:
		l.authorized(pos)
	case writ.GrantBegun:
		l.begun(pos, e)
	case writ.Granted:
		l.check(pos, Limits, e.At.Before(next.Until), "access was made at %s, when its time was up", clock(e.At))
		l.deed(pos, b.Signed, b.Deed(next))
	case writ.Revoked:
		l.deed(pos, b.Signed, b.Deed(next))
	}
}

func (l *life) asked(pos int64, b writ.Submitted) {
	t := b.Terms
	l.check(pos, SameTerms, l.request.Digest != "", "the terms have no digest")
	l.check(pos, Limits, b.Verdict.MaxFor == 0 || t.For <= b.Verdict.MaxFor, "%s was asked for, policy allowed %s", t.For, b.Verdict.MaxFor)
	ent, known := l.dir.Entitlements[t.Entitlement.Name]
	l.check(pos, Limits, known && t.For <= ent.MaxFor, "%s was asked for, %s allowed %s", t.For, t.Entitlement.Name, ent.MaxFor)
}

func (l *life) approved(pos int64, e writ.Event, b writ.Approved, before writ.Request) {
	who, known := l.dir.Who(e.Actor)
	stages := before.Asked().Stages
	i := slices.IndexFunc(stages, func(s writ.Stage) bool { return s.Name == b.Stage })
	stage := writ.Stage{}
	if i >= 0 {
		stage = stages[i]
	}
	place := l.place(e, b)
	l.check(pos, Eligible, stage.Has(place.UID), "%s approved in stage %s and was not asked there", place.Name, b.Stage)
	l.check(pos, Eligible, known && who.Active() && who.Human(), "%s was no active person when approving", e.Actor.Name)
	again := slices.ContainsFunc(before.Votes, func(v writ.Vote) bool {
		own := v.By.UID == e.Actor.UID || v.Person != "" && v.Person == b.Person
		return own && (v.Stage == b.Stage || !stage.Repeat)
	})
	l.check(pos, Eligible, !again, "%s approved before, and stage %s wants somebody else", e.Actor.Name, b.Stage)
	for _, p := range []writ.Party{e.Actor, place} {
		err := l.dir.Independent(p, before.Terms, stage.Owner, e.At)
		l.check(pos, Independent, err == nil, "%v", err)
	}
	l.check(pos, SameTerms, b.Digest == before.Digest, "%s approved %s, the terms are %s", e.Actor.Name, b.Digest.Words(), before.Digest.Words())
}

// place returns in whose place somebody approved: their own, unless a delegation
// that stood then says otherwise.
func (l *life) place(e writ.Event, b writ.Approved) writ.Party {
	for _, d := range l.dir.Delegations {
		if b.For.UID != "" && d.Who == [2]writ.UID{b.For.UID, e.Actor.UID} && d.Stands(e.At) {
			return b.For
		}
	}
	return e.Actor
}

func (l *life) narrowed(pos int64, before writ.Request) {
	r := l.request
	l.check(pos, Limits, r.Terms.Narrows(before.Terms), "revision %d of the terms allows more than the one before", r.Terms.Revision)
}

func (l *life) authorized(pos int64) {
	r := l.request
	stage, short := r.Open(r.Asked())
	l.check(pos, Approved, !short, "it was authorized without the approvals of stage %s", stage.Name)
	l.check(pos, Limits, r.Until.Equal(r.From.Add(r.Terms.For.Std())), "its bounds are %s to %s, its terms say %s", clock(r.From), clock(r.Until), r.Terms.For)
	l.check(pos, Limits, !r.From.Before(r.Terms.StartAt) && !r.From.After(r.Terms.StartBy), "it begins at %s, outside its terms", clock(r.From))
}

func (l *life) begun(pos int64, e writ.Event) {
	r := l.request
	stage, short := r.Open(r.Asked())
	l.check(pos, Approved, !short && !r.From.IsZero(), "its grant began without the approvals of stage %s", stage.Name)
	err := evidence.CheckWrit(r, l.public)
	l.check(pos, SameTerms, err == nil, "%v", err)
	l.check(pos, Limits, !e.At.Before(r.From) && e.At.Before(r.Until), "its grant began at %s, outside %s to %s", clock(e.At), clock(r.From), clock(r.Until))
	subject, known := l.dir.Who(r.Terms.Subject)
	l.check(pos, Owner, known && subject.Active(), "%s was not active", r.Terms.Subject.Name)
	l.check(pos, Owner, len(l.dir.Accountable(subject)) > 0, "nobody active answered for %s", r.Terms.Subject.Name)
}

func (l *life) deed(pos int64, signed string, d writ.Deed) {
	err := evidence.CheckDeed(signed, d, l.public)
	l.check(pos, Deeds, err == nil, "%v", err)
}

// end looks at what became of the access, and counts.
func (l *life) end() {
	r := l.request
	due := r.Until
	if !r.EndedAt.IsZero() && r.EndedAt.Before(due) {
		due = r.EndedAt
	}
	if gone := r.ClosedAt; !due.IsZero() && !l.broken && due.Before(l.Until) {
		how := "was seen to be gone at " + clock(gone)
		if gone.IsZero() {
			gone, how = l.Until, "is not known to be gone at "+clock(l.Until)
		}
		took := gone.Sub(due)
		l.check(l.item.Last, Revoked, took <= l.objective, "access had to end at %s and %s, %s later", clock(due), how, took.Round(time.Second))
	}
	for i, a := range l.Attributes {
		if holds, applies := l.applied[a.Name]; applies {
			l.Attributes[i].Tested++
			if !holds {
				l.Attributes[i].Failed++
			}
		}
	}
}

// check notes that an attribute applies, and a failure unless it holds.
func (l *life) check(pos int64, attribute string, holds bool, format string, args ...any) {
	if l.applied == nil {
		l.applied = map[string]bool{}
	}
	before, known := l.applied[attribute]
	l.applied[attribute] = holds && (before || !known)
	if !holds {
		l.Failures = append(l.Failures, Failure{l.item.Request, pos, attribute, fmt.Sprintf(format, args...)})
	}
}

func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }
