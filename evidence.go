package writ

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
)

// A Method is how a person shows that a decision is theirs.
type Method string

// The methods, the weakest first.
const (
	BySession Method = "session"    // a bearer token or a signed-in browser: nothing is signed
	ByOIDC    Method = "oidc-fresh" // signed in again for this decision: the ID token's nonce is the challenge
	BySSH     Method = "ssh"        // an SSHSIG signature over the challenge
	ByPasskey Method = "passkey"    // a WebAuthn assertion over the challenge, with user verification
)

var methods = []Method{BySession, ByOIDC, BySSH, ByPasskey}

// Valid reports whether it is one of the methods.
func (m Method) Valid() bool { return slices.Contains(methods, m) }

// Meets reports whether the method is at least as strong as another. An empty
// one is a session.
func (m Method) Meets(need Method) bool { return m.rank() >= need.rank() }

func (m Method) rank() int { return max(0, slices.Index(methods, m)) }

// stronger returns the stronger of two methods.
func stronger(a, b Method) Method {
	if b.Meets(a) {
		return b
	}
	return a
}

// Evidence is what shows anybody, also years later, that a person made a
// decision. A session leaves none but its method.
type Evidence struct {
	Method Method          `json:"method"`
	Nonce  []byte          `json:"nonce,omitempty"`  // 16 bytes that Writ gave out for this decision
	Key    string          `json:"key,omitempty"`    // name of the key that signed
	KeyUID UID             `json:"keyUid,omitempty"` // of that key
	Proof  json.RawMessage `json:"proof,omitempty"`  // what the method made; package assent reads it
}

// A Decision is what somebody may say to terms.
type Decision string

// The decisions.
const (
	Yes Decision = "approve"
	No  Decision = "deny"
)

// Challenge returns what a person signs for a decision on terms:
// SHA-256("writ/approval/v1" || 0x00 || nonce || digest || decision), where the
// digest is its 32 bytes. It is good for this request, this revision of its
// terms and this decision alone. The error says that the digest is none.
func Challenge(nonce []byte, d Digest, decision Decision) ([32]byte, error) {
	raw, err := hex.DecodeString(strings.TrimPrefix(string(d), "sha256:"))
	if err != nil || len(raw) != sha256.Size {
		return [32]byte{}, Errorf(Invalid, "%q is no digest; it is sha256: and 64 hexadecimal digits", d)
	}
	if len(nonce) < 16 {
		return [32]byte{}, Errorf(Invalid, "a nonce of %d bytes; it has at least 16", len(nonce))
	}
	return sha256.Sum256(bytes.Join([][]byte{[]byte("writ/approval/v1\x00"), nonce, raw, []byte(decision)}, nil)), nil
}

// A Nonce was given out for one decision of one person, and is used once.
type Nonce struct {
	Value    []byte
	Person   UID // the identity it was given to
	Request  ID
	Digest   Digest
	Decision Decision
	Until    time.Time
}

// NonceFor is how long a person has to sign.
const NonceFor = 5 * time.Minute

// PrepareApproval returns what to give out to a person who is about to sign a
// yes, and the open stage. It refuses whoever could not say it with whatever
// evidence. The value is 16 random bytes.
func PrepareApproval(r Request, value []byte, f Facts) (Nonce, Stage, error) {
	events, err := Decide(r, r.ID, Approve{Digest: r.Digest}, f)
	if _, only := errors.AsType[unproven](err); err != nil && !only {
		return Nonce{}, Stage{}, err
	}
	if err == nil && len(events) == 0 {
		return Nonce{}, Stage{}, Errorf(Conflict, "you approved %s already; there is nothing more to sign", r.ID)
	}
	stage, _ := r.Open(r.stricter(f.Verdict))
	return Nonce{value, f.Actor.UID, r.ID, r.Digest, Yes, f.Now.Add(NonceFor)}, stage, nil
}

// An unproven yes would count with stronger evidence: nothing else is wrong
// with it, because evidence is looked at last.
type unproven struct{ error }

func (u unproven) Unwrap() error { return u.error }

// accept refuses evidence that is weaker than the stage asks for, that the
// actor's own key did not make, or that was not asked for just now. That the
// signature itself holds was found before: it cannot change, the facts can.
func (s Stage) accept(e Evidence, r Request, f Facts) error {
	method := orElse(e.Method, BySession)
	if !method.Valid() || !method.Meets(s.Proof) {
		return unproven{Errorf(Forbidden, "stage %s of %s wants an approval by %s, and this is one by %s; %s", s.Name, r.ID, s.Proof, method, s.Proof.hint())}
	}
	if method == BySession {
		return nil
	}
	n := f.Nonce
	if n == nil || !bytes.Equal(n.Value, e.Nonce) || n.Person != f.Actor.UID || n.Request != r.ID || n.Digest != r.Digest || n.Decision != Yes {
		return Errorf(Conflict, "this signature for %s is of a challenge that was not given to you for it, or was used; ask for a new one", r.ID)
	}
	if !f.Now.Before(n.Until) {
		return Errorf(Conflict, "the challenge for %s was good until %s; ask for a new one", r.ID, n.Until.Format(time.RFC3339))
	}
	if method == ByOIDC {
		return nil
	}
	return s.acceptKey(e, r, f)
}

func (s Stage) acceptKey(e Evidence, r Request, f Facts) error {
	key, ok := f.Directory.Keys[e.Key]
	switch {
	case !ok || key.UID != e.KeyUID || key.Party() != f.Actor:
		return Errorf(Forbidden, "key %s is not one of %s; see 'writ key list'", e.Key, f.Actor.Name)
	case key.Method != e.Method:
		return Errorf(Forbidden, "key %s signs by %s, not by %s", e.Key, key.Method, e.Method)
	}
	if counts := s.counts(key); f.Now.Before(counts) {
		return Errorf(Forbidden, "key %s is new: in stage %s of %s it counts from %s on; use an older key", e.Key, s.Name, r.ID, counts.Format(time.RFC3339))
	}
	return nil
}

// counts returns from when on a key is old enough for the stage.
func (s Stage) counts(k Key) time.Time { return k.Enrolled.Add(s.KeyAge.Std()) }

// Keys returns the keys of a person that count in the stage now, ordered by name.
func (s Stage) Keys(d *Directory, who Party, now time.Time) []Key {
	return slices.DeleteFunc(d.KeysOf(who), func(k Key) bool {
		return !k.Method.Meets(s.Proof) || now.Before(s.counts(k))
	})
}

// signed returns the evidence if it shows anything.
func (e Evidence) signed() *Evidence {
	if e.Method.rank() == 0 {
		return nil
	}
	return &e
}

func (m Method) hint() string {
	switch m {
	case ByPasskey:
		return "open the request in the browser and use a passkey"
	case BySSH:
		return "use 'writ approve --ssh-key FILE', or a passkey in the browser"
	case ByOIDC:
		return "sign in again for this approval in the browser, or use 'writ approve --ssh-key FILE'"
	}
	return "sign in"
}
