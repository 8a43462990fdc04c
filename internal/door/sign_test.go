package door

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/writhq/writ"
	"github.com/writhq/writ/assent"
)

func newSigner(t testing.TB) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// enrolment signs a challenge with a key, as a person.
func (h house) enrolment(who writ.Ref, key ssh.Signer) Enrolment {
	h.Helper()
	c, err := h.EnrolChallenge(h.Context(), h.as(who))
	if err != nil {
		h.Fatal(err)
	}
	return Enrolment{
		Method: writ.BySSH, Public: string(ssh.MarshalAuthorizedKey(key.PublicKey())), Title: "laptop",
		Nonce: c.Nonce, Proof: h.sign(key, assent.EnrolNamespace, c),
	}
}

func (h house) sign(key ssh.Signer, namespace string, c Challenge) []byte {
	h.Helper()
	message, err := base64.RawURLEncoding.DecodeString(c.Challenge)
	if err != nil {
		h.Fatal(err)
	}
	proof, err := assent.SignSSH(rand.Reader, key, namespace, message)
	if err != nil {
		h.Fatal(err)
	}
	return proof
}

func (h house) enrol(who writ.Ref, key ssh.Signer) writ.Key {
	h.Helper()
	k, err := h.Enrol(h.Context(), h.as(who), h.enrolment(who, key))
	if err != nil {
		h.Fatal(err)
	}
	return k
}

// evidence signs a yes of a person with a key of theirs.
func (h house) evidence(who writ.Ref, r writ.Request, k writ.Key, key ssh.Signer) writ.Evidence {
	h.Helper()
	c, err := h.Challenge(h.Context(), h.as(who), r.ID, writ.Yes)
	if err != nil {
		h.Fatal(err)
	}
	return writ.Evidence{Method: writ.BySSH, Nonce: c.Nonce, Key: k.Name, KeyUID: k.UID, Proof: h.sign(key, assent.ApprovalNamespace, c)}
}

// TestSignedApproval is on record with all that it takes to check it again.
func TestSignedApproval(t *testing.T) {
	h, key := newHouse(t), newSigner(t)
	k, r := h.enrol("human/max", key), h.pending()
	if k.Title != "laptop" || k.Party() != h.as("human/max").Party || k.UID == "" || len(h.Keys(h.as("human/max"))) != 1 {
		t.Errorf("enrolled %+v", k)
	}
	c, err := h.Challenge(t.Context(), h.as("human/max"), r.ID, writ.Yes)
	if err != nil || len(c.Keys) != 1 || c.Keys[0].Name != k.Name || c.Digest != r.Digest || c.Stage == "" {
		t.Errorf("%+v, %v", c, err)
	}
	e := h.evidence("human/max", r, k, key)
	after, err := h.ApproveWith(t.Context(), h.as("human/max"), r.ID, r.Digest, e)
	if err != nil || len(after.Votes) != 1 || after.Votes[0].Evidence == nil {
		t.Fatalf("%+v, %v", after.Votes, err)
	}
	shown, err := h.Show(t.Context(), h.as("human/max"), r.ID) // as anybody reads it from the ledger
	if err != nil {
		t.Fatal(err)
	}
	if err := assent.Verify(*shown.Votes[0].Evidence, h.Store.Directory().Keys[k.Name], shown.Digest, writ.Yes); err != nil {
		t.Errorf("what is on record does not hold: %v", err)
	}
	if n := h.RefusedSignatures(); n != 0 {
		t.Errorf("%d signatures were refused", n)
	}
}

// T3: evidence is good for what it was made for, once, and for nobody else.
func TestSignatureIsOfNothingElse(t *testing.T) {
	h, key, other := newHouse(t), newSigner(t), newSigner(t)
	k, theirs := h.enrol("human/max", key), h.enrol("human/sue", other)
	a, b := h.pending(), h.pending()
	approve := func(who writ.Ref, r writ.Request, e writ.Evidence) error {
		_, err := h.ApproveWith(t.Context(), h.as(who), r.ID, r.Digest, e)
		return err
	}
	e := h.evidence("human/max", a, k, key)
	forged, of := e, e
	forged.Proof = h.evidence("human/max", a, k, other).Proof
	of.Key, of.KeyUID = theirs.Name, theirs.UID
	for name, c := range map[string]struct {
		who  writ.Ref
		r    writ.Request
		e    writ.Evidence
		kind writ.Fault
	}{
		"a sibling":                {"human/max", b, e, writ.Forbidden},
		"somebody else's yes":      {"human/sue", a, e, writ.Forbidden},
		"another's key under mine": {"human/max", a, forged, writ.Forbidden},
		"another's key":            {"human/max", a, of, writ.Forbidden},
	} {
		before := h.RefusedSignatures()
		if err := approve(c.who, c.r, c.e); !errors.Is(err, c.kind) {
			t.Errorf("%s: %v", name, err)
		}
		if h.RefusedSignatures() != before+1 {
			t.Errorf("%s is not counted", name)
		}
	}
	if err := approve("human/max", a, e); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Withdraw(t.Context(), h.as("human/ann"), a.ID); err != nil {
		t.Fatal(err)
	}
	if err := approve("human/max", a, e); !errors.Is(err, writ.Conflict) {
		t.Errorf("after it was withdrawn: %v", err)
	}
	wide := h.pending()
	early := h.evidence("human/max", wide, k, key)
	narrow, err := h.Narrow(t.Context(), h.as("human/max"), wide.ID, wide.Digest, Less{For: writ.Of(30 * time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	if err := approve("human/max", narrow, early); !errors.Is(err, writ.Forbidden) {
		t.Errorf("after the terms were narrowed: %v", err)
	}
	if err := approve("human/max", wide, early); !errors.Is(err, writ.Stale) {
		t.Errorf("of terms that are no more: %v", err)
	}
	kept := h.evidence("human/max", b, k, key)
	if err := h.Disenrol(t.Context(), h.as("human/max"), k.Name); err != nil {
		t.Fatal(err)
	}
	if err := approve("human/max", b, kept); !errors.Is(err, writ.Forbidden) {
		t.Errorf("with a key that was taken away: %v", err)
	}
}

// TestChallengeIsForWhoDecides, and for a yes.
func TestChallengeIsForWhoDecides(t *testing.T) {
	h := newHouse(t)
	r := h.pending()
	for who, want := range map[writ.Ref]error{
		"human/max": nil, "human/sue": writ.Forbidden, "human/ann": writ.Forbidden, "human/eve": writ.NotFound, "service/ci-deployer": writ.Forbidden,
	} {
		if _, err := h.Challenge(t.Context(), h.as(who), r.ID, writ.Yes); want == nil && err != nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v", who, err)
		}
	}
	if _, err := h.Challenge(t.Context(), h.as("human/max"), r.ID, writ.No); !errors.Is(err, writ.Invalid) {
		t.Errorf("for a no: %v", err)
	}
	if _, err := h.EnrolChallenge(t.Context(), h.as("service/ci-deployer")); !errors.Is(err, writ.Forbidden) {
		t.Errorf("a machine enrols: %v", err)
	}
}

// TestEnrolNeedsTheKey and a challenge of one's own.
func TestEnrolNeedsTheKey(t *testing.T) {
	h, key, other := newHouse(t), newSigner(t), newSigner(t)
	good := h.enrolment("human/max", key)
	swapped, method, text := good, good, good
	swapped.Public = string(ssh.MarshalAuthorizedKey(other.PublicKey()))
	method.Method, text.Public = writ.ByOIDC, "ssh-ed25519"
	for name, c := range map[string]struct {
		who  writ.Ref
		in   Enrolment
		kind writ.Fault
	}{
		"another's challenge": {"human/sue", good, writ.Forbidden},
		"another key":         {"human/max", swapped, writ.Forbidden},
		"no method":           {"human/max", method, writ.Invalid},
		"no key":              {"human/max", text, writ.Invalid},
	} {
		if _, err := h.Enrol(t.Context(), h.as(c.who), c.in); !errors.Is(err, c.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	k, err := h.Enrol(t.Context(), h.as("human/max"), good)
	if err != nil || !strings.HasPrefix(k.Name, "ssh-") {
		t.Fatal(k, err)
	}
	if err := h.Disenrol(t.Context(), h.as("human/sue"), k.Name); err != nil { // who may revoke
		t.Error(err)
	}
	if _, err := h.Enrol(t.Context(), h.as("human/max"), good); !errors.Is(err, writ.Conflict) {
		t.Errorf("with a challenge that was used: %v", err)
	}
}
