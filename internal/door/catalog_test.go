package door

import "testing"

// TestMayAskFor is oneself and whom one answers for.
func TestMayAskFor(t *testing.T) {
	h := newHouse(t)
	got := h.MayAskFor(h.as("human/ann"))
	if len(got) < 2 || got[0].Name != "human/ann" {
		t.Fatalf("ann may ask for %v", got)
	}
	for _, i := range got[1:] {
		if i.Owner != "human/ann" {
			t.Errorf("ann may ask for %s", i.Name)
		}
	}
}
