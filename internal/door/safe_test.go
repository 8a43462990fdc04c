package door

import (
	"errors"
	"testing"
	"time"

	"github.com/writhq/writ"
)

// TestOldLedgerGivesNothing: while the ledger must not be trusted, nothing that
// leads to access is decided, and all that ends it is (L16, L17).
func TestOldLedgerGivesNothing(t *testing.T) {
	h := newHouse(t)
	agreed, waits, one := h.pending(), h.pending(), h.pending()
	for _, who := range []writ.Ref{"human/max", "human/sue"} {
		if _, err := h.Approve(t.Context(), h.as(who), agreed.ID, agreed.Digest); err != nil {
			t.Fatal(err)
		}
	}
	old := writ.Errorf(writ.Unavailable, "an old copy")
	h.Safe = func() error { return old }

	ann, max := h.as("human/ann"), h.as("human/max")
	for name, do := range map[string]func() (writ.Request, error){
		"ask": func() (writ.Request, error) {
			return h.Submit(t.Context(), ann, Ask{Subject: "service/ci-deployer", Entitlement: "orders-db/deploy", For: writ.Of(time.Hour), Why: "release 43 of the shop"})
		},
		"approve": func() (writ.Request, error) { return h.Approve(t.Context(), max, waits.ID, waits.Digest) },
		"claim": func() (writ.Request, error) {
			_, err := h.Claim(t.Context(), h.as("service/ci-deployer"), agreed.ID)
			return writ.Request{}, err
		},
	} {
		if _, err := do(); !errors.Is(err, old) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := h.Show(t.Context(), ann, waits.ID); err != nil {
		t.Error(err)
	}
	if r, err := h.Deny(t.Context(), max, waits.ID, waits.Digest, "not now"); err != nil || r.Status != writ.StatusDenied {
		t.Errorf("deny: %s, %v", r.Status, err)
	}
	if r, err := h.Withdraw(t.Context(), ann, one.ID); err != nil || r.Status != writ.StatusWithdrawn {
		t.Errorf("withdraw: %s, %v", r.Status, err)
	}
	if r, err := h.Revoke(t.Context(), max, agreed.ID, "to be safe"); err != nil || r.Status != writ.StatusRevoking {
		t.Errorf("revoke: %s, %v", r.Status, err)
	}
}
