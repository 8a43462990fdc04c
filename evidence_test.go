package writ

import (
	"crypto/sha256"
	"strings"
	"testing"
	"time"
)

// TestChallengeIsOneDecisionsAlone: whoever signed for one request, revision,
// decision or nonce has signed for no other (T3).
func TestChallengeIsOneDecisionsAlone(t *testing.T) {
	nonce, digest := []byte("0123456789abcdef"), Digest("sha256:"+strings.Repeat("ab", 32))
	first, err := Challenge(nonce, digest, Yes)
	want := sha256.Sum256(append([]byte("writ/approval/v1\x000123456789abcdef"+strings.Repeat("\xab", 32)), "approve"...))
	if err != nil || first != want {
		t.Fatalf("%x, %v, want %x", first, err, want)
	}
	for name, c := range map[string]struct {
		nonce    []byte
		digest   Digest
		decision Decision
	}{
		"another nonce":    {[]byte("0123456789abcdeg"), digest, Yes},
		"other terms":      {nonce, Digest("sha256:" + strings.Repeat("ac", 32)), Yes},
		"another decision": {nonce, digest, No},
	} {
		if other, err := Challenge(c.nonce, c.digest, c.decision); err != nil || other == first {
			t.Errorf("%s: the same challenge (%v)", name, err)
		}
	}
	_, err = Challenge(nonce[:15], digest, Yes)
	refused(t, "a short nonce", err, Invalid, "at least 16")
	_, err = Challenge(nonce, "sha256:abcd", Yes)
	refused(t, "no digest", err, Invalid, "no digest")
}

// TestEvidenceMustBeTheActorsOwnAndFresh changes what is right about a signed
// yes, one thing at a time.
func TestEvidenceMustBeTheActorsOwnAndFresh(t *testing.T) {
	type try struct {
		stage    Stage
		evidence Evidence
		facts    Facts
	}
	w := in(t, StatusPending, deploy)
	r := w.request("req-a").Request
	enrol := func(by Ref, name string, m Method) Key {
		k := Key{Header: Header{Kind: "key", Name: name}, Method: m, Public: "x", Credential: "c", RP: "writ.example", Origin: "https://writ.example"}
		c, f := enrolling(w, by, name)
		c.Key = k
		events, err := DecideEnrol(c, f)
		if err := w.learn(events, err); err != nil {
			t.Fatal(err)
		}
		return w.dir.Keys[name]
	}
	mine, weak, hers := enrol(ann, "mine", ByPasskey), enrol(ann, "weak", BySSH), enrol(cyd, "hers", ByPasskey)
	w.now = w.now.Add(48 * time.Hour)
	nonce := []byte("0123456789abcdef")
	for _, c := range []struct {
		name   string
		change func(*try)
		kind   Fault
		words  string
	}{
		{"all is right", func(*try) {}, "", ""},
		{"a session is enough", func(c *try) { c.stage.Proof, c.evidence, c.facts.Nonce = "", Evidence{}, nil }, "", ""},
		{"an SSH key is enough", func(c *try) {
			c.stage.Proof, c.evidence.Method, c.evidence.Key, c.evidence.KeyUID = BySSH, BySSH, "weak", weak.UID
		}, "", ""},
		{"a passkey is more than an SSH key", func(c *try) { c.stage.Proof = BySSH }, "", ""},
		{"a session is too weak", func(c *try) { c.evidence = Evidence{} }, Forbidden, "open the request in the browser and use a passkey"},
		{"an SSH key is too weak", func(c *try) { c.evidence.Method, c.evidence.Key, c.evidence.KeyUID = BySSH, "weak", weak.UID }, Forbidden, "this is one by ssh"},
		{"no method that is known", func(c *try) { c.evidence.Method = "wink" }, Forbidden, "wants an approval by passkey"},
		{"no method that is known, where a session is enough", func(c *try) { c.stage.Proof, c.evidence.Method = "", "wink" }, Forbidden, "wants an approval"},
		{"no nonce was given out", func(c *try) { c.facts.Nonce = nil }, Conflict, "ask for a new one"},
		{"another nonce", func(c *try) { c.evidence.Nonce = []byte("0123456789abcdeX") }, Conflict, "ask for a new one"},
		{"a nonce of somebody else", func(c *try) { c.facts.Nonce.Person = w.party(cyd).UID }, Conflict, "not given to you"},
		{"a nonce for another request", func(c *try) { c.facts.Nonce.Request = "req-b" }, Conflict, "ask for a new one"},
		{"a nonce for terms of before", func(c *try) { c.facts.Nonce.Digest = "sha256:before" }, Conflict, "ask for a new one"},
		{"a nonce for a no", func(c *try) { c.facts.Nonce.Decision = No }, Conflict, "ask for a new one"},
		{"a nonce that is over", func(c *try) { c.facts.Now = c.facts.Nonce.Until }, Conflict, "was good until"},
		{"a key that nobody has", func(c *try) { c.evidence.Key = "other" }, Forbidden, "not one of human/ann"},
		{"a key of somebody else", func(c *try) { c.evidence.Key, c.evidence.KeyUID = "hers", hers.UID }, Forbidden, "not one of human/ann"},
		{"a key that was enrolled again since", func(c *try) { c.evidence.KeyUID = "older" }, Forbidden, "not one of human/ann"},
		{"a key of another method", func(c *try) { c.evidence.Key, c.evidence.KeyUID = "weak", weak.UID }, Forbidden, "signs by ssh"},
		{"a key that is too new", func(c *try) { c.stage.KeyAge = 72 * hour }, Forbidden, "counts from 2026-11-05T09:00:00Z"},
		{"a key that is just old enough", func(c *try) { c.stage.KeyAge = 48 * hour }, "", ""},
	} {
		f := w.facts(ann, "req-a")
		f.Nonce = &Nonce{nonce, f.Actor.UID, r.ID, r.Digest, Yes, f.Now.Add(NonceFor)}
		x := try{Stage{Name: "manager", Proof: ByPasskey}, Evidence{Method: ByPasskey, Nonce: nonce, Key: "mine", KeyUID: mine.UID}, f}
		c.change(&x)
		err := x.stage.accept(x.evidence, r, x.facts)
		if c.kind == "" && err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if c.kind != "" {
			refused(t, c.name, err, c.kind, c.words)
		}
	}
}
