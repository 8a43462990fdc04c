package writ

import (
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// Terms are the exact thing that is approved, and all of it: an approval is of
// their Digest. Times are UTC in whole seconds.
type Terms struct {
	V           int               `json:"v"` // of this structure: 1
	Request     ID                `json:"request"`
	Revision    int               `json:"revision"` // from 1; any change is a new one
	Requester   Party             `json:"requester"`
	Subject     Party             `json:"subject"` // the identity that gets access
	Entitlement Definition        `json:"entitlement"`
	Scope       map[string]string `json:"scope"`
	For         Duration          `json:"for"`              // access lasts this long from its start
	StartAt     time.Time         `json:"startAt,omitzero"` // not before; zero: as soon as it is authorized
	StartBy     time.Time         `json:"startBy"`          // not after: later approval or start is refused; see Request.late
	Ends        []string          `json:"ends"`             // what ends it sooner: "incident/INC-7"
	Ticket      string            `json:"ticket,omitempty"`
	Why         Commitment        `json:"why,omitempty"`
	Recipient   string            `json:"recipient,omitempty"` // age recipient the credential is sealed to
	PublicKey   string            `json:"publicKey,omitempty"` // CSR or SSH key that a certificate is for
	Policy      Digest            `json:"policy"`
	Route       string            `json:"route"`
}

// A Definition is what an entitlement meant when it was asked for.
type Definition struct {
	Name        string          `json:"name"`
	UID         UID             `json:"uid"`
	Target      string          `json:"target"`
	TargetUID   UID             `json:"targetUid"`
	Connector   string          `json:"connector"`
	Environment string          `json:"environment"`
	Credential  string          `json:"credential"`
	Grant       json.RawMessage `json:"grant"`
	Config      Digest          `json:"config"` // of the target's connector configuration

	Covers map[string]Covers `json:"covers,omitempty"` // scope values that give less than others
}

// Digest returns SHA-256("writ/terms/v1\n" || JCS(t)).
func (t Terms) Digest() (Digest, error) { return digest("writ/terms/v1", t) }

// Canonical returns JCS(t), the bytes that Digest covers: what an approver is shown.
func (t Terms) Canonical() ([]byte, error) { return canonical(t) }

// Narrows reports whether t allows nothing that u does not: the same access
// but shorter, for less of it, starting within the same bounds, or with more
// that ends it. Whoever approved u has then approved t as well.
func (t Terms) Narrows(u Terms) bool {
	same := t
	same.Revision, same.For, same.Ends, same.StartAt, same.StartBy, same.Scope = u.Revision, u.For, u.Ends, u.StartAt, u.StartBy, u.Scope
	a, errA := same.Digest()
	b, errB := u.Digest()
	for _, end := range u.Ends {
		if !slices.Contains(t.Ends, end) {
			return false
		}
	}
	return errA == nil && errB == nil && a == b && t.within(u) &&
		t.For <= u.For && !t.StartAt.Before(u.StartAt) && !t.StartBy.After(u.StartBy)
}

// within reports whether the scope of t is covered by that of u.
func (t Terms) within(u Terms) bool {
	if len(t.Scope) != len(u.Scope) {
		return false
	}
	for name, wide := range u.Scope {
		narrow, ok := t.Scope[name]
		if !ok || !u.Entitlement.Covers[name].Has(wide, narrow) {
			return false
		}
	}
	return true
}

// Hold names the access itself where grants can overlap: two requests with the
// same Hold give the same account the same thing, whoever they are for, and only
// the end of the last one may take it away. It is empty where each grant is its
// own. A shared grant names its account by itself, in Grant and Scope; so the
// subject is no part of it.
func (t Terms) Hold() Digest {
	if t.Entitlement.Credential != SharedCredential {
		return ""
	}
	d, err := digest("writ/hold/v1", []any{t.Entitlement.TargetUID, t.Entitlement.Grant, t.Scope})
	if err != nil {
		return "" // a Grant that is no JSON is refused with its document
	}
	return d
}

// SharedCredential is the credential kind that issues nothing but gives an
// account that exists a membership. The account is named by Grant and Scope.
const SharedCredential = "membership"

func (t Terms) clone() Terms {
	t.Scope, t.Ends = maps.Clone(t.Scope), slices.Clone(t.Ends)
	return t
}
