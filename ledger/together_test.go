package ledger_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/writhq/writ/ledger"
)

// TestOneProofForSeveralRecords draws records of one log and proves all of them
// at once; any other leaf, place, size or hash is refused.
func TestOneProofForSeveralRecords(t *testing.T) {
	const most = 1000
	j := newJournal(t, most)
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, most).Draw(t, "size")
		indexes := rapid.SliceOfNDistinct(rapid.Int64Range(0, size-1), 1, int(min(size, 12)), rapid.ID[int64]).Draw(t, "indexes")
		slices.Sort(indexes)
		root, err := ledger.Root(t.Context(), j, size)
		if err != nil {
			t.Fatal(err)
		}
		proof, err := ledger.InclusionTogether(t.Context(), j, indexes, size)
		if err != nil {
			t.Fatal(err)
		}
		leaves := make([]ledger.Hash, len(indexes))
		for i, index := range indexes {
			leaves[i] = ledger.LeafHash(j.records[index])
		}
		if err := ledger.CheckTogether(proof, indexes, leaves, size, root); err != nil {
			t.Fatal(err)
		}
		if len(indexes) == 1 {
			alone, err := ledger.Inclusion(t.Context(), j, indexes[0], size)
			if err != nil || len(alone) != len(proof) {
				t.Fatalf("one record has %d hashes alone and %d together: %v", len(alone), len(proof), err)
			}
		}
		must := func(what string, err error) {
			t.Helper()
			if err == nil {
				t.Fatalf("%s was taken", what)
			}
		}
		other := slices.Clone(leaves)
		other[rapid.IntRange(0, len(leaves)-1).Draw(t, "leaf")][3] ^= 1
		must("another leaf", ledger.CheckTogether(proof, indexes, other, size, root))
		must("a hash too many", ledger.CheckTogether(append(slices.Clone(proof), root), indexes, leaves, size, root))
		must("a leaf too few", ledger.CheckTogether(proof, indexes, leaves[1:], size, root))
		if len(proof) > 0 {
			bad := slices.Clone(proof)
			bad[rapid.IntRange(0, len(bad)-1).Draw(t, "hash")][0] ^= 1
			must("another hash", ledger.CheckTogether(bad, indexes, leaves, size, root))
			must("a hash too few", ledger.CheckTogether(proof[1:], indexes, leaves, size, root))
		}
		if len(indexes) > 1 {
			back := slices.Clone(indexes)
			slices.Reverse(back)
			must("indexes that descend", ledger.CheckTogether(proof, back, leaves, size, root))
		}
	})
}

// TestNoProofOfNothing: there is nothing to prove without a record, nor of one
// that the log does not have.
func TestNoProofOfNothing(t *testing.T) {
	j := newJournal(t, 3)
	for _, indexes := range [][]int64{nil, {3}, {-1}, {0, 0}} {
		if proof, err := ledger.InclusionTogether(t.Context(), j, indexes, 3); err == nil {
			t.Errorf("records %v of 3 were proven: %v", indexes, proof)
		}
	}
}
