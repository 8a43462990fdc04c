package ledger_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"testing"
	"time"

	"github.com/writhq/writ/ledger"
)

const eventBytes = 400 // as events are

// event returns record i, in memory that the next call uses again.
func event(buf []byte, i int) []byte {
	binary.BigEndian.PutUint64(buf, uint64(i))
	return buf
}

// BenchmarkAppend appends commits of 300 records, and hashes the same bytes with
// bare SHA-256 beside it: leaf/sha256 is what a leaf costs in hashes of itself.
func BenchmarkAppend(b *testing.B) {
	const commit = 300
	records := make([][]byte, commit)
	for i := range records {
		records[i] = bytes.Clone(event(make([]byte, eventBytes), i))
	}
	var edge ledger.Edge
	var appending, hashing time.Duration
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		next, _, err := edge.Append(records)
		if err != nil {
			b.Fatal(err)
		}
		edge = next
		appended := time.Now()
		for _, record := range records {
			sha256.Sum256(record)
		}
		appending += appended.Sub(start)
		hashing += time.Since(appended)
	}
	leaves := float64(edge.Size())
	b.ReportMetric(float64(appending.Nanoseconds())/leaves, "ns/leaf")
	b.ReportMetric(float64(hashing.Nanoseconds())/leaves, "ns/sha256")
	b.ReportMetric(float64(appending)/float64(hashing), "leaf/sha256")
	b.ReportMetric(leaves/appending.Seconds(), "leaves/s")
}

// BenchmarkAppendOne is the commit of a single record.
func BenchmarkAppendOne(b *testing.B) {
	edge := newJournal(b, 1000).edge
	record := [][]byte{make([]byte, eventBytes)}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := edge.Append(record); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSign is what a commit pays for its checkpoint.
func BenchmarkSign(b *testing.B) {
	s, edge := newSigner(b, origin, 1), newJournal(b, 1000).edge
	for b.Loop() {
		mustSign(b, s, edge.Size(), edge.Root())
	}
}

// BenchmarkVerifyMillion verifies a million events against their tiles and a
// checkpoint for each commit of 300.
func BenchmarkVerifyMillion(b *testing.B) {
	const events, commit = 1_000_000, 300
	j := &journal{tiles: map[place][]byte{}}
	var checkpoints []ledger.Checkpoint
	buf := make([]byte, eventBytes)
	for i := 0; i < events; {
		var records [][]byte
		for ; len(records) < commit && i < events; i++ {
			records = append(records, bytes.Clone(event(buf, i)))
		}
		edge, tiles, err := j.edge.Append(records)
		if err != nil {
			b.Fatal(err)
		}
		for _, tile := range tiles {
			j.tiles[place{tile.Level, tile.N}] = tile.Hashes
		}
		j.edge = edge
		checkpoints = append(checkpoints, ledger.Checkpoint{Origin: origin, Size: edge.Size(), Root: edge.Root()})
	}
	for b.Loop() {
		v := ledger.NewVerifier(j, checkpoints)
		for i := range events {
			if err := v.Add(b.Context(), int64(i), event(buf, i)); err != nil {
				b.Fatal(err)
			}
		}
		if err := v.Finish(b.Context()); err != nil || v.Root() != j.edge.Root() {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*events/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkInclusion proves a record of 100,000 from tiles in memory.
func BenchmarkInclusion(b *testing.B) {
	j := newJournal(b, 100_000)
	for b.Loop() {
		if _, err := ledger.Inclusion(b.Context(), j, 77_777, 100_000); err != nil {
			b.Fatal(err)
		}
	}
}
