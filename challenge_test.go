package writ

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"
)

// TestChallengeVectors: hashes that another program came to from the text of
// the standard alone.
func TestChallengeVectors(t *testing.T) {
	nonce, digest := []byte("0123456789abcdef"), Digest("sha256:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
	for decision, want := range map[Decision]string{
		Yes: "71777fcd2f848b73cc0b6aecced925952cff706da856b4836bff8e518cab6586",
		No:  "5198777cee991c7df197ff004fd5e90b0e44373e91a82d90564d0b4389bb103b",
	} {
		if got, err := Challenge(nonce, digest, decision); err != nil || hex.EncodeToString(got[:]) != want {
			t.Errorf("%s: %x, %v", decision, got, err)
		}
	}
	if got, err := EnrolChallenge(nonce, Party{"human/ann", "ide-1"}); err != nil || hex.EncodeToString(got[:]) != "fc50f430f37775389baf9e2b3a22f02ecf837f944d7f726b6b14df8dba4710d6" {
		t.Errorf("%x, %v", got, err)
	}
	for _, d := range []Digest{"", "sha256:00", "md5:" + digest[7:], digest[7:] + "x"} {
		_, err := Challenge(nonce, d, Yes)
		refused(t, string(d), err, Invalid, "no digest")
	}
	_, err := Challenge(nonce[1:], digest, Yes)
	refused(t, "a short nonce", err, Invalid, "at least 16")
	_, err = EnrolChallenge(nonce, Party{})
	refused(t, "nobody", err, Invalid, "a person")
}

// signed is a request that waits for a signature by Ann, whose key is a day old.
func signed(t *testing.T, need Method) (*world, Facts, Evidence) {
	t.Helper()
	w := in(t, StatusPending, deploy)
	keys := []Document{}
	for name, owner := range map[string]Ref{"ssh-ann": ann, "ssh-cyd": cyd} {
		p := w.party(owner)
		keys = append(keys, Key{
			Header: Header{Kind: "key", Name: name, UID: UID("uid-" + name)}, Identity: p.Name, IdentityUID: p.UID,
			Method: BySSH, Public: "ssh-ed25519 AAAA", Enrolled: w.now.Add(-24 * time.Hour),
		})
	}
	f := w.facts(ann, "req-a")
	f.Directory = NewDirectory(append(w.dir.All(), keys...)...)
	f.Verdict.Stages[0].Proof = need
	n, stage, err := PrepareApproval(w.request("req-a").Request, []byte("0123456789abcdef"), f)
	if err != nil || stage.Name != "manager" || stage.Proof != need {
		t.Fatalf("%+v, %v", stage, err)
	}
	f.Nonce = &n
	return w, f, Evidence{Method: BySSH, Nonce: n.Value, Key: "ssh-ann", KeyUID: "uid-ssh-ann"}
}

// TestEvidenceIsKeptWhereNoneIsNeeded, and a session leaves none.
func TestEvidenceIsKeptWhereNoneIsNeeded(t *testing.T) {
	w, f, e := signed(t, "")
	must(t)(w.decide("req-a", Approve{w.request("req-a").Digest, e}, f))
	if got := w.request("req-a").Votes[0].Evidence; got == nil || got.Method != BySSH {
		t.Errorf("%+v", got)
	}
	w, f, _ = signed(t, "")
	must(t)(w.decide("req-a", Approve{w.request("req-a").Digest, Evidence{Method: BySession}}, f))
	if got := w.request("req-a").Votes[0].Evidence; got != nil {
		t.Errorf("%+v", got)
	}
}

// TestPrepareApprovalRefused: who could not say yes gets nothing to sign.
func TestPrepareApprovalRefused(t *testing.T) {
	w, f, e := signed(t, BySSH)
	r, value := w.request("req-a").Request, []byte("0123456789abcdef")
	for _, c := range []struct {
		what   string
		change func(*Facts)
		kind   Fault
		says   string
	}{
		{"no approver", func(f *Facts) { f.Actor = w.party(cyd) }, Forbidden, "not an approver"},
		{"a machine", func(f *Facts) { f.Actor = w.party(ci) }, Forbidden, "only a person can"},
		{"policy says no now", func(f *Facts) { f.Verdict.Allowed = false }, Forbidden, "policy does not allow"},
		{"late", func(f *Facts) { f.Now = r.LapseAt }, Conflict, "lapsed"},
	} {
		g := f
		c.change(&g)
		_, _, err := PrepareApproval(r, value, g)
		refused(t, c.what, err, c.kind, c.says)
	}
	f.Verdict.Stages[0].Quorum, w.rules.Stages[0].Quorum = 2, 2
	must(t)(w.decide("req-a", Approve{r.Digest, e}, f))
	_, _, err := PrepareApproval(w.request("req-a").Request, value, f)
	refused(t, "said already", err, Conflict, "you approved req-a already")
}

// TestKeysThatCount are old enough and of a method that is strong enough.
func TestKeysThatCount(t *testing.T) {
	_, f, _ := signed(t, BySSH)
	for _, c := range []struct {
		stage Stage
		who   Ref
		want  int
	}{
		{Stage{}, ann, 1}, {Stage{Proof: BySSH}, ann, 1}, {Stage{Proof: ByPasskey}, ann, 0}, {Stage{Proof: BySSH}, gus, 0},
		{Stage{KeyAge: 24 * hour}, ann, 1}, {Stage{KeyAge: 25 * hour}, ann, 0},
	} {
		i := f.Directory.Identities[c.who]
		if got := c.stage.Keys(f.Directory, i.Party(), f.Now); len(got) != c.want {
			t.Errorf("%+v: %d keys of %s, want %d", c.stage, len(got), c.who, c.want)
		}
	}
}

// enrolling is somebody with a challenge who wants a key.
func enrolling(w *world, by Ref, name string) (Enrol, Facts) {
	f := w.facts(by, "")
	n, err := PrepareEnrol([]byte("0123456789abcdef"), f)
	if err == nil {
		f.Nonce = &n
	}
	k := Key{Header: Header{Kind: "key", Name: name}, Method: BySSH, Public: "ssh-ed25519 AAAA"}
	return Enrol{k, UID("uid-" + name), n.Value}, f
}

// TestEnrolRefused: a key is of the person who showed to have it, just now.
func TestEnrolRefused(t *testing.T) {
	for _, c := range []struct {
		what   string
		change func(*world, *Enrol, *Facts)
		kind   Fault
		says   string
	}{
		{"a machine", func(w *world, _ *Enrol, f *Facts) { f.Actor = w.party(ci) }, Forbidden, "only a person can"},
		{"Writ itself", func(_ *world, _ *Enrol, f *Facts) { f.Actor = System }, Forbidden, "only a person can"},
		{"who left", func(w *world, _ *Enrol, f *Facts) {
			f.Directory = w.with(`{"kind":"identity","name":"human/ann","state":"disabled"}`)
		}, Forbidden, "only a person can"},
		{"long after signing in", func(_ *world, _ *Enrol, f *Facts) { f.SignedIn = f.Now.Add(-EnrolWithin - time.Second) }, Forbidden, "sign in again"},
		{"no challenge", func(_ *world, _ *Enrol, f *Facts) { f.Nonce = nil }, Conflict, "ask for a new one"},
		{"another challenge", func(_ *world, c *Enrol, _ *Facts) { c.Nonce = []byte("fedcba9876543210") }, Conflict, "not given to you"},
		{"given to somebody else", func(_ *world, _ *Enrol, f *Facts) { f.Nonce.Person = "somebody" }, Conflict, "not given to you"},
		{"for an approval", func(_ *world, _ *Enrol, f *Facts) { f.Nonce.Decision = Yes }, Conflict, "not given to you for it"},
		{"too late", func(_ *world, _ *Enrol, f *Facts) { f.Now = f.Nonce.Until }, Conflict, "older than 5m0s"},
		{"a name that is none", func(_ *world, c *Enrol, _ *Facts) { c.Key.Name = "a b" }, Invalid, "a b"},
		{"a method that has no keys", func(_ *world, c *Enrol, _ *Facts) { c.Key.Method = ByOIDC }, Invalid, "is not ssh or passkey"},
		{"a title that is a text", func(_ *world, c *Enrol, _ *Facts) { c.Key.Title = strings.Repeat("x", maxTitle+1) }, Invalid, "use at most 200"},
		{"no public key", func(_ *world, c *Enrol, _ *Facts) { c.Key.Public = "" }, Invalid, "too little of itself"},
	} {
		w := newWorld()
		e, f := enrolling(w, ann, "ssh-1")
		c.change(w, &e, &f)
		_, err := DecideEnrol(e, f)
		refused(t, c.what, err, c.kind, c.says)
	}
}

// TestKeysAreFew: all of them are in memory.
func TestKeysAreFew(t *testing.T) {
	w := newWorld()
	for n := range MaxKeys + 1 {
		c, f := enrolling(w, ann, "ssh-"+strings.Repeat("1", n+1))
		if n == MaxKeys {
			_, err := DecideEnrol(c, f)
			refused(t, "one too many", err, Conflict, "can have no more; remove one")
			return
		}
		events, err := DecideEnrol(c, f)
		if err := w.learn(events, err); err != nil {
			t.Fatal(err)
		}
	}
}
