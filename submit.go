package writ

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// An Ask is what somebody asks for, before policy has looked at it.
type Ask struct {
	Subject     Ref               // the identity that is to get access
	Entitlement string            // its name
	Scope       map[string]string // every parameter without a default
	For         Duration
	StartAt     time.Time // zero: as soon as it is authorized
	StartBy     time.Time // zero: as late as policy allows
	Ends        []string  // "incident/INC-7": what ends it sooner
	Ticket      string
	Why         Commitment // of the justification
	Recipient   string     // age recipient to seal the credential to
	PublicKey   string     // CSR or SSH public key, for certificates
}

// Submit asks for access.
type Submit struct {
	Terms Terms // from Ask.Terms, with policy and route of the verdict
}

// Submitted records what was asked for, all of it, and what policy answered.
type Submitted struct {
	Terms   Terms     `json:"terms"`
	Verdict Verdict   `json:"verdict"`
	LapseAt time.Time `json:"lapseAt"`
}

// Unless policy says otherwise, an undecided request lapses after a week.
const decideIn = Duration(7 * 24 * time.Hour)

// MaxLive is how many live requests one identity may have.
const MaxLive = 200

// Terms fills in an ask from the documents and refuses what cannot be asked
// for. Policy has not been asked yet: it judges these terms.
func (a Ask) Terms(id ID, f Facts) (Terms, error) {
	d := f.Directory
	subject, ok := d.Identities[a.Subject]
	if !ok {
		return Terms{}, Errorf(Invalid, "there is no identity %q; see 'writ get identity'", a.Subject)
	}
	ent, ok := d.Entitlements[a.Entitlement]
	if !ok {
		return Terms{}, Errorf(Invalid, "there is no entitlement %q; see 'writ get entitlement'", a.Entitlement)
	}
	def, err := d.Define(ent)
	if err != nil {
		return Terms{}, err
	}
	scope, err := ent.fill(a.Scope)
	if err != nil {
		return Terms{}, err
	}
	if a.For <= 0 {
		return Terms{}, Errorf(Invalid, "for how long? give a duration such as 15m or 24h; %s allows at most %s", ent.Name, ent.MaxFor)
	}
	if a.For > ent.MaxFor {
		return Terms{}, Errorf(Invalid, "%s allows at most %s; %s is too long: ask for less", ent.Name, ent.MaxFor, a.For)
	}
	t := Terms{
		V: 1, Request: id, Revision: 1, Requester: f.Actor, Subject: subject.Party(), Entitlement: def, Scope: scope,
		For: a.For, StartAt: seconds(a.StartAt), StartBy: seconds(a.StartBy), Ends: append([]string{}, a.Ends...),
		Ticket: a.Ticket, Why: a.Why, Recipient: a.Recipient, PublicKey: a.PublicKey,
	}
	return t, t.checkAsk(f.Now)
}

func (t Terms) checkAsk(now time.Time) error {
	if !t.StartBy.IsZero() && !t.StartBy.After(now) {
		return Errorf(Invalid, "startBy %s is past; give a later one or leave it out", t.StartBy.Format(time.RFC3339))
	}
	if !t.StartBy.IsZero() && t.StartAt.After(t.StartBy) {
		return Errorf(Invalid, "startAt %s is after startBy %s", t.StartAt.Format(time.RFC3339), t.StartBy.Format(time.RFC3339))
	}
	for _, end := range t.Ends {
		if kind, name, ok := strings.Cut(end, "/"); !ok || kind == "" || name == "" {
			return Errorf(Invalid, "end condition %q: write it as kind/name, for example incident/INC-7", end)
		}
	}
	needsKey := t.Entitlement.Credential == "certificate" || t.Entitlement.Credential == "ssh-certificate"
	if needsKey && t.PublicKey == "" {
		return Errorf(Invalid, "%s issues a %s: send what it is for as publicKey (a CSR or an SSH public key)", t.Entitlement.Name, t.Entitlement.Credential)
	}
	return nil
}

// Define returns what an entitlement means now.
func (d *Directory) Define(e Entitlement) (Definition, error) {
	t, ok := d.Targets[e.Target]
	if !ok {
		return Definition{}, Errorf(Invalid, "%s: its target %q does not exist", e.Name, e.Target)
	}
	config, known := d.configs[t.Name]
	var err error
	if !known {
		config, err = digest("writ/config/v1", t.Config)
	}
	def := Definition{
		Name: e.Name, UID: e.UID, Target: t.Name, TargetUID: t.UID, Connector: t.Connector,
		Environment: t.Environment, Credential: e.Credential, Grant: e.Grant, Config: config,
	}
	for name, p := range e.Scope {
		if len(p.Covers) == 0 {
			continue
		}
		if def.Covers == nil {
			def.Covers = map[string]Covers{}
		}
		def.Covers[name] = p.Covers
	}
	return def, err
}

// Offers refuses terms that could not be asked for with these documents as they
// are: another definition, a scope outside its parameters, a longer time.
func (d *Directory) Offers(t Terms) error {
	if err := d.Current(t.Entitlement); err != nil {
		return err
	}
	e := d.Entitlements[t.Entitlement.Name]
	if t.For > e.MaxFor {
		return Errorf(Forbidden, "%s allows at most %s", e.Name, e.MaxFor)
	}
	scope, err := e.fill(t.Scope)
	if err == nil && !maps.Equal(scope, t.Scope) {
		err = Errorf(Forbidden, "%s has a scope of %s, and %s does not say all of it", e.Name, orNone(sortedKeys(e.Scope)), t.Request)
	}
	return err
}

// fill returns the scope with defaults, and refuses a value outside its parameter.
func (e Entitlement) fill(given map[string]string) (map[string]string, error) {
	scope := map[string]string{}
	for _, name := range sortedKeys(given) {
		p, ok := e.Scope[name]
		if !ok {
			return nil, Errorf(Invalid, "%s has no scope parameter %q; it has: %s", e.Name, name, orNone(sortedKeys(e.Scope)))
		}
		if !p.allows(given[name]) {
			return nil, Errorf(Invalid, "%s: scope %s=%q is outside the parameter; %s", e.Name, name, given[name], p.hint())
		}
		scope[name] = given[name]
	}
	for _, name := range sortedKeys(e.Scope) {
		if _, ok := scope[name]; ok {
			continue
		}
		if e.Scope[name].Default == "" {
			return nil, Errorf(Invalid, "%s needs scope %s; %s", e.Name, name, e.Scope[name].hint())
		}
		scope[name] = e.Scope[name].Default
	}
	return scope, nil
}

func (p Param) hint() string {
	if len(p.OneOf) > 0 {
		return "it is one of: " + strings.Join(p.OneOf, ", ")
	}
	return "it matches " + p.Pattern
}

func (c Submit) decide(r Request, f Facts) ([]Body, error) {
	t, v := c.Terms.clone(), f.Verdict
	if r.Seq > 0 {
		return nil, Errorf(Conflict, "request %s exists", r.ID)
	}
	if t.Request != r.ID || t.Requester != f.Actor {
		return nil, Errorf(Invalid, "%s: its terms are of %s, asked for by %s; make them again", r.ID, t.Request, t.Requester.Name)
	}
	if err := MayAsk(f.Directory, f.Actor, t.Subject); err != nil {
		return nil, err
	}
	if len(f.Live) >= MaxLive {
		return nil, Errorf(Conflict, "%s has %d live requests, the most an identity may have; end some first", t.Subject.Name, len(f.Live))
	}
	if v.MaxFor > 0 && t.For > v.MaxFor {
		return nil, Errorf(Invalid, "policy allows %s for at most %s; %s is too long: ask for less", t.Entitlement.Name, v.MaxFor, t.For)
	}
	lapse, err := t.bound(v, f.Now)
	if err != nil {
		return nil, err
	}
	for _, end := range v.Ends {
		if !slices.Contains(t.Ends, end) {
			t.Ends = append(t.Ends, end)
		}
	}
	slices.Sort(t.Ends)
	t.Policy, t.Route = v.Policy, v.Route
	out := []Body{Submitted{t, v, lapse}}
	switch _, waits := (Request{}).Open(v); {
	case !v.Allowed:
		return append(out, Denied{Policy: v.Why()}), nil
	case !waits:
		return append(out, authorize(t, f.Now)), nil
	}
	return out, nil
}

// bound sets the latest start where none was given, and returns when the
// request lapses undecided.
func (t *Terms) bound(v Verdict, now time.Time) (lapse time.Time, err error) {
	lapse = now.Add(orElse(v.DecideIn, decideIn).Std())
	latest := lapse
	if v.StartWithin > 0 {
		latest = now.Add(v.StartWithin.Std())
	}
	if t.StartBy.IsZero() {
		t.StartBy = seconds(latest)
	}
	switch {
	case v.StartWithin > 0 && t.StartBy.After(latest):
		return lapse, Errorf(Invalid, "startBy %s is later than policy allows: %s", t.StartBy.Format(time.RFC3339), latest.Format(time.RFC3339))
	case t.StartAt.After(t.StartBy):
		return lapse, Errorf(Invalid, "startAt %s is later than the latest start: %s", t.StartAt.Format(time.RFC3339), t.StartBy.Format(time.RFC3339))
	case t.StartBy.Before(lapse):
		lapse = t.StartBy
	}
	return lapse, nil
}

// MayAsk lets an identity ask for itself; its owner and deputy, and whom its
// document names as askers, ask for it. Anybody else is refused.
func MayAsk(d *Directory, actor, subject Party) error {
	who, known := d.Who(actor)
	if !known || !who.Active() {
		return Errorf(Forbidden, "%s is not an active identity", actor.Name)
	}
	if cause, unfit := d.unfit(subject); cause != "" {
		return Errorf(Forbidden, "%s gets no access: %s", subject.Name, unfit)
	}
	s := d.Identities[subject.Name]
	if actor.UID == subject.UID || d.Answers(who.Ref(), s.Ref()) || d.In(who.Ref(), s.Askers...) {
		return nil
	}
	return Errorf(Forbidden, "%s may not ask for %s: only it, its owner, its deputy and its askers may", actor.Name, subject.Name)
}

// Kind returns "submitted".
func (Submitted) Kind() Kind { return "submitted" }

func (b Submitted) apply(r *Request, e Event) {
	r.At, r.Terms, r.Verdict, r.LapseAt = e.At, b.Terms, b.Verdict, b.LapseAt
	r.Digest, _ = b.Terms.Digest() // what cannot be hashed was not encoded either
	r.opened(e.At)
}

func seconds(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func orElse[T comparable](v, other T) T {
	var zero T
	if v == zero {
		return other
	}
	return v
}
