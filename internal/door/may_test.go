package door

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/writhq/writ"
)

// TestForesee is what giving less would make of a request, by whoever may do
// it, and nothing is done.
func TestForesee(t *testing.T) {
	h := newHouse(t)
	r := h.pending()
	to := Less{For: writ.Of(time.Minute), Ends: []string{"incident/INC-7"}}
	then, err := h.Foresee(t.Context(), h.as("human/max"), r.ID, r.Digest, to)
	if err != nil || then.Terms.For != to.For || then.Digest == r.Digest || len(then.Earlier) != 1 {
		t.Errorf("it would be %+v, %v", then.Terms, err)
	}
	if now, err := h.Store.Get(t.Context(), r.ID); err != nil || now.Digest != r.Digest || now.Seq != r.Seq {
		t.Errorf("looking ahead made it %+v, %v", now, err)
	}
	if done, err := h.Narrow(t.Context(), h.as("human/max"), r.ID, r.Digest, to); err != nil || done.Digest != then.Digest {
		t.Errorf("done, it is %s, not the %s that was shown: %v", done.Digest, then.Digest, err)
	}
	for who, want := range map[writ.Ref]writ.Fault{"human/ann": writ.Forbidden, "human/eve": writ.NotFound} {
		if _, err := h.Foresee(t.Context(), h.as(who), r.ID, then.Digest, Less{For: writ.Of(time.Second)}); !errors.Is(err, want) {
			t.Errorf("%s: %v", who, err)
		}
	}
}

// TestBackground: whoever is asked sees what the subject has besides, with the
// reason and since when somebody answers for it. Others see what they may.
func TestBackground(t *testing.T) {
	h := newHouse(t)
	r := h.pending()
	other := h.pendingToo()
	if err := h.put("human/pat", `{"kind":"identity","name":"service/ci-deployer","purpose":"deploys","owner":"human/max","environment":"production"}`); err != nil {
		t.Fatal(err)
	}
	ids := func(rs []writ.Request) (out []writ.ID) {
		for _, r := range rs {
			out = append(out, r.ID)
		}
		return out
	}
	for who, want := range map[writ.Ref][]writ.ID{"human/sue": {other.ID}, "human/pat": nil} {
		b, err := h.Background(t.Context(), h.as(who), r)
		if err != nil || !slices.Equal(ids(b.Holds), want) {
			t.Errorf("%s sees %v, %v", who, ids(b.Holds), err)
		}
		if !b.Owned.After(b.Made) || b.Made.IsZero() || b.Texts["why"] != "release 42 of the shop" || len(b.Earlier) != 0 {
			t.Errorf("%s sees %+v", who, b)
		}
	}
}

// pendingToo is another request for the same subject, for less time.
func (h house) pendingToo() writ.Request {
	h.Helper()
	r, err := h.Submit(h.Context(), h.as("human/ann"), Ask{
		Subject: "service/ci-deployer", Entitlement: "orders-db/deploy", For: writ.Of(time.Minute), Why: "release 43 of the shop",
	})
	if err != nil {
		h.Fatal(err)
	}
	return r
}
