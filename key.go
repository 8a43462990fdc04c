package writ

import (
	"bytes"
	"crypto/sha256"
	"time"
)

// A Key is what a person signs decisions with. The person enrols it, nobody
// else can; it never changes, and it counts from when it was enrolled.
type Key struct {
	Header      `yaml:",inline"`
	Identity    Ref       `json:"identity"`
	IdentityUID UID       `json:"identityUid"`
	Method      Method    `json:"method"` // ssh or passkey
	Title       string    `json:"title,omitempty"`
	Public      string    `json:"public"`               // ssh: as in authorized_keys, without comment; passkey: the COSE key in base64url
	Credential  string    `json:"credential,omitempty"` // of a passkey: its id in base64url
	RP          string    `json:"rp,omitempty"`         // of a passkey: relying party id (host name)
	Origin      string    `json:"origin,omitempty"`     // of a passkey: the one it was enrolled at
	Synced      bool      `json:"synced,omitempty"`     // of a passkey: it may be on other devices, too (WebAuthn flag BE)
	Enrolled    time.Time `json:"enrolled"`
}

// Party returns whose key it is.
func (k Key) Party() Party { return Party{k.Identity, k.IdentityUID} }

// Enrolment is what the nonce of an enrolment is for, in place of a decision.
const Enrolment Decision = "enrol"

// EnrolChallenge returns what a person signs with a key to show that they have
// it and want it as theirs: SHA-256("writ/enrol/v1" || 0x00 || nonce || UID). It
// names the person, so a signature that somebody else was talked into gives
// nobody else's key.
func EnrolChallenge(nonce []byte, who Party) ([32]byte, error) {
	if len(nonce) < 16 || who.UID == "" {
		return [32]byte{}, Errorf(Invalid, "an enrolment has a nonce of at least 16 bytes and a person")
	}
	return sha256.Sum256(bytes.Join([][]byte{[]byte("writ/enrol/v1\x00"), nonce, []byte(who.UID)}, nil)), nil
}

// PrepareEnrol returns what to give out to a person who is about to enrol a key.
func PrepareEnrol(value []byte, f Facts) (Nonce, error) {
	if err := f.enrols(); err != nil {
		return Nonce{}, err
	}
	return Nonce{Value: value, Person: f.Actor.UID, Decision: Enrolment, Until: f.Now.Add(NonceFor)}, nil
}

// MaxKeys is how many keys a person can have.
const MaxKeys = 16

const maxTitle = 200 // bytes

// EnrolWithin is how long after signing in a browser session can enrol a key.
// Whoever steals one later could otherwise bring a key of their own, and sign.
const EnrolWithin = 10 * time.Minute

func (f Facts) enrols() error {
	if who, ok := f.Directory.Who(f.Actor); !ok || !who.Active() || !who.Human() {
		return Errorf(Forbidden, "%s cannot enrol a key: only a person can, for themselves", f.Actor.Name)
	}
	if len(f.Directory.KeysOf(f.Actor)) >= MaxKeys {
		return Errorf(Conflict, "%s has %d keys, and can have no more; remove one with 'writ key remove'", f.Actor.Name, MaxKeys)
	}
	if !f.SignedIn.IsZero() && f.Now.Sub(f.SignedIn) > EnrolWithin {
		return Errorf(Forbidden, "you signed in more than %d minutes ago; sign in again to enrol a key", int(EnrolWithin.Minutes()))
	}
	return nil
}

// Enrol adds a key of the person who acts. That they have it was shown before.
type Enrol struct {
	Key   Key
	UID   UID    // a fresh one
	Nonce []byte // of the challenge that the key signed
}

// DecideEnrol answers with the event that makes the key one of the actor's.
func DecideEnrol(c Enrol, f Facts) ([]Event, error) {
	k := c.Key
	if err := f.enrols(); err != nil {
		return nil, err
	}
	if err := c.fresh(f); err != nil {
		return nil, err
	}
	if old, taken := f.Directory.Keys[k.Name]; taken && old.Party() == f.Actor {
		return nil, Errorf(Conflict, "key %s is enrolled already, since %s; see 'writ key list'", k.Name, old.Enrolled.Format(time.RFC3339))
	} else if taken {
		return nil, Errorf(Conflict, "key %s is somebody else's; one key speaks for one person: make another", k.Name)
	}
	k.Identity, k.IdentityUID, k.Enrolled = f.Actor.Name, f.Actor.UID, seconds(f.Now)
	return f.Directory.add(k, c.UID, f)
}

// fresh refuses a challenge that was not given to the actor just now.
func (c Enrol) fresh(f Facts) error {
	n := f.Nonce
	if n == nil || !bytes.Equal(n.Value, c.Nonce) || n.Person != f.Actor.UID || n.Decision != Enrolment || !f.Now.Before(n.Until) {
		return Errorf(Conflict, "key %s signed a challenge that was not given to you for it, was used, or is older than %s; ask for a new one", c.Key.Name, NonceFor)
	}
	return nil
}

// DecideDisenrol answers with the event that takes a key away: its person may,
// and whoever may revoke or administer. Approvals it has made stay what they are.
func DecideDisenrol(name string, f Facts) ([]Event, error) {
	k, ok := f.Directory.Keys[name]
	if !ok || !f.may(k.Party()) {
		return nil, Errorf(NotFound, "you have no key %q; see 'writ key list'", name)
	}
	return f.Directory.drop(k, f)
}

// may reports whether the actor may take away what is a person's own.
func (f Facts) may(owner Party) bool {
	return f.Actor == owner || f.Authority.Revoke || f.Authority.Administer
}

// add returns the event that makes a document which Put does not take.
func (d *Directory) add(doc Document, fresh UID, f Facts) ([]Event, error) {
	h := doc.Head()
	content, sum, err := body(doc)
	if err != nil {
		return nil, err
	}
	e := Event{Stream: h.Stream(), Seq: d.seqs[h.Stream()] + 1, At: f.Now, Actor: f.Actor, Body: Changed{h.Kind, h.Name, fresh, sum, content}}
	next, err := d.With(e)
	if err != nil {
		return nil, err
	}
	return []Event{e}, doc.check(next)
}

// drop returns the event that removes such a document.
func (d *Directory) drop(doc Document, f Facts) ([]Event, error) {
	h := doc.Head()
	return []Event{{Stream: h.Stream(), Seq: d.seqs[h.Stream()] + 1, At: f.Now, Actor: f.Actor, Body: Removed{h.Kind, h.Name, h.UID}}}, nil
}

func (k Key) check(d *Directory) error {
	if err := checkName("key", k.Name, 1); err != nil {
		return err
	}
	who, ok := d.Who(k.Party())
	switch {
	case !ok || !who.Human():
		return Errorf(Invalid, "key %s: %s is no person who is known; remove the key first", k.Name, k.Identity)
	case k.Method != BySSH && k.Method != ByPasskey:
		return Errorf(Invalid, "key %s: method %q is not ssh or passkey", k.Name, k.Method)
	case k.Public == "" || k.Method == ByPasskey && (k.Credential == "" || k.RP == "" || k.Origin == ""):
		return Errorf(Invalid, "key %s: it says too little of itself to check a signature", k.Name)
	case len(k.Title) > maxTitle:
		return Errorf(Invalid, "key %s: a title of %d bytes is too long; use at most %d", k.Name, len(k.Title), maxTitle)
	case k.Enrolled.IsZero():
		return Errorf(Invalid, "key %s: it does not say since when it counts", k.Name)
	}
	return nil
}

func (k Key) withHead(h Header) Document { k.Header = h; return k }

// KeysOf returns the keys of a person, ordered by name.
func (d *Directory) KeysOf(who Party) (out []Key) {
	for _, k := range sorted(d.Keys) {
		if k.Party() == who {
			out = append(out, k)
		}
	}
	return out
}
