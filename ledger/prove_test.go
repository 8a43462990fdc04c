package ledger_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"pgregory.net/rapid"

	"github.com/writhq/writ/ledger"
)

func byteSlices(hashes []ledger.Hash) [][]byte {
	var all [][]byte
	for _, h := range hashes {
		all = append(all, h[:])
	}
	return all
}

// TestIndependentVerifierAcceptsProofs draws records and sizes of one log and
// has github.com/transparency-dev/merkle judge what is proven of them.
func TestIndependentVerifierAcceptsProofs(t *testing.T) {
	const most = 66_000 // so that there is a level 2
	j := newJournal(t, most)
	hasher, ctx := rfc6962.DefaultHasher, t.Context()
	sizes := rapid.OneOf(rapid.SampledFrom([]int64{1, 2, 255, 256, 257, 511, 512, 65535, 65536, 65537, most}), rapid.Int64Range(1, most))
	rapid.Check(t, func(t *rapid.T) {
		size := sizes.Draw(t, "size")
		index := rapid.Int64Range(0, size-1).Draw(t, "index")
		old := min(sizes.Draw(t, "old"), size)
		root, err := ledger.Root(ctx, j, size)
		if err != nil {
			t.Fatal(err)
		}
		oldRoot, err := ledger.Root(ctx, j, old)
		if err != nil {
			t.Fatal(err)
		}
		inclusion, err := ledger.Inclusion(ctx, j, index, size)
		if err != nil {
			t.Fatal(err)
		}
		leaf := hasher.HashLeaf(j.records[index])
		if err := proof.VerifyInclusion(hasher, uint64(index), uint64(size), leaf, byteSlices(inclusion), root[:]); err != nil {
			t.Fatalf("inclusion of %d in %d: %v", index, size, err)
		}
		if err := ledger.CheckInclusion(inclusion, index, size, ledger.LeafHash(j.records[index]), root); err != nil {
			t.Fatal(err)
		}
		consistency, err := ledger.Consistency(ctx, j, old, size)
		if err != nil {
			t.Fatal(err)
		}
		if err := proof.VerifyConsistency(hasher, uint64(old), uint64(size), byteSlices(consistency), oldRoot[:], root[:]); err != nil {
			t.Fatalf("consistency of %d with %d: %v", old, size, err)
		}
		if err := ledger.CheckConsistency(consistency, old, size, oldRoot, root); err != nil {
			t.Fatal(err)
		}
	})
}

// TestWrongProofsAreRefused changes one thing at a time in a proof that holds.
func TestWrongProofsAreRefused(t *testing.T) {
	const index, old, size = 300, 400, 1000
	j, ctx := newJournal(t, size), t.Context()
	root, oldRoot := mustRoot(t, j, size), mustRoot(t, j, old)
	leaf := ledger.LeafHash(j.records[index])
	in, err := ledger.Inclusion(ctx, j, index, size)
	if err != nil {
		t.Fatal(err)
	}
	con, err := ledger.Consistency(ctx, j, old, size)
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"inclusion, other leaf":       ledger.CheckInclusion(in, index, size, ledger.LeafHash(j.records[0]), root),
		"inclusion, other index":      ledger.CheckInclusion(in, index+1, size, leaf, root),
		"inclusion, other size":       ledger.CheckInclusion(in, index, size+100, leaf, root),
		"inclusion, other root":       ledger.CheckInclusion(in, index, size, leaf, oldRoot),
		"inclusion, too short":        ledger.CheckInclusion(in[1:], index, size, leaf, root),
		"inclusion, too long":         ledger.CheckInclusion(append(in, root), index, size, leaf, root),
		"inclusion, beyond the end":   ledger.CheckInclusion(in, size, size, leaf, root),
		"inclusion, negative":         ledger.CheckInclusion(in, -1, size, leaf, root),
		"inclusion, endless size":     ledger.CheckInclusion(in, index, 1<<63-1, leaf, root),
		"consistency, other old root": ledger.CheckConsistency(con, old, size, root, root),
		"consistency, other root":     ledger.CheckConsistency(con, old, size, oldRoot, oldRoot),
		"consistency, other old size": ledger.CheckConsistency(con, old-1, size, oldRoot, root),
		"consistency, backwards":      ledger.CheckConsistency(con, size, old, root, oldRoot),
		"consistency, too short":      ledger.CheckConsistency(con[1:], old, size, oldRoot, root),
		"consistency, same size":      ledger.CheckConsistency(nil, size, size, oldRoot, root),
		"consistency, endless size":   ledger.CheckConsistency(con, old, 1<<63-1, oldRoot, root),
		"consistency, empty, root":    ledger.CheckConsistency(nil, 0, size, oldRoot, root),
		"consistency, empty, hashes":  ledger.CheckConsistency(con, 0, size, mustRoot(t, j, 0), root),
		"consistency, empty to empty": ledger.CheckConsistency(nil, 0, 0, mustRoot(t, j, 0), root),
	} {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestEmptyLogIsTheBeginningOfEveryLog(t *testing.T) {
	j := newJournal(t, 10)
	empty := mustRoot(t, j, 0)
	if want := [32]byte(rfc6962.DefaultHasher.EmptyRoot()); empty != want || (ledger.Edge{}).Root() != want {
		t.Fatalf("root of the empty log is %x, want %x", empty, want)
	}
	for _, size := range []int64{0, 1, 10} {
		proof, err := ledger.Consistency(t.Context(), j, 0, size)
		if err != nil || len(proof) > 0 {
			t.Fatalf("0 to %d: %v, %v", size, proof, err)
		}
		if err := ledger.CheckConsistency(proof, 0, size, empty, mustRoot(t, j, size)); err != nil {
			t.Error(err)
		}
	}
}

func mustRoot(t testing.TB, tiles ledger.Tiles, size int64) ledger.Hash {
	t.Helper()
	root, err := ledger.Root(t.Context(), tiles, size)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// brokenTiles is a store that cannot be read.
type brokenTiles struct{ err error }

func (b brokenTiles) Tile(context.Context, int, int64) ([]byte, error) { return nil, b.err }

func TestProofsThatCannotBeMade(t *testing.T) {
	j, ctx := newJournal(t, 600), t.Context()
	delete(j.tiles, place{0, 1})
	down := errors.New("store is down")
	for _, test := range []struct {
		name string
		try  func() error
		want string
	}{
		{"record beyond the log", func() error { _, err := ledger.Inclusion(ctx, j, 600, 600); return err }, "record 600 is not in a log of 600 records"},
		{"record in the empty log", func() error { _, err := ledger.Inclusion(ctx, j, 0, 0); return err }, "record 0 is not in a log of 0 records"},
		{"old beyond size", func() error { _, err := ledger.Consistency(ctx, j, 5, 4); return err }, "a log of 4 records has no beginning of 5"},
		{"negative size", func() error { _, err := ledger.Root(ctx, j, -1); return err }, "cannot have -1 records"},
		{"size beyond the tiles", func() error { _, err := ledger.Root(ctx, j, 700); return err }, "tile/0/002 is not whole: 128 hashes are needed, 88 are stored"},
		{"tile missing", func() error { _, err := ledger.Inclusion(ctx, j, 300, 600); return err }, "tile/0/001 is not whole: 32 hashes are needed, 0 are stored"},
		{"store down", func() error { _, err := ledger.Root(ctx, brokenTiles{down}, 5); return err }, "read tile/0/000: store is down"},
	} {
		if err := test.try(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want an error with %q", test.name, err, test.want)
		}
	}
	if _, err := ledger.Root(ctx, brokenTiles{down}, 5); !errors.Is(err, down) {
		t.Errorf("the store's error is lost in %v", err)
	}
}
