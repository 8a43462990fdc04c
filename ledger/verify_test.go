package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/writhq/writ/ledger"
)

// row is a record as a table has it: under an index that may be anything.
type row struct {
	index  int64
	record []byte
}

func (j *journal) rows() []row {
	var rows []row
	for i, record := range j.records {
		rows = append(rows, row{int64(i), record})
	}
	return rows
}

func verify(ctx context.Context, rows []row, tiles ledger.Tiles, checkpoints []ledger.Checkpoint) error {
	v := ledger.NewVerifier(tiles, checkpoints)
	for _, r := range rows {
		if err := v.Add(ctx, r.index, r.record); err != nil {
			return err
		}
	}
	return v.Finish(ctx)
}

func TestWholeLogHolds(t *testing.T) {
	for _, n := range []int{0, 1, 100, 255, 256, 257, 512, 1000, 66_000} {
		j := newJournal(t, n)
		own := j.checkpoints(t)
		v := ledger.NewVerifier(j, append(own, own...)) // those that others kept are the same
		for i, record := range j.records {
			if err := v.Add(t.Context(), int64(i), record); err != nil {
				t.Fatal(err)
			}
		}
		if err := v.Finish(t.Context()); err != nil {
			t.Fatalf("%d records: %v", n, err)
		}
		if v.Size() != int64(n) || v.Root() != j.edge.Root() {
			t.Fatalf("%d records: verified %d with root %s", n, v.Size(), v.Root())
		}
		if err := verify(t.Context(), j.rows(), nil, j.checkpoints(t)); err != nil {
			t.Fatalf("%d records without tiles: %v", n, err)
		}
		if err := verify(t.Context(), j.rows(), j, nil); err != nil {
			t.Fatalf("%d records without checkpoints: %v", n, err)
		}
	}
}

// scene is a log of 1,000 records with a checkpoint at every hundred, and what
// is going to be verified of it.
type scene struct {
	*journal
	rows        []row
	checkpoints []ledger.Checkpoint
}

func (s *scene) edit(i int, text string) { s.rows[i].record = []byte(text) }

// drop leaves out records from i on, and renumbers those after them.
func (s *scene) drop(i, n int) {
	s.rows = slices.Delete(s.rows, i, i+n)
	for i := range s.rows {
		s.rows[i].index = int64(i)
	}
}

// before keeps the checkpoints up to a size.
func (s *scene) before(size int64) {
	s.checkpoints = slices.DeleteFunc(s.checkpoints, func(c ledger.Checkpoint) bool { return c.Size > size })
}

// only keeps the checkpoints of these sizes.
func (s *scene) only(sizes ...int64) {
	s.checkpoints = slices.DeleteFunc(s.checkpoints, func(c ledger.Checkpoint) bool { return !slices.Contains(sizes, c.Size) })
}

// flip changes a stored hash.
func (s *scene) flip(level int, n int64, hash int) { s.tiles[place{level, n}][hash*32] ^= 1 }

// lengthen appends bytes to a stored tile of level 0.
func (s *scene) lengthen(n int64, by int) {
	p := place{0, n}
	s.tiles[p] = append(bytes.Clone(s.tiles[p]), make([]byte, by)...)
}

// rehash makes the tiles agree with the rows, as somebody would who has the
// database but not the signing key.
func (s *scene) rehash(t *testing.T) {
	var records [][]byte
	for _, r := range s.rows {
		records = append(records, r.record)
	}
	_, tiles, err := ledger.Edge{}.Append(records)
	if err != nil {
		t.Fatal(err)
	}
	clear(s.tiles)
	for _, tile := range tiles {
		s.tiles[place{tile.Level, tile.N}] = tile.Hashes
	}
}

// branch returns the checkpoints of another log with the same key, which has the
// same first records and then others.
func branch(t *testing.T, same, size int) []ledger.Checkpoint {
	b := newJournal(t, same)
	for from := same; from < size; from += 100 {
		var other [][]byte
		for i := range 100 {
			other = append(other, []byte{byte(i), byte(from)})
		}
		b.commit(t, other...)
	}
	return b.checkpoints(t)
}

// tampers are what is done to a scene, and the fault that must be found.
var tampers = []struct {
	name   string
	tamper func(*testing.T, *scene)
	kind   ledger.Kind
	index  int64
	why    string
}{
	// records changed
	{"edit", func(t *testing.T, s *scene) { s.edit(421, "x") }, ledger.Edited, 421, "tile/0/001 has another hash, and the checkpoint of 500 records does not confirm the record"},
	{"edit the first", func(t *testing.T, s *scene) { s.edit(0, "x") }, ledger.Edited, 0, "tile/0/000 has another hash, and the checkpoint of 100 records does not confirm"},
	{"edit the last", func(t *testing.T, s *scene) { s.edit(999, "x") }, ledger.Edited, 999, "tile/0/003 has another hash, and the checkpoint of 1000 records does not confirm"},
	{"edit two", func(t *testing.T, s *scene) { s.edit(470, "x"); s.edit(421, "x") }, ledger.Edited, 421, ""},
	{"edit without checkpoints", func(t *testing.T, s *scene) { s.edit(421, "x"); s.only() }, ledger.Edited, 421, "tile/0/001 has another hash"},
	{"edit and rehash", func(t *testing.T, s *scene) { s.edit(421, "x"); s.rehash(t) }, ledger.Rewritten, 400, "one of records 400 to 499"},
	{"edit record and leaf hash", func(t *testing.T, s *scene) {
		s.edit(421, "x")
		h := ledger.LeafHash([]byte("x"))
		copy(s.tiles[place{0, 1}][(421-256)*32:], h[:])
		s.only(1000)
	}, ledger.Edited, 256, "tile/1/000 does not have the root of records 256 to 511, and the checkpoint of 1000 records does not confirm"},
	{"swap", func(t *testing.T, s *scene) {
		s.rows[421].record, s.rows[430].record = s.rows[430].record, s.rows[421].record
		s.only(1000)
	}, ledger.Moved, 421, "tile/0/001 says that it is record 430"},
	{"swap across tiles", func(t *testing.T, s *scene) {
		s.rows[421].record, s.rows[830].record = s.rows[830].record, s.rows[421].record
		s.only(1000)
	}, ledger.Edited, 421, "tile/0/001 has another hash"},

	// records missing, or too many
	{"gap", func(t *testing.T, s *scene) { s.rows = slices.Delete(s.rows, 421, 423) }, ledger.Missing, 421, "the record that follows has index 423"},
	{"first missing", func(t *testing.T, s *scene) { s.rows = s.rows[1:] }, ledger.Missing, 0, "index 1"},
	{"gap renumbered", func(t *testing.T, s *scene) { s.drop(421, 1); s.only(1000) }, ledger.Moved, 421, "says that it is record 422"},
	{"twice", func(t *testing.T, s *scene) { s.rows = slices.Insert(s.rows, 421, s.rows[420]) }, ledger.Moved, 421, "a record with index 420 stands here"},
	{"tail dropped", func(t *testing.T, s *scene) { s.rows = s.rows[:950] }, ledger.Truncated, 950, "signed a checkpoint of 1000 records"},
	{"tail dropped to a checkpoint", func(t *testing.T, s *scene) { s.rows = s.rows[:900] }, ledger.Truncated, 900, "signed a checkpoint of 1000 records"},
	{"tail dropped to a full tile", func(t *testing.T, s *scene) { s.rows = s.rows[:512]; s.before(500) }, ledger.Truncated, 512, "tile/0/002 is stored"},
	{"tail and checkpoints dropped", func(t *testing.T, s *scene) { s.rows = s.rows[:950]; s.before(900) }, ledger.Truncated, 950, "tile/0/003.p/232 is stored"},
	{"tail, tiles and all but one checkpoint dropped", func(t *testing.T, s *scene) { s.rows = s.rows[:700]; s.rehash(t); s.only(600, 1000) }, ledger.Truncated, 700, "signed a checkpoint of 1000 records"},
	{"all dropped", func(t *testing.T, s *scene) { s.rows = nil }, ledger.Truncated, 0, "signed a checkpoint of 100 records"},
	{"record added", func(t *testing.T, s *scene) { s.rows = append(s.rows, row{1000, []byte("x")}) }, ledger.Added, 1000, "tile/0/003 ends before it"},
	{"record put in", func(t *testing.T, s *scene) {
		s.rows = slices.Insert(s.rows, 421, row{0, []byte("x")})
		s.drop(0, 0)
		s.only(1000)
	}, ledger.Edited, 421, "tile/0/001 has another hash"},

	// tiles changed
	{"leaf hash changed", func(t *testing.T, s *scene) { s.flip(0, 1, 0) }, ledger.Altered, 256, "the checkpoint of 500 records confirms the record"},
	{"leaf hash changed after a checkpoint", func(t *testing.T, s *scene) { s.flip(0, 1, 250) }, ledger.Altered, 506, "the checkpoint of 600 records confirms the record"},
	{"hash of the last leaf changed", func(t *testing.T, s *scene) { s.flip(0, 3, 231) }, ledger.Altered, 999, "the checkpoint of 1000 records confirms the record"},
	{"leaf hash changed before a checkpoint, record edited after it", func(t *testing.T, s *scene) { s.flip(0, 1, 150); s.edit(520, "x"); s.only(500, 1000) }, ledger.Altered, 406, "the checkpoint of 500 records confirms the record"},
	{"leaf hash changed before a checkpoint, fork after it", func(t *testing.T, s *scene) {
		s.only(400)
		s.checkpoints = append(s.checkpoints, branch(t, 400, 500)[5:]...)
		s.flip(0, 1, 50)
	}, ledger.Altered, 306, "has another hash, but the checkpoint of 400 records confirms the record"},
	{"node changed", func(t *testing.T, s *scene) { s.flip(1, 0, 1) }, ledger.Altered, 256, "tile/1/000 does not have the root of records 256 to 511, but the checkpoint of 900 records confirms"},
	{"tile missing", func(t *testing.T, s *scene) { delete(s.tiles, place{0, 2}) }, ledger.Altered, 512, "tile/0/002 ends before it"},
	{"upper tile missing", func(t *testing.T, s *scene) { delete(s.tiles, place{1, 0}) }, ledger.Altered, 0, "tile/1/000 does not have the root of records 0 to 255"},
	{"tile too long", func(t *testing.T, s *scene) { s.lengthen(0, 32) }, ledger.Altered, 256, "tile/0/000 has 8224 bytes"},
	{"tile with half a hash", func(t *testing.T, s *scene) { s.lengthen(3, 16) }, ledger.Altered, 1000, "tile/0/003 has 7440 bytes"},
	{"hash too many", func(t *testing.T, s *scene) { p := place{1, 0}; s.tiles[p] = append(s.tiles[p], make([]byte, 32)...) }, ledger.Truncated, 1000, "tile/1/000.p/4 is stored"},
	{"level too many", func(t *testing.T, s *scene) { s.tiles[place{2, 0}] = make([]byte, 32) }, ledger.Truncated, 1000, "tile/2/000.p/1 is stored"},

	// checkpoints against the log
	{"fork kept by somebody", func(t *testing.T, s *scene) { s.checkpoints = append(s.checkpoints, branch(t, 300, 500)[5]) }, ledger.Forked, 400, "two checkpoints of 500 records"},
	{"fork at a size of its own", func(t *testing.T, s *scene) {
		s.only(300, 800, 1000)
		s.checkpoints = append(s.checkpoints, branch(t, 300, 500)[5])
	}, ledger.Forked, 300, "one of records 300 to 499 is not what was signed there, yet the later checkpoint of 800 records confirms them"},
	{"fork that went further", func(t *testing.T, s *scene) { s.checkpoints = append(s.checkpoints, branch(t, 300, 1100)[11]) }, ledger.Truncated, 1000, "signed a checkpoint of 1100 records"},
	{"rolled back and continued", func(t *testing.T, s *scene) { s.checkpoints = branch(t, 300, 1000) }, ledger.Rewritten, 300, "one of records 300 to 399"},
	{"rolled back, continued, old tiles kept", func(t *testing.T, s *scene) {
		s.only(300)
		for i := 300; i < 1000; i++ {
			s.edit(i, "other")
		}
	}, ledger.Edited, 300, "tile/0/001 has another hash"},
}

func TestTamperedLogs(t *testing.T) {
	for _, test := range tampers {
		t.Run(test.name, func(t *testing.T) {
			j := newJournal(t, 1000)
			s := &scene{j, j.rows(), j.checkpoints(t)}
			test.tamper(t, s)
			err := verify(t.Context(), s.rows, s, s.checkpoints)
			var fault *ledger.Fault
			if !errors.As(err, &fault) {
				t.Fatalf("got %v, want a fault", err)
			}
			if strings.Contains(fault.Why, "confirms") && strings.Contains(fault.Why, "does not confirm") {
				t.Errorf("contradicts itself: %v", err)
			}
			if !strings.HasPrefix(err.Error(), fmt.Sprintf("ledger: record %d: %s: ", test.index, test.kind)) || fault.Kind != test.kind || fault.Index != test.index || !strings.Contains(fault.Why, test.why) {
				t.Fatalf("got %v\nwant record %d: %s: … %s", err, test.index, test.kind, test.why)
			}
		})
	}
}

// TestAnySingleChangeIsNamed changes one record, or one hash of a tile of level
// 0, in a log committed in random batches.
func TestAnySingleChangeIsNamed(t *testing.T) {
	ctx := t.Context()
	rapid.Check(t, func(rt *rapid.T) {
		j := newJournal(t, 0)
		for _, n := range rapid.SliceOfN(rapid.IntRange(1, 300), 1, 6).Draw(rt, "batches") {
			j.commit(t, numbered(len(j.records), len(j.records)+n)...)
		}
		rows, checkpoints := j.rows(), j.checkpoints(t)
		index := rapid.IntRange(0, len(rows)-1).Draw(rt, "index")
		want := ledger.Edited
		if rapid.Bool().Draw(rt, "record") {
			rows[index].record = []byte("changed")
		} else {
			want = ledger.Altered
			j.tiles[place{0, int64(index / 256)}][index%256*32] ^= 1
		}
		var fault *ledger.Fault
		if err := verify(ctx, rows, j, checkpoints); !errors.As(err, &fault) || fault.Kind != want || fault.Index != int64(index) {
			rt.Fatalf("got %v, want record %d %s", err, index, want)
		}
	})
}

func TestVerdictStays(t *testing.T) {
	j := newJournal(t, 300)
	v := ledger.NewVerifier(j, j.checkpoints(t))
	first := v.Add(t.Context(), 5, j.records[5])
	for range 3 {
		if err := v.Add(t.Context(), 0, j.records[0]); err != first || first == nil {
			t.Fatalf("got %v after %v", err, first)
		}
		if err := v.Finish(t.Context()); err != first {
			t.Fatalf("got %v after %v", err, first)
		}
	}
}

// TestTilesThatCannotBeReadAreNoFault has one read fail, at each place where
// tiles are read, and goes on all the same: that must not end well.
func TestTilesThatCannotBeReadAreNoFault(t *testing.T) {
	j, down := newJournal(t, 600), errors.New("store is down")
	for _, test := range []struct {
		name   string
		when   int // which of the reads fails
		tamper func(*scene)
	}{
		{"full tile", 1, func(*scene) {}},
		{"last tile", 3, func(*scene) {}},
		{"end of the log", 5, func(*scene) {}},
		{"looking for an edit", 1, func(s *scene) { s.edit(10, "x") }},
		{"looking for what is before a gap", 1, func(s *scene) { s.rows = slices.Delete(s.rows, 10, 11) }},
	} {
		s := &scene{j, j.rows(), j.checkpoints(t)}
		test.tamper(s)
		v := ledger.NewVerifier(&failingOnce{j, test.when, down}, s.checkpoints)
		for _, r := range s.rows {
			v.Add(t.Context(), r.index, r.record)
		}
		err := v.Finish(t.Context())
		var fault *ledger.Fault
		if !errors.Is(err, down) || errors.As(err, &fault) || !strings.Contains(err.Error(), "ledger: read tile/0/00") {
			t.Errorf("%s: got %v", test.name, err)
		}
	}
}

// failingOnce fails the read with this number, from 1.
type failingOnce struct {
	ledger.Tiles
	when int
	err  error
}

func (f *failingOnce) Tile(ctx context.Context, level int, n int64) ([]byte, error) {
	if f.when--; f.when == 0 {
		return nil, f.err
	}
	return f.Tiles.Tile(ctx, level, n)
}
