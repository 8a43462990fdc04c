package ledger

import (
	"bytes"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// A Fault is the first position at which a log does not hold.
type Fault struct {
	Kind  Kind
	Index int64  // of the record; of the first that can be meant, where only a range is known
	Why   string // what stands against what, for people

	end int64 // of the range: the index after its last record
}

// Error says the position, the kind and the reason.
func (f *Fault) Error() string {
	return fmt.Sprintf("ledger: record %d: %s: %s", f.Index, f.Kind, f.Why)
}

// A Kind says in one word what is wrong with a log.
type Kind string

// The kinds of fault. Where a record and a tile disagree, a checkpoint decides
// which of them was changed; without one it is taken to be the record.
const (
	Missing   Kind = "missing"   // no record has this index, but later ones exist
	Edited    Kind = "edited"    // the record is not the one in the tree
	Moved     Kind = "moved"     // the record belongs at another index
	Added     Kind = "added"     // the tree ends before the record
	Altered   Kind = "altered"   // the record is right, a tile over it is not
	Rewritten Kind = "rewritten" // no tile differs, but a checkpoint does
	Forked    Kind = "forked"    // the log's signer signed two histories
	Truncated Kind = "truncated" // the log ends before a checkpoint or a tile does
)

// against compares a tile made from the records with what is stored of it, which
// may be wider, and returns nil if that is the same.
func (t Tile) against(stored []byte) *Fault {
	same := 0
	for same < t.Width() && bytes.Equal(t.hash(same), Tile{Hashes: stored}.hash(same)) {
		same++
	}
	if same == t.Width() && len(stored) <= tileBytes && len(stored)%tlog.HashSize == 0 {
		return nil
	}
	name := Path(t.Level, t.N, TileWidth) // of the place, however wide it is now
	span := int64(1) << (tileHeight * t.Level)
	first := (t.N*TileWidth + int64(same)) * span
	f := &Fault{Kind: Edited, Index: first, end: first + span}
	switch at := find(t.hash(same), stored); {
	case same == t.Width():
		f.Kind, f.Why = Altered, fmt.Sprintf("%s has %d bytes, which no tile can have", name, len(stored))
	case t.Level > 0:
		f.Why = fmt.Sprintf("%s does not have the root of records %d to %d", name, first, f.end-1)
	case len(stored) <= same*tlog.HashSize:
		f.Kind, f.Why = Added, fmt.Sprintf("%s ends before it", name)
	case at >= 0:
		f.Kind, f.Why = Moved, fmt.Sprintf("%s says that it is record %d", name, t.N*TileWidth+int64(at))
	default:
		f.Why = fmt.Sprintf("%s has another hash", name)
	}
	return f
}

// hash returns the hash at a place of the tile, nothing if it is not that wide.
func (t Tile) hash(i int) []byte {
	if i >= t.Width() {
		return nil
	}
	return t.Hashes[i*tlog.HashSize : (i+1)*tlog.HashSize]
}

// find returns the place of a hash among others, or -1.
func find(hash, hashes []byte) int {
	for i := range (Tile{Hashes: hashes}).Width() {
		if bytes.Equal(Tile{Hashes: hashes}.hash(i), hash) {
			return i
		}
	}
	return -1
}
