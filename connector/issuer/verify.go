package issuer

import (
	"context"
	"crypto/subtle"
	"maps"
	"slices"
	"time"

	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/connector/issuer/mint"
)

// A Reason is why a credential is not active. It is for metrics and people who
// run the authority: whoever shows a credential is only told that it is not
// active, whatever the reason.
type Reason string

// The reasons. Active is the absence of one.
const (
	Active    Reason = "active"
	Malformed        = Reason(mint.Malformed)
	Checksum         = Reason(mint.Checksum)
	Signature        = Reason(mint.Signature)
	Unknown   Reason = "unknown"  // no such id
	Mismatch  Reason = "mismatch" // a known id, but the rest is made up, or the stored terms were tampered with
	Early     Reason = "early"    // not yet
	Expired   Reason = "expired"
	Ended     Reason = "ended"    // revoked, or replaced by a later one for the same request
	Audience  Reason = "audience" // meant for another service, or not to be told to this caller
	Scope     Reason = "scope"    // scope parameters other than those asked for
	Unread    Reason = "unread"   // the database could not be asked: no answer was given
)

var reasons = []Reason{Active, Malformed, Checksum, Signature, Unknown, Mismatch, Early, Expired, Ended, Audience, Scope, Unread}

// A Verdict is what the authority says of an API key or access token. Unless it
// is Active, only Reason is set.
type Verdict struct {
	Active      bool
	Reason      Reason // for metrics; never for whoever showed the credential
	Kind        connector.Kind
	ID          string // key id or jti: safe to log
	Request     string
	Entitlement string
	Subject     string
	SubjectUID  string
	Audience    string
	Scopes      []string
	Scope       map[string]string // the approved scope parameters
	From, Until time.Time
}

// Verify says whether an API key or access token is good at this moment for
// each of the scope parameters in want, such as service=billing. A credential
// that only named verifiers may learn of is not active here. An error means that
// nothing is known, and that access must be refused.
func (i *Issuer) Verify(ctx context.Context, token string, want map[string]string) (Verdict, error) {
	e, reason, err := i.judge(ctx, token, question{scope: want})
	if e == nil {
		return Verdict{Reason: reason}, err
	}
	return Verdict{
		Active: true, Reason: reason, Kind: e.kind, ID: e.id, Request: e.request, Entitlement: e.entitlement,
		Subject: e.subject, SubjectUID: e.uid, Audience: e.section.Audience,
		Scopes: slices.Clone(e.section.Scopes), Scope: maps.Clone(e.scope), From: at(e.starts), Until: at(e.until),
	}, nil
}

// Counts returns how many verifications came to each outcome since Open.
func (i *Issuer) Counts() map[Reason]uint64 {
	counts := make(map[Reason]uint64, len(i.counts))
	for reason, n := range i.counts {
		counts[reason] = n.Load()
	}
	return counts
}

// A question is what a verification asks besides "is it good?".
type question struct {
	caller   string            // who asks
	audience string            // service it is shown to; empty: not asked
	scope    map[string]string // parameters that it must have
}

// judge returns the credential if it is active and nil otherwise.
func (i *Issuer) judge(ctx context.Context, token string, q question) (*entry, Reason, error) {
	e, reason, err := i.weigh(ctx, token, q)
	i.counts[reason].Add(1)
	if reason != Active {
		return nil, reason, err
	}
	return e, reason, nil
}

func (i *Issuer) weigh(ctx context.Context, token string, q question) (*entry, Reason, error) {
	id, kind, flaw := i.mint.Identify(token)
	if flaw != "" {
		return nil, Reason(flaw), nil
	}
	now := i.cfg.Now()
	e, err := i.find(ctx, id, now)
	if err != nil {
		return nil, Unread, err
	}
	if e == nil || e.kind != kind {
		i.mint.MAC(token, mint.Digest{}) // an id that does not exist must cost the same
		return nil, Unknown, nil
	}
	sum := i.mint.MAC(token, e.terms)
	if subtle.ConstantTimeCompare(sum[:], e.mac[:]) != 1 {
		return nil, Mismatch, nil
	}
	reason := e.judge(now.UnixMicro(), q)
	if reason == Active {
		i.touch(e, now.UnixMicro())
	}
	return e, reason, nil
}

// judge says whether the credential of the row, shown now, answers q.
func (r *row) judge(now int64, q question) Reason {
	switch {
	case r.ended != 0:
		return Ended
	case now >= r.until:
		return Expired
	case now < r.starts:
		return Early
	case q.audience != "" && q.audience != r.section.Audience:
		return Audience
	case len(r.section.Verifiers) > 0 && !slices.Contains(r.section.Verifiers, q.caller):
		return Audience
	}
	for name, value := range q.scope {
		if has, ok := r.scope[name]; !ok || has != value {
			return Scope
		}
	}
	return Active
}
