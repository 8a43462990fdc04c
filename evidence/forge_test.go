package evidence_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/writhq/writ"
	"github.com/writhq/writ/assent"
	"github.com/writhq/writ/evidence"
	"github.com/writhq/writ/evidence/evidencetest"
)

// event is the next one of a request, as whoever holds all keys of the server
// could put it on record without any rule having been asked.
func event(c *evidencetest.Company, id writ.ID, by writ.Ref, b writ.Body) writ.Event {
	who := writ.System
	if by != "" {
		who = c.Document("identity", string(by)).(writ.Identity).Party()
	}
	return writ.Event{Stream: string(id), Seq: c.Request(id).Seq + 1, At: c.Now, Actor: who, Body: b}
}

// A forgery is something that a server which has all keys puts on record and
// signs, though its rules would never have let it happen.
type forgery struct {
	name string
	do   func(*evidencetest.Company)
	want string // in the refusal
}

const forged = writ.ID("req-1")

func ask(c *evidencetest.Company) writ.Request {
	return c.Ask(forged, "release 42 of the order service")
}

func yes(c *evidencetest.Company, by writ.Ref, b writ.Approved) {
	ask(c)
	if b.Digest == "" {
		b.Digest = c.Request(forged).Digest
	}
	c.Record(event(c, forged, by, b))
}

func authorize(c *evidencetest.Company) {
	r := c.Request(forged)
	from := c.Now.Truncate(time.Second)
	c.Record(event(c, forged, "", writ.Authorized{From: from, Until: from.Add(r.Terms.For.Std()), Serial: "writ-" + string(forged)}))
}

// refused tries to take the evidence of each forgery.
func refused(t *testing.T, forgeries []forgery) {
	for _, d := range forgeries {
		t.Run(d.name, func(t *testing.T) {
			c := evidencetest.New(t)
			d.do(c)
			id := forged
			if c.Request("req-9").Seq > 0 {
				id = "req-9"
			}
			if _, err := evidence.Build(t.Context(), c, id, c.Keys(), nil); err == nil || !strings.Contains(err.Error(), d.want) {
				t.Errorf("refused with %v, want %q", err, d.want)
			}
		})
	}
}

// TestForgedApprovalsAreRefused: all of it is in the log, and the file says no.
func TestForgedApprovalsAreRefused(t *testing.T) {
	refused(t, []forgery{
		{"who asked approves", func(c *evidencetest.Company) { yes(c, "human/ann", writ.Approved{Stage: "manager"}) }, "is not an approver of stage manager"},
		{"somebody else approves", func(c *evidencetest.Company) { yes(c, "human/pat", writ.Approved{Stage: "manager"}) }, "is not an approver of stage manager"},
		{"out of turn", func(c *evidencetest.Company) { yes(c, "human/sue", writ.Approved{Stage: "security"}) }, "is not an approver of stage manager"},
		{"another stage", func(c *evidencetest.Company) { yes(c, "human/max", writ.Approved{Stage: "security"}) }, "stage"},
		{"other terms", func(c *evidencetest.Company) {
			yes(c, "human/max", writ.Approved{Stage: "manager", Digest: "sha256:" + writ.Digest(strings.Repeat("0", 64))})
		}, "the terms of req-1 are"},
		{"a signature of another request", func(c *evidencetest.Company) {
			c.Ask("req-2", "release 43 of the order service")
			e := c.Signed("req-2")
			r := ask(c)
			c.Do(forged, "human/max", writ.Approve{Digest: r.Digest})
			c.Record(event(c, forged, "human/sue", writ.Approved{Stage: "security", Digest: r.Digest, Evidence: &e}))
		}, "the approval of human/sue"},
		{"somebody else's key", func(c *evidencetest.Company) {
			r := ask(c)
			e := c.Signed(forged)
			c.Do(forged, "human/max", writ.Approve{Digest: r.Digest})
			c.Record(event(c, forged, "human/sam", writ.Approved{Stage: "security", Digest: r.Digest, Evidence: &e}))
		}, "is not one of human/sam"},
		{"an unknown key", func(c *evidencetest.Company) {
			r := ask(c)
			e := c.Signed(forged)
			e.Key = "ssh-0000000000000000"
			c.Do(forged, "human/max", writ.Approve{Digest: r.Digest})
			c.Record(event(c, forged, "human/sue", writ.Approved{Stage: "security", Digest: r.Digest, Evidence: &e}))
		}, "was not enrolled when it signed"},
	})
}

// TestForgedGrantsAreRefused does the same for what comes after approvals.
func TestForgedGrantsAreRefused(t *testing.T) {
	refused(t, []forgery{
		{"authorized without approvals", func(c *evidencetest.Company) { ask(c); authorize(c) }, "authorized does not follow from anything"},
		{"granted without a writ of this ledger", func(c *evidencetest.Company) {
			ask(c)
			c.Approve(forged)
			jws := evidencetest.New(t).Sign(c.Request(forged))
			c.Record(event(c, forged, "", writ.GrantBegun{Attempt: 1, Writ: jws}))
		}, "is not signed with this ledger's key"},
		{"a writ that says more", func(c *evidencetest.Company) {
			ask(c)
			c.Approve(forged)
			o, err := c.Request(forged).Order()
			if err != nil {
				t.Fatal(err)
			}
			o.Until = o.Until.Add(time.Hour)
			payload, _ := json.Marshal(o)
			c.Record(event(c, forged, "", writ.GrantBegun{Attempt: 1, Writ: c.Seal(payload)}))
		}, "does not say what the request says"},
		{"granted before its start", func(c *evidencetest.Company) {
			ask(c)
			c.Approve(forged)
			jws := c.Sign(c.Request(forged))
			c.Now = c.Request(forged).From.Add(-time.Second)
			c.Record(event(c, forged, "", writ.GrantBegun{Attempt: 1, Writ: jws}))
		}, "before the record that stands before it"},
		{"granted after its end", func(c *evidencetest.Company) {
			ask(c)
			c.Approve(forged)
			jws := c.Sign(c.Request(forged))
			c.Now = c.Request(forged).Until
			c.Record(event(c, forged, "", writ.GrantBegun{Attempt: 1, Writ: jws}))
		}, "grant-begun is on record where the rules make ended"},
		{"granted though the owner has left", func(c *evidencetest.Company) {
			ask(c)
			c.Approve(forged)
			ann := c.Document("identity", "human/ann").(writ.Identity)
			ann.State = "disabled"
			c.Put(ann)
			c.Record(event(c, forged, "", writ.GrantBegun{Attempt: 1, Writ: c.Sign(c.Request(forged))}))
		}, "grant-begun is on record where the rules make ended"},
		{"gone without a look", func(c *evidencetest.Company) {
			ask(c)
			c.Approve(forged)
			c.Grant(forged)
			c.Do(forged, "human/ann", writ.Release{})
			r := c.Do(forged, writ.System.Name, writ.BeginRevoke{})
			c.Record(event(c, forged, "", writ.Revoked{Attempt: r.Attempt, Seen: writ.Observation{State: writ.Unread}}))
		}, "revoked is on record where the rules make revoke-failed"},
		{"read otherwise than was signed", func(c *evidencetest.Company) {
			ask(c)
			c.Approve(forged)
			r := c.Do(forged, writ.System.Name, writ.BeginGrant{Writ: c.Sign(c.Request(forged))})
			b := writ.Granted{Attempt: r.Attempt, Seen: writ.Observation{State: writ.Present}}
			signed := c.Deed(b.Deed(r))
			b.Receipt.External = "another"
			b.Signed = signed
			c.Record(event(c, forged, "", b))
		}, "other than what was signed when req-1 was granted"},
		{"gone without a signature", func(c *evidencetest.Company) {
			ask(c)
			c.Approve(forged)
			c.Grant(forged)
			c.Do(forged, "human/ann", writ.Release{})
			r := c.Do(forged, writ.System.Name, writ.BeginRevoke{})
			c.Record(event(c, forged, "", writ.Revoked{Attempt: r.Attempt, Seen: writ.Observation{State: writ.Absent}}))
		}, "no signature of the type deed+jws"},
		{"a verdict that policy does not give", func(c *evidencetest.Company) {
			r := ask(c)
			v := r.Verdict
			v.Stages = v.Stages[:1]
			r.Terms.Request = "req-9"
			c.Record(writ.Event{Stream: "req-9", Seq: 1, At: c.Now, Actor: r.Terms.Requester, Body: writ.Submitted{Terms: r.Terms, Verdict: v, LapseAt: r.LapseAt}})
		}, "policy, asked again"},
	})
}

// TestSignInForAnApproval: an ID token counts for the terms in its nonce, and
// for the person whose account it is of.
func TestSignInForAnApproval(t *testing.T) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	for subject, want := range map[string]string{"7f3a": "", "another": "is of no account of human/max"} {
		c := evidencetest.New(t)
		max := c.Document("identity", "human/max").(writ.Identity)
		max.Accounts = []writ.Account{{Issuer: "https://login.example.org", Subject: "7f3a"}}
		c.Put(max)
		r := ask(c)
		nonce := []byte("sixteen bytes it is")
		challenge, err := writ.Challenge(nonce, r.Digest, writ.Yes)
		if err != nil {
			t.Fatal(err)
		}
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: key}, nil)
		if err != nil {
			t.Fatal(err)
		}
		claims := fmt.Sprintf(`{"iss":"https://login.example.org","sub":%q,"aud":"writ","nonce":%q,"auth_time":%d}`,
			subject, base64.RawURLEncoding.EncodeToString(challenge[:]), c.Now.Add(-time.Minute).Unix())
		signed, err := signer.Sign([]byte(claims))
		if err != nil {
			t.Fatal(err)
		}
		token, err := signed.CompactSerialize()
		jwk, errKey := jose.JSONWebKey{Key: key.Public()}.MarshalJSON()
		proof, errProof := assent.OIDCProof(token, jwk)
		if err := errors.Join(err, errKey, errProof); err != nil {
			t.Fatal(err)
		}
		c.Do(forged, "human/max", writ.Approve{Digest: r.Digest, Evidence: writ.Evidence{Method: writ.ByOIDC, Nonce: nonce, Proof: proof}})
		f, err := evidence.Build(t.Context(), c, forged, c.Keys(), nil)
		if want != "" {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: refused with %v, want %q", subject, err, want)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if report, err := evidence.Verify(f, c.Keys()); err != nil || !strings.Contains(report.String(), "by signing in again for it") {
			t.Errorf("%v\n%s", err, report)
		}
	}
}

// BenchmarkVerify is what whoever is handed a file waits for.
func BenchmarkVerify(b *testing.B) {
	c := evidencetest.New(b)
	c.Life("req-1")
	f := build(b, c, "req-1")
	for b.Loop() {
		if _, err := evidence.Verify(f, c.Keys()); err != nil {
			b.Fatal(err)
		}
	}
}
