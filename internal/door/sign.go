package door

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/assent"
	"github.com/writhq/writ/internal/store"
	"github.com/writhq/writ/policy"
)

// A Challenge is what a person signs. A client makes it again, from the nonce
// and what it shows, before it lets anybody sign.
type Challenge struct {
	Nonce     []byte      `json:"nonce" doc:"16 bytes; send it back with the signature"`
	Challenge string      `json:"challenge" doc:"the 32 bytes to sign, in base64url without padding"`
	Digest    writ.Digest `json:"digest,omitempty" doc:"of the terms; none for an enrolment"`
	Stage     string      `json:"stage,omitempty" doc:"that is open"`
	Method    writ.Method `json:"method,omitempty" doc:"the weakest that counts; a session if left out"`
	Keys      []writ.Key  `json:"keys,omitempty" doc:"the caller's that would count now"`
	Until     time.Time   `json:"until" doc:"it can be used before this moment, once"`
}

// Challenge gives out what the caller signs to say yes to a request. Nobody
// gets one who could not say it.
func (d *Door) Challenge(ctx context.Context, who Caller, id writ.ID, decision writ.Decision) (Challenge, error) {
	if decision != writ.Yes {
		return Challenge{}, writ.Errorf(writ.Invalid, "%q is not signed, only %q is; a no needs no signature", decision, writ.Yes)
	}
	var n writ.Nonce
	var out Challenge
	prepare := func(r writ.Request, f writ.Facts) (_ []writ.Event, err error) {
		if f, err = d.fill(who, id, r, f); err != nil {
			return nil, err
		}
		f.Verdict = d.Judge.Verdict(policy.Query{Terms: r.Terms, Facts: f})
		var stage writ.Stage
		if n, stage, err = writ.PrepareApproval(r, fresh(), f); err != nil {
			return nil, err
		}
		sum, err := writ.Challenge(n.Value, n.Digest, n.Decision)
		out = challenge(n, sum)
		out.Digest, out.Stage, out.Method, out.Keys = n.Digest, stage.Name, stage.Proof, stage.Keys(f.Directory, f.Actor, f.Now)
		return nil, err
	}
	if _, err := d.Store.Update(ctx, store.Change{ID: id, Decide: prepare}); err != nil { // with the facts that the yes will be decided with
		return Challenge{}, err
	}
	return out, d.Store.PutNonce(ctx, n)
}

func fresh() []byte {
	value := make([]byte, 16)
	rand.Read(value) // never fails: crypto/rand
	return value
}

func challenge(n writ.Nonce, sum [32]byte) Challenge {
	return Challenge{Nonce: n.Value, Challenge: base64.RawURLEncoding.EncodeToString(sum[:]), Until: n.Until}
}

// ApproveWith is Approve with evidence that it is the caller's own yes. Whether
// the evidence holds is found first, because that needs no transaction and takes
// time; whether it counts is decided with the facts of the transaction.
func (d *Door) ApproveWith(ctx context.Context, who Caller, id writ.ID, digest writ.Digest, e writ.Evidence) (writ.Request, error) {
	if e.Method == writ.BySession {
		e = writ.Evidence{}
	}
	if e.Method != "" {
		var err error
		if e, err = d.verify(ctx, who, digest, e); d.bad(who, id, err) != nil {
			return writ.Request{}, err
		}
	}
	c := writ.Approve{Digest: digest, Evidence: e}
	decide := d.decide(who, id, c)
	if e.Method == writ.ByOIDC {
		decide = signedIn(who, c, decide)
	}
	return d.Store.Update(ctx, store.Change{ID: id, Nonce: e.Nonce, Key: who.key(), Decide: decide})
}

// verify returns evidence that holds.
func (d *Door) verify(ctx context.Context, who Caller, digest writ.Digest, e writ.Evidence) (writ.Evidence, error) {
	if e.Method == writ.ByOIDC {
		return d.verifySignIn(ctx, e)
	}
	key := d.Store.Directory().Keys[e.Key] // never changes under its UID
	if key.UID != e.KeyUID || key.Party() != who.Party {
		return e, writ.Errorf(writ.Forbidden, "key %q is not one of %s; see 'writ key list'", e.Key, who.Name)
	}
	return e, assent.Verify(e, key, digest, writ.Yes)
}

// verifySignIn verifies an ID token at its issuer, and puts the key that signed
// it beside it. Which key that is, nobody who calls can say.
func (d *Door) verifySignIn(ctx context.Context, e writ.Evidence) (writ.Evidence, error) {
	var p struct {
		IDToken string `json:"idToken"`
	}
	if err := json.Unmarshal(e.Proof, &p); err != nil || d.Signer == nil {
		return e, writ.Errorf(writ.Invalid, `the proof of a sign-in is {"idToken"}, from an issuer at which people sign in to this server`)
	}
	jwk, err := d.Signer(ctx, p.IDToken)
	if err != nil {
		return e, err
	}
	proof, err := assent.OIDCProof(p.IDToken, jwk)
	return writ.Evidence{Method: writ.ByOIDC, Nonce: e.Nonce, Proof: proof}, err
}

// signedIn lets an approval by signing in again be decided if that was just
// before and with an account that is theirs: facts of the transaction.
func signedIn(who Caller, c writ.Approve, decide decision) decision {
	return func(r writ.Request, f writ.Facts) ([]writ.Event, error) {
		i, _ := f.Directory.Who(who.Party)
		if err := assent.VerifySignIn(c.Evidence, i, c.Digest, writ.Yes, f.Now); err != nil {
			return nil, err
		}
		return decide(r, f)
	}
}

type decision = func(writ.Request, writ.Facts) ([]writ.Event, error)

// bad counts and logs a signature that was refused: somebody may be trying.
func (d *Door) bad(who Caller, what writ.ID, err error) error {
	if err != nil {
		d.refused.Add(1)
		d.Logger.Warn("door: a signature was refused", "by", who.Name, "for", what, "why", err)
	}
	return err
}

// RefusedSignatures returns how many there were since the program started.
func (d *Door) RefusedSignatures() int64 { return d.refused.Load() }

// An Enrolment is a key and what shows that the caller has it.
type Enrolment struct {
	Method writ.Method     `json:"method" enum:"ssh,passkey"`
	Public string          `json:"public,omitempty" maxLength:"16384" doc:"of ssh: the one line of a .pub file"`
	Title  string          `json:"title,omitempty" maxLength:"200" doc:"for people; the line's comment if left out"`
	Nonce  []byte          `json:"nonce" doc:"of the challenge that was signed"`
	Proof  json.RawMessage `json:"proof" doc:"what the method makes; of ssh: {\"signature\": armored SSHSIG in the namespace writ-enrol@v1}; of a passkey: what PublicKeyCredential.toJSON gives"`
}

// EnrolChallenge gives out what the caller signs to enrol a key.
func (d *Door) EnrolChallenge(ctx context.Context, who Caller) (Challenge, error) {
	n, err := writ.PrepareEnrol(fresh(), d.facts(who))
	if err != nil {
		return Challenge{}, err
	}
	sum, err := writ.EnrolChallenge(n.Value, who.Party)
	if err != nil {
		return Challenge{}, err
	}
	return challenge(n, sum), d.Store.PutNonce(ctx, n)
}

// Enrol makes a key one of the caller's, who has shown to have it.
func (d *Door) Enrol(ctx context.Context, who Caller, in Enrolment) (writ.Key, error) {
	key, err := d.proven(who, in)
	if d.bad(who, "", err) != nil {
		return writ.Key{}, err
	}
	if in.Title != "" {
		key.Title = in.Title
	}
	c := writ.Enrol{Key: key, UID: writ.UID(newID("key")), Nonce: in.Nonce}
	_, err = d.Store.Update(ctx, store.Change{Nonce: in.Nonce, Key: who.key(), Decide: func(_ writ.Request, f writ.Facts) ([]writ.Event, error) {
		f.Actor, f.SignedIn = who.Party, who.SignedIn
		return writ.DecideEnrol(c, f)
	}})
	return d.Store.Directory().Keys[key.Name], err
}

// proven returns the key of an enrolment, whose sender has shown to have it.
func (d *Door) proven(who Caller, in Enrolment) (writ.Key, error) {
	switch in.Method {
	case writ.BySSH:
		key, err := assent.SSHKey(in.Public)
		if err != nil {
			return key, err
		}
		return key, assent.VerifyEnrol(key, in.Proof, in.Nonce, who.Party)
	case writ.ByPasskey:
		sum, err := writ.EnrolChallenge(in.Nonce, who.Party)
		if err != nil {
			return writ.Key{}, err
		}
		return assent.Passkey(in.Proof, d.Origin, sum)
	}
	return writ.Key{}, writ.Errorf(writ.Invalid, "a key that signs by %q cannot be enrolled; use an ssh key or a passkey", in.Method)
}

// Disenrol takes a key away: the caller's own, or anybody's from whoever may
// revoke or administer.
func (d *Door) Disenrol(ctx context.Context, who Caller, name string) error {
	_, err := d.Store.Update(ctx, store.Change{Key: who.key(), Decide: func(_ writ.Request, f writ.Facts) ([]writ.Event, error) {
		f.Actor = who.Party
		f.Authority = d.Judge.Authority(f.Directory, who.Name)
		return writ.DecideDisenrol(name, f)
	}})
	return err
}

// Keys returns the caller's keys, ordered by name.
func (d *Door) Keys(who Caller) []writ.Key {
	return append([]writ.Key{}, d.Store.Directory().KeysOf(who.Party)...)
}

// SignedIn makes groups and the caller's manager what their issuer says.
func (d *Door) SignedIn(ctx context.Context, who Caller, said writ.SignIn) error {
	_, err := d.Store.Update(ctx, store.Change{Decide: func(_ writ.Request, f writ.Facts) ([]writ.Event, error) {
		f.Actor = who.Party
		return writ.DecideSignIn(said, f)
	}})
	return err
}
