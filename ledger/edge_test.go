package ledger_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/transparency-dev/merkle/testonly"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/writhq/writ/ledger"
)

// reference is the tree of golang.org/x/mod/sumdb/tlog, kept in its own order.
type reference struct {
	size   int64
	hashes []tlog.Hash
}

func (r *reference) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var hashes []tlog.Hash
	for _, i := range indexes {
		hashes = append(hashes, r.hashes[i])
	}
	return hashes, nil
}

func (r *reference) append(t rapid.TB, record []byte) {
	hashes, err := tlog.StoredHashes(r.size, record, r)
	if err != nil {
		t.Fatal(err)
	}
	r.hashes = append(r.hashes, hashes...)
	r.size++
}

func (r *reference) root(t rapid.TB) tlog.Hash {
	root, err := tlog.TreeHash(r.size, r)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// tiles returns every tile of the tree by its path.
func (r *reference) tiles(t rapid.TB) map[string][]byte {
	tiles := map[string][]byte{}
	for _, tile := range tlog.NewTiles(8, 0, r.size) {
		data, err := tlog.ReadTileData(tile, r)
		if err != nil {
			t.Fatal(err)
		}
		tiles[ledger.Path(tile.L, tile.N, tile.W)] = data
	}
	return tiles
}

// TestKnownRoots uses the vectors that Certificate Transparency is tested with.
func TestKnownRoots(t *testing.T) {
	leaves := testonly.LeafInputs()
	for n, want := range testonly.RootHashes() {
		edge, _, err := ledger.Edge{}.Append(leaves[:n])
		if err != nil {
			t.Fatal(err)
		}
		if root := edge.Root(); !bytes.Equal(root[:], want) || edge.Size() != int64(n) {
			t.Errorf("root of %d leaves is %x, want %x", n, root, want)
		}
	}
}

// TestAnySplitGivesTheSameTree appends the same records in random batches, and
// after each batch opens the edge again from what is stored.
func TestAnySplitGivesTheSameTree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		batches := rapid.SliceOfN(rapid.SampledFrom([]int{0, 1, 2, 3, 100, 254, 255, 256, 257, 512, 700}), 0, 6).Draw(t, "batches")
		reopen := rapid.Bool().Draw(t, "reopen")
		var edge ledger.Edge
		var want reference
		stored := map[place]ledger.Tile{}
		for _, n := range batches {
			old := want.size
			records := numbered(int(old), int(old)+n)
			next, tiles, err := edge.Append(records)
			if err != nil {
				t.Fatal(err)
			}
			for _, record := range records {
				want.append(t, record)
			}
			checkChanged(t, tiles, old, want.size)
			for _, tile := range tiles {
				stored[place{tile.Level, tile.N}] = tile
			}
			if edge = next; reopen {
				edge = reopened(t, edge.Size(), stored)
			}
			if edge.Root() != want.root(t) {
				t.Fatalf("root at size %d differs from that of tlog", want.size)
			}
		}
		got := map[string][]byte{}
		for _, tile := range stored {
			got[tile.Path()] = tile.Hashes
		}
		if diff := cmp.Diff(want.tiles(t), got); diff != "" {
			t.Fatalf("tiles differ from those of tlog (-want +got):\n%s", diff)
		}
	})
}

// checkChanged holds the tiles of one append against those that tlog says are new.
func checkChanged(t *rapid.T, tiles []ledger.Tile, old, size int64) {
	var got, want []string
	for _, tile := range tiles {
		got = append(got, tile.Path())
	}
	for _, tile := range tlog.NewTiles(8, old, size) {
		want = append(want, ledger.Path(tile.L, tile.N, tile.W))
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("changed tiles from size %d to %d (-want +got):\n%s", old, size, diff)
	}
}

func reopened(t *rapid.T, size int64, stored map[place]ledger.Tile) ledger.Edge {
	last := map[int]ledger.Tile{}
	for p, tile := range stored {
		if was, ok := last[p.level]; !ok || was.N < p.n {
			last[p.level] = tile
		}
	}
	var ends []ledger.Tile
	for _, tile := range last { // a map, so in any order
		ends = append(ends, tile)
	}
	edge, err := ledger.OpenEdge(size, ends)
	if err != nil {
		t.Fatal(err)
	}
	return edge
}

func TestAppendThatIsThrownAway(t *testing.T) {
	j := newJournal(t, 300)
	before, root := j.edge, j.edge.Root()
	lost, _, err := before.Append(numbered(900, 1500))
	if err != nil {
		t.Fatal(err)
	}
	if before.Size() != 300 || before.Root() != root {
		t.Fatal("an append changed the edge it started from")
	}
	j.commit(t, numbered(300, 700)...)
	var want reference
	for _, record := range numbered(0, 700) {
		want.append(t, record)
	}
	if _, tiles, err := before.Append(numbered(300, 302)); err != nil || !bytes.Equal(tiles[0].Hashes, j.tiles[place{0, 1}][:46*32]) {
		t.Fatalf("appending from an old edge gives other tiles (%v)", err)
	} else if _, _, err = before.Append(numbered(900, 902)); err != nil || !bytes.Equal(tiles[0].Hashes, j.tiles[place{0, 1}][:46*32]) {
		t.Fatalf("a second append from one edge changed the tiles of the first (%v)", err)
	}
	if j.edge.Root() != want.root(t) || lost.Root() == j.edge.Root() {
		t.Fatal("a lost append shows in the next one")
	}
	for path, hashes := range want.tiles(t) {
		level, n, _, _ := ledger.ParsePath(path)
		if !bytes.Equal(j.tiles[place{level, n}], hashes) {
			t.Errorf("%s differs after a lost append", path)
		}
	}
}

// TestAppendsFromOneEdge is for the race detector.
func TestAppendsFromOneEdge(t *testing.T) {
	edge := newJournal(t, 1000).edge
	var all sync.WaitGroup
	roots := make([]ledger.Hash, 4)
	for i := range roots {
		all.Go(func() {
			if next, _, err := edge.Append(numbered(1000, 1400)); err == nil {
				roots[i] = next.Root()
			}
		})
	}
	all.Wait()
	if len(slices.Compact(roots)) != 1 || roots[0] == (ledger.Hash{}) {
		t.Fatalf("appends of the same records from one edge gave roots %v", roots)
	}
}

func TestRecordTooLong(t *testing.T) {
	longest := make([]byte, ledger.MaxRecord)
	edge, _, err := ledger.Edge{}.Append([][]byte{longest, nil})
	if err != nil || edge.Size() != 2 {
		t.Fatalf("the longest and the empty record: %v", err)
	}
	same, tiles, err := edge.Append([][]byte{{1}, append(longest, 0)})
	if err == nil || !strings.Contains(err.Error(), "record 1 of the batch has 65536 bytes") {
		t.Fatalf("a record that is too long: %v", err)
	}
	if same.Root() != edge.Root() || same.Size() != 2 || tiles != nil {
		t.Fatal("a refused batch was appended in part")
	}
}

func TestOpenEdgeRefusesTilesThatDoNotFit(t *testing.T) {
	const size = 70000 // 273 full tiles and 112 hashes, 1 full and 17, 1
	edge, _, err := ledger.Edge{}.Append(numbered(0, size))
	if err != nil {
		t.Fatal(err)
	}
	j := newJournal(t, 0)
	j.commit(t, numbered(0, size)...)
	good := j.ends()
	full := newJournal(t, 512)
	swapped := bytes.Repeat([]byte{7}, 256*32)

	set := func(tiles []ledger.Tile, i int, change func(*ledger.Tile)) []ledger.Tile {
		tiles = slices.Clone(tiles)
		change(&tiles[i])
		return tiles
	}
	for _, test := range []struct {
		name  string
		size  int64
		tiles []ledger.Tile
		want  string
	}{
		{"all", size, good, ""},
		{"reversed", size, []ledger.Tile{good[2], good[1], good[0]}, ""},
		{"empty log", 0, nil, ""},
		{"full tile", 512, full.ends(), ""},
		{"none", size, nil, "tile/0/273.p/112 is missing"},
		{"middle missing", size, []ledger.Tile{good[0], good[2]}, "tile/1/001.p/17 is missing"},
		{"twice", size, append(slices.Clone(good), good[1]), "tile/1/001.p/17 (544 bytes) does not fit"},
		{"level too many", size, append(slices.Clone(good), ledger.Tile{Level: 3, Hashes: make([]byte, 32)}), "tile/3/000.p/1 does not fit"},
		{"negative level", size, append(slices.Clone(good), ledger.Tile{Level: -2, Hashes: make([]byte, 32)}), "tile/-2/000.p/1 (32 bytes) does not fit"},
		{"one record behind", size - 1, good, "tile/0/273.p/112 (3584 bytes) does not fit: a log of 69999 records ends in tile/0/273.p/111"},
		{"one record ahead", size + 1, good, "tile/0/273.p/112"},
		{"another place", size, set(good, 1, func(t *ledger.Tile) { t.N = 0 }), "tile/1/000.p/17"},
		{"half a hash", size, set(good, 2, func(t *ledger.Tile) { t.Hashes = make([]byte, 48) }), "tile/2/000.p/1 (48 bytes)"},
		{"too wide", 512, set(full.ends(), 0, func(t *ledger.Tile) { t.Hashes = make([]byte, 257*32) }), "tile/0/001.p/257 (8224 bytes)"},
		{"full tile of another tree", 512, set(full.ends(), 0, func(t *ledger.Tile) { t.Hashes = swapped }), "tile/0/001 does not fit: the last hash of tile/1/000.p/2 is not its root"},
		{"negative size", -1, nil, "cannot have -1 records"},
		{"impossible size", 1 << 62, nil, "cannot have 4611686018427387904 records"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := ledger.OpenEdge(test.size, test.tiles)
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if test.size == size && got.Root() != edge.Root() {
					t.Fatal("the opened edge has another root")
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

func ExampleEdge_Append() {
	var edge ledger.Edge
	next, tiles, err := edge.Append([][]byte{[]byte("first"), []byte("second")})
	if err != nil {
		fmt.Println(err)
		return
	}
	// store the records, the tiles and a checkpoint; when that is committed:
	edge = next
	fmt.Println(edge.Size(), tiles[0].Path())
	// Output: 2 tile/0/000.p/2
}
