package door

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/connector/issuer"
	"github.com/writhq/writ/internal/document"
	"github.com/writhq/writ/internal/store"
	"github.com/writhq/writ/ledger"
	"github.com/writhq/writ/policy"
)

// house is a door to the sample organisation.
type house struct {
	testing.TB
	*Door
}

func newHouse(t testing.TB) house {
	t.Helper()
	signer, err := ledger.NewSigner("door-test", make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), store.Config{DSN: filepath.Join(t.TempDir(), "writ.db"), Log: signer, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(db.Verify(context.Background(), store.Keys{LogKey: signer.VerifierKey()}, nil), db.Close()); err != nil {
			t.Error(err)
		}
	})
	_, err = db.Update(t.Context(), store.Change{Decide: func(_ writ.Request, f writ.Facts) ([]writ.Event, error) {
		return []writ.Event{{Stream: writ.LedgerStream, Seq: 1, At: f.Now, Actor: writ.System, Body: writ.Opened{Origin: "door-test", LogKey: signer.VerifierKey()}}}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	h := house{t, New(Config{
		Store: db, Judge: policy.NewJudge(), Drivers: map[string]connector.Driver{"issuer": issuer.Driver{}},
		Target: func(context.Context, writ.Target) error { return nil },
	})}
	docs, err := document.ParseFS(os.DirFS("../../cmd/writ/sample"), ".")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Put(t.Context(), System, Put{Documents: docs}); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h house) as(name writ.Ref) Caller {
	return Caller{Party: h.Store.Directory().Identities[name].Party()}
}

// pending is a request that waits for max, then for sue.
func (h house) pending() writ.Request {
	h.Helper()
	r, err := h.Submit(h.Context(), h.as("human/ann"), Ask{
		Subject: "service/ci-deployer", Entitlement: "orders-db/deploy", For: writ.Of(time.Hour), Why: "release 42 of the shop",
	})
	if err != nil {
		h.Fatal(err)
	}
	return r
}

func (h house) put(who writ.Ref, documents ...string) error {
	in := Put{}
	for _, d := range documents {
		in.Documents = append(in.Documents, json.RawMessage(d))
	}
	_, err := h.Put(h.Context(), h.as(who), in)
	return err
}

// TestWhoSees a request, and finds it in a list: whoever has a part in it, owns
// what it is about, or may audit. To others it does not exist.
func TestWhoSees(t *testing.T) {
	h := newHouse(t)
	id := h.pending().ID
	for name, sees := range map[writ.Ref]bool{
		"human/ann": true, "service/ci-deployer": true, // asked; is to get access
		"human/max": true, "human/sue": true, // decide; max owns the database, too
		"human/eve": false, "human/pat": false, "service/partner-sync": false, "agent/triage-bot": false,
	} {
		_, err := h.Show(t.Context(), h.as(name), id)
		if sees != (err == nil) || err != nil && !errors.Is(err, writ.NotFound) {
			t.Errorf("%s is shown it: %v", name, err)
		}
		page, err := h.List(t.Context(), h.as(name), Filter{})
		if err != nil || sees != (len(page.Requests) == 1) {
			t.Errorf("%s lists %d requests, %v", name, len(page.Requests), err)
		}
		if _, err := h.Approve(t.Context(), h.as(name), id, "sha256:0"); !sees && !errors.Is(err, writ.NotFound) {
			t.Errorf("%s, who may not know of it, is told %v", name, err)
		}
	}
}

// TestListInPages gives an owner each request once, however they may see it.
func TestListInPages(t *testing.T) {
	h := newHouse(t)
	for range 5 {
		h.pending()
	}
	seen := map[writ.ID]bool{}
	for f := (Filter{Limit: 2}); ; {
		page, err := h.List(t.Context(), h.as("human/max"), f)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Requests {
			if seen[r.ID] {
				t.Errorf("%s is listed twice", r.ID)
			}
			seen[r.ID] = true
		}
		if f.Before = page.Next; f.Before == "" {
			break
		}
	}
	if len(seen) != 5 {
		t.Errorf("listed %d of 5 requests", len(seen))
	}
}

// TestEndingAsksNoPolicy cuts access off when policy cannot be asked.
func TestEndingAsksNoPolicy(t *testing.T) {
	h := newHouse(t)
	r := h.pending()
	for _, who := range []writ.Ref{"human/max", "human/sue"} {
		if _, err := h.Approve(t.Context(), h.as(who), r.ID, r.Digest); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.Put(t.Context(), System, Put{Remove: []writ.Header{{Kind: "policy", Name: "default"}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Submit(t.Context(), h.as("human/ann"), Ask{Subject: "service/ci-deployer", Entitlement: "orders-db/deploy", For: writ.Of(time.Hour)}); !errors.Is(err, writ.Forbidden) {
		t.Errorf("without policy access is asked for: %v", err)
	}
	if r, err := h.Revoke(t.Context(), h.as("human/max"), r.ID, "no policy, no access"); err != nil || r.Status != writ.StatusRevoking {
		t.Errorf("%s, %v", r.Status, err)
	}
}

// TestRevokeIdentity cuts all there is of an identity, pending or not.
func TestRevokeIdentity(t *testing.T) {
	h := newHouse(t)
	a, b := h.pending(), h.pending()
	for _, who := range []writ.Ref{"human/max", "human/sue"} {
		if _, err := h.Approve(t.Context(), h.as(who), a.ID, a.Digest); err != nil {
			t.Fatal(err)
		}
	}
	if rs, err := h.RevokeIdentity(t.Context(), h.as("human/eve"), "service/ci-deployer", ""); err == nil || len(rs) > 0 {
		t.Errorf("eve cut off %d requests: %v", len(rs), err)
	}
	rs, err := h.RevokeIdentity(t.Context(), h.as("human/sue"), "service/ci-deployer", "compromised")
	got := map[writ.ID]writ.Status{}
	for _, r := range rs {
		got[r.ID] = r.Status
	}
	if err != nil || got[a.ID] != writ.StatusRevoking || got[b.ID] != writ.StatusDenied {
		t.Errorf("%v, %v", got, err)
	}
}

// TestRefusedDocuments names what cannot be, and changes nothing.
func TestRefusedDocuments(t *testing.T) {
	h := newHouse(t)
	h.pending()
	before := h.Store.Directory()
	quoted := func(text string) string { return fmt.Sprintf(`{"kind":"policy","name":"default","source":%q}`, text) }
	for name, test := range map[string]struct {
		who  writ.Ref
		doc  string
		says string
	}{
		"by nobody who may":        {"human/ann", `{"kind":"group","name":"security","members":[]}`, "may not change documents"},
		"a policy with an error":   {"human/pat", quoted("kind: policy\nname: default\nroutes: [{name: x, when: 1 + 1, automatic: true}]\n"), "3:"},
		"nobody could administer":  {"human/pat", quoted("kind: policy\nname: default\nroutes: []\n"), "no active human could administer"},
		"the last administrator":   {"human/pat", `{"kind":"group","name":"platform","members":[]}`, "no active human could administer"},
		"an unknown connector":     {"human/pat", `{"kind":"target","name":"t","connector":"abacus","environment":"production"}`, "abacus"},
		"a kind it does not issue": {"human/pat", `{"kind":"entitlement","name":"billing-api/x","target":"billing-api","credential":"password","grant":{},"maxFor":"1h"}`, "issues"},
		"an unknown grant field":   {"human/pat", `{"kind":"entitlement","name":"billing-api/x","target":"billing-api","credential":"api-key","grant":{"role":"x"},"maxFor":"1h"}`, "role"},
		"an unknown owner":         {"human/pat", `{"kind":"identity","name":"service/new","owner":"human/gone"}`, "there is no human/gone"},
	} {
		if err := h.put(test.who, test.doc); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q", name, err, test.says)
		}
	}
	for _, used := range []writ.Header{{Kind: "identity", Name: "service/ci-deployer"}, {Kind: "target", Name: "orders-db"}, {Kind: "entitlement", Name: "orders-db/deploy"}} {
		if _, err := h.Put(t.Context(), h.as("human/pat"), Put{Remove: []writ.Header{used}}); !errors.Is(err, writ.Conflict) {
			t.Errorf("%s %s is removed while it is in use: %v", used.Kind, used.Name, err)
		}
	}
	if h.Store.Directory() != before {
		t.Error("a refused change changed something")
	}
}

// TestPreviewAsksNothing says what would become of an ask, and records nothing.
func TestPreviewAsksNothing(t *testing.T) {
	h := newHouse(t)
	ask := Ask{Subject: "service/partner-sync", Entitlement: "billing-api/client", Scope: map[string]string{"service": "reports"}, For: writ.Of(time.Hour), Why: "monthly reports"}
	p, err := h.Preview(t.Context(), h.as("human/ann"), ask)
	if err != nil || p.Verdict.Allowed || !strings.Contains(p.Verdict.Why(), "ticket") {
		t.Errorf("%v, %v", p.Verdict, err)
	}
	ask.Ticket = "CHG-1234"
	if p, err = h.Preview(t.Context(), h.as("human/ann"), ask); err != nil || !p.Verdict.Allowed || p.Terms.StartBy.IsZero() {
		t.Errorf("%v, %v", p.Verdict, err)
	}
	if page, err := h.List(t.Context(), h.as("human/sue"), Filter{}); err != nil || len(page.Requests) > 0 {
		t.Errorf("%d requests were made, %v", len(page.Requests), err)
	}
}
