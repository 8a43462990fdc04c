package worker

import (
	"errors"
	"slices"

	"github.com/writhq/writ"
	"github.com/writhq/writ/assent"
)

// Pins are what a worker believes whatever the ledger says. Whoever has taken
// over the server can write a ledger that verifies, with a policy that asks
// nobody and with keys of their own for everybody; they cannot make a signature
// of a key that is pinned. Without pins the ledger is believed.
type Pins struct {
	Keys      []writ.Key      // the only ones whose signatures count; all of the ledger if nil
	Approvals int             // signed by that many people with pinned keys, whatever policy says
	Proof     writ.Method     // of each of these
	Documents *writ.Directory // targets and entitlements that are used exactly so, and no other target; any if nil
	Except    []string        // entitlements among Documents that need no Approvals
}

// errUnpinned marks what the pins do not bear out. Either somebody forged it, or
// what is pinned is out of date.
var errUnpinned = errors.New("nothing is done: find out who made this so, or bring the pins up to date")

// Check refuses a request that is not approved as the pins want it. What the
// request says of itself is recomputed.
func (p *Pins) Check(r writ.Request) error {
	if p == nil {
		return nil
	}
	if d, err := r.Terms.Digest(); err != nil || d != r.Digest {
		return writ.Errorf(writ.Stale, "the terms of %s are not those that were approved", r.ID)
	}
	if err := r.Vouched(); err != nil {
		return err
	}
	if err := p.target(r.Terms.Entitlement); err != nil {
		return err
	}
	people, err := p.counted(r)
	if err != nil || len(people) >= p.Approvals {
		return err
	}
	if slices.Contains(p.Except, r.Terms.Entitlement.Name) {
		return p.Documents.Offers(r.Terms)
	}
	return writ.Errorf(writ.Forbidden, "%s has %d approvals by %s with a pinned key, and needs %d whatever policy says", r.ID, len(people), p.Proof, p.Approvals)
}

// counted returns who approved with a pinned key. Signatures of other keys are
// as if they were not there: the request must hold without them. Whether a
// sign-in is enough is for policy to say; here it is nobody's signature, because
// the server could make it.
func (p *Pins) counted(r writ.Request) (people map[writ.Party]bool, err error) {
	people = map[writ.Party]bool{}
	var counts []writ.Vote
	var other error
	for _, v := range r.Votes {
		switch {
		case v.Evidence == nil || v.Evidence.Method == writ.ByOIDC:
			counts = append(counts, v)
		case p.made(v):
			counts = append(counts, v)
			if v.Evidence.Method.Meets(p.Proof) {
				people[v.By] = true
			}
		case p.Keys != nil:
			other = writ.Errorf(writ.Forbidden, "the approval of %s by %s is not signed with a key that is pinned for them", r.ID, v.By.Name)
		}
	}
	if other == nil {
		return people, nil
	}
	r.Votes = counts
	if r.Vouched() != nil {
		return people, other
	}
	return people, nil
}

// made reports whether one of the pinned keys of who voted made the signature.
// By which name the ledger knows the key says nothing.
func (p *Pins) made(v writ.Vote) bool {
	return slices.ContainsFunc(p.Keys, func(k writ.Key) bool {
		k.Name, k.UID = v.Evidence.Key, v.Evidence.KeyUID
		return k.Party() == v.By && assent.Verify(*v.Evidence, k, v.Digest, writ.Yes) == nil
	})
}

// target refuses a target that is not pinned exactly as it was approved.
func (p *Pins) target(def writ.Definition) error {
	if p.Documents == nil {
		return nil
	}
	pinned, ok := p.Documents.Targets[def.Target]
	if is, err := pinned.ConfigDigest(); !ok || err != nil || pinned.Connector != def.Connector || is != def.Config {
		return writ.Errorf(writ.Forbidden, "target %s is not configured as it is pinned", def.Target)
	}
	return nil
}

// targets returns the documents by which targets are opened. Whoever can change
// those of the ledger could else have a secret sent wherever they like, or keep
// access from being ended.
func (p *Pins) targets(dir *writ.Directory) map[string]writ.Target {
	if p == nil || p.Documents == nil {
		return dir.Targets
	}
	return p.Documents.Targets
}
