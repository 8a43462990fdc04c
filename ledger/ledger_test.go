package ledger_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/writhq/writ/ledger"
)

const origin = "log.example.com/writ"

type place struct {
	level int
	n     int64
}

// journal is a log kept in memory the way a store keeps one: every commit
// stores records, tiles and a checkpoint, and the edge goes on.
type journal struct {
	signer  *ledger.Signer
	edge    ledger.Edge
	records [][]byte
	tiles   map[place][]byte
	notes   []string
}

func newSigner(t testing.TB, origin string, seed byte) *ledger.Signer {
	t.Helper()
	s, err := ledger.NewSigner(origin, bytes.Repeat([]byte{seed}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newJournal returns a log of n records, "record 0" and so on, committed in
// batches of 100, with the checkpoint of the empty log first.
func newJournal(t testing.TB, n int) *journal {
	t.Helper()
	j := &journal{signer: newSigner(t, origin, 1), tiles: map[place][]byte{}}
	j.commit(t)
	for from := 0; from < n; from += 100 {
		j.commit(t, numbered(from, min(from+100, n))...)
	}
	return j
}

func numbered(from, to int) [][]byte {
	var records [][]byte
	for i := from; i < to; i++ {
		records = append(records, fmt.Appendf(nil, "record %d", i))
	}
	return records
}

func (j *journal) commit(t testing.TB, records ...[]byte) {
	t.Helper()
	edge, tiles, err := j.edge.Append(records)
	if err != nil {
		t.Fatal(err)
	}
	note, err := j.signer.Sign(edge.Size(), edge.Root())
	if err != nil {
		t.Fatal(err)
	}
	for _, tile := range tiles {
		j.tiles[place{tile.Level, tile.N}] = bytes.Clone(tile.Hashes)
	}
	j.records = append(j.records, records...)
	j.notes = append(j.notes, note)
	j.edge = edge
}

func (j *journal) Tile(_ context.Context, level int, n int64) ([]byte, error) {
	return j.tiles[place{level, n}], nil
}

func (j *journal) Checkpoint(context.Context) (string, error) {
	return j.notes[len(j.notes)-1], nil
}

func (j *journal) Entries(_ context.Context, from, to int64) ([][]byte, error) {
	return j.records[from:to], nil
}

// checkpoints opens what the log signed.
func (j *journal) checkpoints(t testing.TB) []ledger.Checkpoint {
	t.Helper()
	var all []ledger.Checkpoint
	for _, note := range j.notes {
		c, err := ledger.OpenCheckpoint(note, j.signer.VerifierKey())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

// ends returns the rightmost stored tile of each level.
func (j *journal) ends() []ledger.Tile {
	var ends []ledger.Tile
	for level := 0; ; level++ {
		n := int64(-1)
		for p := range j.tiles {
			if p.level == level {
				n = max(n, p.n)
			}
		}
		if n < 0 {
			return ends
		}
		ends = append(ends, ledger.Tile{Level: level, N: n, Hashes: j.tiles[place{level, n}]})
	}
}
