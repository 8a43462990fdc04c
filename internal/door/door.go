// Package door is the one way in: every action of every caller, over whatever
// road it comes, is a method here with the caller's identity as an argument.
// It loads nothing by itself and decides nothing: the rules are in the core,
// the facts come from the transaction that records the decision.
package door

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"filippo.io/age"
	"github.com/oklog/ulid/v2"

	"github.com/writhq/writ"
	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/internal/store"
	"github.com/writhq/writ/policy"
)

// Config is what a Door stands on.
type Config struct {
	Store   *store.DB
	Judge   *policy.Judge
	Drivers map[string]connector.Driver
	Claims  *age.X25519Identity                                                        // opens credentials that are claimed
	Target  func(context.Context, writ.Target) error                                   // refuses a target whose configuration cannot be opened; nil where none can
	Safe    func() error                                                               // why the ledger must not be trusted to give access; always if nil
	Origin  string                                                                     // of the server's pages, at which passkeys are made
	Signer  func(ctx context.Context, idToken string) (jwk json.RawMessage, err error) // verifies who signed in for a decision; nil: nobody can
	Logger  *slog.Logger                                                               // is told of signatures that are refused; slog.Default() if nil
}

// A Door answers callers. Its methods are safe for concurrent use.
type Door struct {
	Config
	refused atomic.Int64 // signatures
}

// New returns a door.
func New(c Config) *Door {
	if c.Safe == nil {
		c.Safe = func() error { return nil }
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return &Door{Config: c}
}

// A Caller is who acts. A Key makes a call repeatable: the same caller with the
// same key and the same content gets the same answer, not a second effect.
type Caller struct {
	writ.Party
	SignedIn    time.Time // when the browser session began that they call in; zero: they call in none
	Key         string
	Fingerprint writ.Digest // of the call's content
}

// System is the caller that Writ itself is.
var System = Caller{Party: writ.System}

func (c Caller) key() *store.Key {
	if c.Key == "" {
		return nil
	}
	return &store.Key{Caller: c.UID, Key: c.Key, Fingerprint: c.Fingerprint}
}

// decide makes the decision of a command about an existing request: the facts
// of the transaction, and what policy says now.
func (d *Door) decide(who Caller, id writ.ID, c writ.Command) func(writ.Request, writ.Facts) ([]writ.Event, error) {
	return func(r writ.Request, f writ.Facts) ([]writ.Event, error) {
		f, err := d.fill(who, id, r, f)
		if err != nil {
			return nil, err
		}
		if gives(c) {
			if err := d.Safe(); err != nil {
				return nil, err
			}
		}
		if needsPolicy(c) {
			f.Verdict = d.Judge.Verdict(policy.Query{Terms: r.Terms, Facts: f})
		}
		return writ.Decide(r, id, c, f)
	}
}

// fill adds who acts to the facts of a transaction, and refuses whoever may not
// know of the request.
func (d *Door) fill(who Caller, id writ.ID, r writ.Request, f writ.Facts) (writ.Facts, error) {
	if r.Seq == 0 {
		return f, unknown(id)
	}
	f.Actor = who.Party
	f.Authority = d.Judge.Authority(f.Directory, who.Name)
	if !sees(r, f) {
		return f, unknown(id)
	}
	return f, nil
}

// needsPolicy says which commands ask policy. What ends access never does:
// revoking must work when policy does not.
func needsPolicy(c writ.Command) bool {
	switch c.(type) {
	case writ.Approve, writ.Deny, writ.Narrow, writ.Require:
		return true
	}
	return false
}

// gives says which commands lead to access. They wait while the ledger may be an
// old copy, which does not know what was revoked; what ends access does not.
func gives(c writ.Command) bool {
	switch c.(type) {
	case writ.Approve, writ.Claim:
		return true
	}
	return false
}

// sees reports whether the actor may know of the request: whoever has a part
// in it, owns what it is about, or may audit or revoke.
func sees(r writ.Request, f writ.Facts) bool {
	if f.Authority.Audit || f.Authority.Revoke || f.Actor == writ.System {
		return true
	}
	d, who := f.Directory, f.Actor
	if who.UID == r.Terms.Requester.UID || who.UID == r.Terms.Subject.UID || d.Answers(who.Name, r.Terms.Subject.Name) {
		return true
	}
	for _, s := range r.Asked().Stages {
		if s.Has(s.Place(f).UID) {
			return true
		}
	}
	return d.In(who.Name, d.Entitlements[r.Terms.Entitlement.Name].Owners...) ||
		d.In(who.Name, d.Targets[r.Terms.Entitlement.Target].Owners...)
}

func unknown(id writ.ID) error {
	return writ.Errorf(writ.NotFound, "there is no request %q that you have a part in; see 'writ list'", id)
}

// facts are those of now, for looking ahead and for reading: nothing that is
// decided on them is recorded.
func (d *Door) facts(who Caller) writ.Facts {
	dir := d.Store.Directory()
	return writ.Facts{
		Now: time.Now().UTC().Truncate(time.Microsecond), Actor: who.Party, SignedIn: who.SignedIn, Directory: dir,
		Authority: d.Judge.Authority(dir, who.Name),
	}
}

// newID returns a sortable id with a typed prefix.
func newID(prefix string) string {
	return prefix + "-" + strings.ToLower(ulid.MustNew(ulid.Now(), rand.Reader).String())
}

// text makes the stored form of free text and its commitment.
func text(id writ.ID, name, content string) ([]store.Text, writ.Commitment, error) {
	content = strings.TrimSpace(content)
	if content == "" {
		return nil, "", nil
	}
	if len(content) > maxText {
		return nil, "", writ.Errorf(writ.Invalid, "the text has %d bytes; at most %d are kept: say it shorter and link to the rest", len(content), maxText)
	}
	salt := make([]byte, 16)
	rand.Read(salt) // never fails: crypto/rand
	c, err := writ.Commit(salt, content)
	return []store.Text{{Request: id, Name: name, Salt: salt, Text: content}}, c, err
}

const maxText = 4 << 10
