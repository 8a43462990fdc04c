package worker

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/writhq/writ"
	"github.com/writhq/writ/assent"
)

// A signatory is a person with an SSH key.
type signatory struct {
	writ.Party
	signer ssh.Signer
}

func newSignatory(t *testing.T, name writ.Ref) signatory {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signatory{writ.Party{Name: name, UID: writ.UID("ide-" + name)}, signer}
}

func (s signatory) key() writ.Key {
	return writ.Key{
		Header: writ.Header{Kind: "key", Name: "ssh-" + string(s.UID), UID: writ.UID("key-" + s.UID)}, Identity: s.Name, IdentityUID: s.UID,
		Method: writ.BySSH, Public: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.signer.PublicKey()))),
	}
}

// yes is a vote in a stage for these terms, signed by another if that is given.
func (s signatory) yes(t *testing.T, stage string, d writ.Digest, by ...signatory) writ.Vote {
	t.Helper()
	key, hand := s.key(), append(by, s)[0]
	nonce := []byte("0123456789abcdef")
	challenge, err := writ.Challenge(nonce, d, writ.Yes)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := assent.SignSSH(rand.Reader, hand.signer, assent.ApprovalNamespace, challenge[:])
	if err != nil {
		t.Fatal(err)
	}
	return writ.Vote{Stage: stage, By: s.Party, Digest: d, Evidence: &writ.Evidence{Method: writ.BySSH, Nonce: nonce, Key: key.Name, KeyUID: key.UID, Proof: proof}}
}

// TestPins changes what is right about a request that two people approved, of
// which policy wanted one signature, one thing at a time.
func TestPins(t *testing.T) {
	max, sue, eve := newSignatory(t, "human/max"), newSignatory(t, "human/sue"), newSignatory(t, "human/eve")
	target := writ.Target{Header: writ.Header{Kind: "target", Name: "orders", UID: "tar-1"}, Connector: "postgres", Config: json.RawMessage(`{"dsn": "a"}`)}
	read := writ.Entitlement{
		Header: writ.Header{Kind: "entitlement", Name: "orders/read", UID: "ent-1"}, Target: "orders", Credential: "password",
		Grant: json.RawMessage(`{"role": "reader"}`), Scope: map[string]writ.Param{"table": {OneOf: []string{"a", "b"}, Default: "a"}}, MaxFor: writ.Of(time.Hour),
	}
	documents := writ.NewDirectory(target, read)
	def, err := documents.Define(read)
	if err != nil {
		t.Fatal(err)
	}
	request := func(change func(*writ.Terms)) writ.Request {
		r := writ.Request{ID: "req-1", Terms: writ.Terms{V: 1, Request: "req-1", Entitlement: def, Scope: map[string]string{"table": "a"}, For: writ.Of(time.Hour)}}
		change(&r.Terms)
		if r.Digest, err = r.Terms.Digest(); err != nil {
			t.Fatal(err)
		}
		stage := func(name string, who signatory) writ.Stage {
			return writ.Stage{Name: name, Quorum: 1, Approvers: []writ.Approver{{Party: who.Party}}}
		}
		r.Verdict.Stages = []writ.Stage{stage("manager", max), stage("security", sue)}
		r.Votes = []writ.Vote{max.yes(t, "manager", r.Digest), sue.yes(t, "security", r.Digest)}
		return r
	}
	pins := Pins{Keys: []writ.Key{max.key(), sue.key()}, Approvals: 2, Proof: writ.BySSH, Documents: documents}
	for name, c := range map[string]struct {
		terms func(*writ.Terms)
		after func(*writ.Request, *Pins)
		says  string
	}{
		"as it was approved":      {nil, nil, ""},
		"nothing is pinned":       {nil, func(_ *writ.Request, p *Pins) { *p = Pins{} }, ""},
		"other terms":             {nil, func(r *writ.Request, _ *Pins) { r.Terms.For *= 2 }, "not those that were approved"},
		"other terms, new digest": {nil, func(r *writ.Request, _ *Pins) { r.Terms.For *= 2; r.Digest, _ = r.Terms.Digest() }, "is of other terms"},
		"a sibling's signature": {nil, func(r *writ.Request, _ *Pins) {
			r.Votes[0].Evidence = max.yes(t, "manager", request(func(t *writ.Terms) { t.Request = "req-2" }).Digest).Evidence
		}, "not signed with a key that is pinned"},
		"a key that is not pinned":     {nil, func(r *writ.Request, _ *Pins) { r.Votes[1] = sue.yes(t, "security", r.Digest, eve) }, "approval of req-1 by human/sue is not signed"},
		"somebody else's pinned key":   {nil, func(r *writ.Request, _ *Pins) { r.Votes[1] = sue.yes(t, "security", r.Digest, max) }, "not signed with a key that is pinned"},
		"another account of a name":    {nil, func(r *writ.Request, p *Pins) { p.Keys[1].IdentityUID = "ide-2" }, "not signed with a key that is pinned"},
		"a session":                    {nil, func(r *writ.Request, _ *Pins) { r.Votes[1].Evidence = nil }, "has 1 approvals by ssh with a pinned key, and needs 2"},
		"a fresh sign-in":              {nil, func(r *writ.Request, _ *Pins) { r.Votes[1].Evidence = &writ.Evidence{Method: writ.ByOIDC} }, "has 1 approvals by ssh"},
		"a session, and one is enough": {nil, func(r *writ.Request, p *Pins) { r.Votes[1].Evidence, p.Approvals = nil, 1 }, ""},
		"one person, twice": {nil, func(r *writ.Request, p *Pins) {
			r.Verdict.Stages[1].Approvers, r.Verdict.Stages[1].Repeat = r.Verdict.Stages[0].Approvers, true
			r.Votes[1] = max.yes(t, "security", r.Digest)
		}, "has 1 approvals"},
		"a stronger proof is needed": {nil, func(_ *writ.Request, p *Pins) { p.Proof = writ.ByPasskey }, "has 0 approvals by passkey"},
		"nobody was asked":           {nil, func(r *writ.Request, _ *Pins) { r.Verdict.Stages, r.Votes = nil, nil }, "has 0 approvals"},
		"one yes is missing":         {nil, func(r *writ.Request, _ *Pins) { r.Votes = r.Votes[:1] }, "lacks approvals in stage security"},
		"an unknown one more": {nil, func(r *writ.Request, _ *Pins) {
			r.Verdict.Stages[0].Approvers = append(r.Verdict.Stages[0].Approvers, writ.Approver{Party: eve.Party})
			r.Votes = append(r.Votes, eve.yes(t, "manager", r.Digest))
		}, ""},
		"another target":            {func(t *writ.Terms) { t.Entitlement.Config = "sha256:1" }, nil, "target orders is not configured as it is pinned"},
		"another connector":         {func(t *writ.Terms) { t.Entitlement.Connector = "exec" }, nil, "not configured as it is pinned"},
		"an unknown target":         {func(t *writ.Terms) { t.Entitlement.Target = "other" }, nil, "not configured as it is pinned"},
		"no target is pinned":       {func(t *writ.Terms) { t.Entitlement.Config = "sha256:1" }, func(_ *writ.Request, p *Pins) { p.Documents = nil }, ""},
		"excepted":                  {nil, excepted, ""},
		"excepted, for more":        {func(t *writ.Terms) { t.Entitlement.Grant = json.RawMessage(`{"role": "admin"}`) }, excepted, "has changed"},
		"excepted, for longer":      {func(t *writ.Terms) { t.For *= 2 }, excepted, "allows at most"},
		"excepted, without a scope": {func(t *writ.Terms) { t.Scope = map[string]string{} }, excepted, "does not say all of it"},
		"excepted, out of scope":    {func(t *writ.Terms) { t.Scope["table"] = "c" }, excepted, "outside the parameter"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.terms == nil {
				c.terms = func(*writ.Terms) {}
			}
			r, p := request(c.terms), pins
			p.Keys = append([]writ.Key{}, pins.Keys...)
			if c.after != nil {
				c.after(&r, &p)
			}
			if err := p.Check(r); c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
	elsewhere := target
	elsewhere.Config = json.RawMessage(`{"dsn":"elsewhere"}`)
	if got := pins.targets(writ.NewDirectory(elsewhere))["orders"]; string(got.Config) != string(target.Config) {
		t.Errorf("a target is opened as the ledger says: %s", got.Config)
	}
}

// excepted takes all approvals away, and the need for them.
func excepted(r *writ.Request, p *Pins) {
	r.Verdict.Stages, r.Votes = nil, nil
	p.Except = []string{"orders/read"}
}
