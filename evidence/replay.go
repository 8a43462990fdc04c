package evidence

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/assent"
	"github.com/writhq/writ/policy"
)

// A replay lives a request's life again: each decision that led to access or
// proved its end is made anew by the rules, on the documents of its moment, and
// has to come out as it is on record.
type replay struct {
	id      writ.ID
	why     *string // text of the justification, if the file has it
	judge   *policy.Judge
	public  ed25519.PublicKey
	request writ.Request
	events  []writ.Event // of the request
	keys    map[int]writ.Key

	dir     *writ.Directory
	pending []writ.Event // of documents, which dir does not have yet
	more    []writ.Event // have to follow: they were decided together with the last one

	explanation policy.Explanation
	unproved    []string
}

// document takes a version of a document, or its end.
func (p *replay) document(e writ.Event) error {
	if b, ok := e.Body.(writ.Changed); ok {
		sum := sha256.Sum256(append([]byte("writ/document/v1\n"), b.Content...))
		if string(b.Digest) != "sha256:"+hex.EncodeToString(sum[:]) {
			return refuse("the digest of %s is not that of its content", e.Stream)
		}
	}
	p.pending = append(p.pending, e)
	return nil
}

// directory returns the documents as they are now.
func (p *replay) directory() (*writ.Directory, error) {
	if len(p.pending) == 0 {
		return p.dir, nil
	}
	next, err := p.dir.With(p.pending...)
	if err == nil {
		p.dir, p.pending = next, nil
	}
	return p.dir, err
}

// step takes the next event of the request.
func (p *replay) step(e writ.Event) error {
	if err := p.decide(e); err != nil {
		return err
	}
	next, err := p.request.Apply(e)
	if err != nil {
		return refuse("%v", err)
	}
	p.request = next
	p.events = append(p.events, e)
	switch b := e.Body.(type) {
	case writ.GrantBegun:
		err = CheckWrit(next, p.public)
	case writ.Granted:
		err = errors.Join(CheckWrit(next, p.public), CheckDeed(b.Signed, b.Deed(next), p.public))
	case writ.Revoked:
		err = CheckDeed(b.Signed, b.Deed(next), p.public)
	}
	if err != nil {
		return refuse("%v", err)
	}
	return nil
}

// decide holds an event against what the rules make of the command behind it.
func (p *replay) decide(e writ.Event) error {
	if len(p.more) > 0 {
		want := p.more[0]
		p.more = p.more[1:]
		return same(want, e)
	}
	c := command(e, p.request.Digest)
	if c == nil {
		return nil // it takes access away, or says what was tried
	}
	dir, err := p.directory()
	if err != nil {
		return refuse("%v", err)
	}
	f := writ.Facts{Now: e.At, Actor: e.Actor, Directory: dir}
	switch b := e.Body.(type) {
	case writ.Submitted:
		err = p.asked(c.(writ.Submit), b, &f)
	case writ.Approved:
		f.Verdict = p.verdict(f)
		f.Nonce, err = p.assented(b, f)
	case writ.Narrowed, writ.Required, writ.Authorized, writ.GrantBegun:
		f.Verdict = p.verdict(f)
		if e.Body.Kind() == "grant-begun" && (f.Verdict.Witnessed || p.request.Verdict.Witnessed) {
			p.unprove("that witnesses had cosigned the approvals before access was made, as policy wants: only the server says when it had their word")
		}
	}
	if err != nil {
		return err
	}
	return p.again(c, e, f)
}

// again decides, and keeps what has to follow.
func (p *replay) again(c writ.Command, e writ.Event, f writ.Facts) error {
	switch e.Body.(type) {
	case writ.Submitted, writ.Narrowed, writ.Required, writ.Approved, writ.Claimed:
	default:
		if e.Actor != writ.System {
			return refuse("%s is by %s; only Writ itself does that", e.Body.Kind(), e.Actor.Name)
		}
	}
	out, err := writ.Decide(p.request, p.id, c, f)
	if (err != nil || len(out) == 0 || same(out[0], e) != nil) && p.elsewhere(f) && f.Verdict.Policy != "" {
		p.unprove("that policy allowed %s: it looks at what else %s had, which this file does not say", e.Body.Kind(), p.request.Terms.Subject.Name)
		f.Verdict = p.request.Verdict
		out, err = writ.Decide(p.request, p.id, c, f)
	}
	switch {
	case err != nil:
		return refuse("%s would be refused by the rules: %v", e.Body.Kind(), err)
	case len(out) == 0:
		return refuse("%s does not follow from anything", e.Body.Kind())
	}
	p.more = out[1:]
	return same(out[0], e)
}

// command returns what was asked for when an event that matters was decided, of
// terms with this digest.
func command(e writ.Event, terms writ.Digest) writ.Command {
	switch b := e.Body.(type) {
	case writ.Submitted:
		b.Terms.Policy, b.Terms.Route = "", "" // policy answered after they were made
		return writ.Submit{Terms: b.Terms}
	case writ.Approved:
		c := writ.Approve{Digest: b.Digest}
		if b.Evidence != nil {
			c.Evidence = *b.Evidence
		}
		return c
	case writ.Narrowed:
		return writ.Narrow{Digest: terms, For: b.Terms.For, Scope: b.Terms.Scope, Ends: b.Terms.Ends, StartBy: b.Terms.StartBy}
	case writ.Required:
		c := writ.Require{Digest: terms}
		for _, a := range b.Stage.Approvers {
			c.Approver = a.Name
		}
		return c
	case writ.Escalated:
		return writ.Escalate{}
	case writ.Authorized:
		return writ.Recheck{}
	case writ.GrantBegun:
		return writ.BeginGrant{Writ: b.Writ, Instance: b.Instance, Witnessed: true} // what it had of them then is not on record
	case writ.Granted:
		return writ.ReportGrant{Attempt: b.Attempt, Receipt: b.Receipt, Seen: b.Seen, Signed: b.Signed}
	case writ.Claimed:
		return writ.Claim{}
	case writ.Revoked:
		return writ.ReportRevoke{Attempt: b.Attempt, Seen: b.Seen, Instance: b.Instance, Signed: b.Signed}
	}
	return nil
}

// asked asks policy again about what was asked for.
func (p *replay) asked(c writ.Submit, b writ.Submitted, f *writ.Facts) error {
	p.explanation = p.judge.Explain(policy.Query{Terms: c.Terms, Why: p.why, Facts: *f})
	f.Verdict = b.Verdict
	now := p.explanation.Verdict
	switch {
	case now.Policy != b.Terms.Policy || now.Policy != b.Verdict.Policy:
		return refuse("the policy texts in this file are %s, the request was judged by %s", now.Policy.Words(), b.Terms.Policy.Words())
	case alike(now, b.Verdict):
		return nil
	}
	hidden := !b.Verdict.Allowed && p.why == nil && c.Terms.Why != "" && mentions(f.Directory, reason)
	if hidden {
		p.unprove("why policy refused: that may lie in the justification, whose text is not in this file")
	}
	if p.elsewhere(*f) {
		p.unprove("that policy answered so: it looks at what else %s had, which this file does not say", c.Terms.Subject.Name)
		return nil
	}
	if hidden {
		return nil
	}
	return refuse("policy, asked again with the documents of that moment, does not say what is on record: it says allowed %t by route %q with %d stages (%s)",
		now.Allowed, now.Route, len(now.Stages), now.Why())
}

// verdict is what policy says of the request now.
func (p *replay) verdict(f writ.Facts) writ.Verdict {
	return p.judge.Verdict(policy.Query{Terms: p.request.Terms, Facts: f})
}

// assented checks the signature of an approval, and returns the nonce that it
// says it was given.
func (p *replay) assented(b writ.Approved, f writ.Facts) (*writ.Nonce, error) {
	e := b.Evidence
	if e == nil {
		return nil, nil
	}
	if e.Key != "" {
		key, ok := f.Directory.Keys[e.Key]
		if !ok {
			return nil, refuse("key %s of %s was not enrolled when it signed", e.Key, f.Actor.Name)
		}
		if err := assent.Verify(*e, key, b.Digest, writ.Yes); err != nil {
			return nil, refuse("the approval of %s: %v", f.Actor.Name, err)
		}
		p.keys[p.request.Seq+1] = key
	}
	if e.Method == writ.ByOIDC {
		if err := signedIn(*e, b.Digest, f); err != nil {
			return nil, refuse("the approval of %s: %v", f.Actor.Name, err)
		}
	}
	return &writ.Nonce{
		Value: e.Nonce, Person: f.Actor.UID, Request: p.id, Digest: p.request.Digest, Decision: writ.Yes, Until: f.Now.Add(writ.NonceFor),
	}, nil
}

// signedIn checks a sign-in for a decision. The server did so shortly before the
// moment that is on record.
func signedIn(e writ.Evidence, digest writ.Digest, f writ.Facts) error {
	who, _ := f.Directory.Who(f.Actor)
	err := assent.VerifySignIn(e, who, digest, writ.Yes, f.Now)
	if err != nil {
		err = assent.VerifySignIn(e, who, digest, writ.Yes, f.Now.Add(-time.Minute))
	}
	return err
}

var (
	outside = regexp.MustCompile(`\b(conflicts|live)\b`)
	reason  = regexp.MustCompile(`\bjustification\b`)
)

// elsewhere reports whether policy may look at other requests of the subject.
func (p *replay) elsewhere(f writ.Facts) bool { return mentions(f.Directory, outside) }

// mentions reports whether a policy text has such a word.
func mentions(d *writ.Directory, word *regexp.Regexp) bool {
	for _, text := range d.Policies {
		if word.MatchString(text.Source) {
			return true
		}
	}
	return false
}

func (p *replay) unprove(format string, args ...any) {
	if text := sentence(format, args...); !slices.Contains(p.unproved, text) {
		p.unproved = append(p.unproved, text)
	}
}

// alike reports whether two verdicts decide the same, in whatever words.
func alike(a, b writ.Verdict) bool {
	x, errX := a.Digest()
	if y, errY := b.Digest(); errX == nil && errY == nil && x == y {
		return true
	}
	a.Reasons, b.Reasons = wordless(a.Reasons), wordless(b.Reasons)
	x, errX = a.Digest()
	y, errY := b.Digest()
	return errX == nil && errY == nil && x == y
}

func wordless(reasons []writ.Reason) (out []writ.Reason) {
	for _, r := range reasons {
		out = append(out, writ.Reason{Rule: r.Rule, Deny: r.Deny})
	}
	return out
}

// same refuses an event that is not the one that was decided.
func same(want, is writ.Event) error {
	a, errA := writ.Encode(want)
	b, errB := writ.Encode(is)
	if errA == nil && errB == nil && bytes.Equal(a, b) {
		return nil
	}
	return refuse("%s is on record where the rules make %s, or it says something else: %s", is.Body.Kind(), want.Body.Kind(), differing(want.Body, is.Body))
}

// differing names the members in which two bodies differ.
func differing(a, b writ.Body) string {
	var x, y map[string]json.RawMessage
	one, _ := json.Marshal(a)
	other, _ := json.Marshal(b)
	_, _ = json.Unmarshal(one, &x), json.Unmarshal(other, &y)
	var names []string
	for _, m := range []map[string]json.RawMessage{x, y} {
		for name := range m {
			if !bytes.Equal(x[name], y[name]) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return join(names, "the time, the place or the actor")
}
