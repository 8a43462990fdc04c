package ledger

import (
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// Hash is a SHA-256 hash of a leaf, a node or a whole tree. It prints as
// standard base64.
type Hash = tlog.Hash

const (
	// MaxRecord is the length in bytes of the longest record: entry bundles
	// write a record's length in 16 bits.
	MaxRecord = 1<<16 - 1

	// MaxSize is the number of records that a log can hold. It keeps tile
	// arithmetic far from the end of int64, also for sizes read from outside.
	MaxSize = 1 << 56
)

// LeafHash returns the hash of a record as a leaf, RFC 6962 section 2.1.
func LeafHash(record []byte) Hash { return tlog.RecordHash(record) }

// An Edge is the right edge of a tree: all that is needed to append to it and
// to know its root. The zero Edge is that of the empty log.
//
// An Edge is a value that never changes. Append returns another one, so an
// append whose commit failed is undone by forgetting what it returned.
type Edge struct {
	size  int64
	roots []Hash   // of the perfect subtrees, largest first: one for each bit set in size
	right [][]byte // by level, the hashes of the tile that is not full: 0 to 255
}

// Size returns the number of records.
func (e Edge) Size() int64 { return e.size }

// Root returns the root hash of the tree. That of the empty tree is the hash of
// no bytes.
func (e Edge) Root() Hash {
	last := len(e.roots) - 1
	if last < 0 {
		return emptyRoot()
	}
	root := e.roots[last]
	for _, left := range slices.Backward(e.roots[:last]) {
		root = tlog.NodeHash(left, root)
	}
	return root
}

// Append returns the edge with records added at the end, and every tile that
// this completes or changes, each once with all its hashes. The tiles share
// memory with the new edge: do not change their bytes.
//
// A record longer than [MaxRecord], or a log longer than [MaxSize], is refused
// and nothing is appended.
func (e Edge) Append(records [][]byte) (Edge, []Tile, error) {
	if int64(len(records)) > MaxSize-e.size {
		return e, nil, fmt.Errorf("ledger: the log holds %d records, so %d more do not fit; the limit is %d", e.size, len(records), int64(MaxSize))
	}
	for i, record := range records {
		if len(record) > MaxRecord {
			return e, nil, fmt.Errorf("ledger: record %d of the batch has %d bytes; shorten it to %d", i, len(record), MaxRecord)
		}
	}
	next := e.clone()
	var tiles []Tile
	for _, record := range records {
		tiles = next.add(LeafHash(record), tiles)
	}
	return next, append(tiles, next.since(e.size)...), nil
}

// clone returns an edge that can be changed without changing e. Hashes of a
// tile are only ever appended, so those need no copy: without room to spare,
// the first append to them makes one.
func (e Edge) clone() Edge {
	e.roots = slices.Clone(e.roots)
	e.right = slices.Clone(e.right)
	for level, hashes := range e.right {
		e.right[level] = slices.Clip(hashes)
	}
	return e
}

// add appends one leaf, and appends to full the tiles that it completes.
func (e *Edge) add(h Hash, full []Tile) []Tile {
	full = e.put(0, h, full)
	for height, n := 1, e.size; n&1 == 1; height, n = height+1, n>>1 {
		last := len(e.roots) - 1
		h = tlog.NodeHash(e.roots[last], h)
		e.roots = e.roots[:last]
		if height%tileHeight == 0 {
			full = e.put(height/tileHeight, h, full)
		}
	}
	e.roots = append(e.roots, h)
	e.size++
	return full
}

// put adds a hash to the tile at the right of a level, which leaves the edge
// once it is full.
func (e *Edge) put(level int, h Hash, full []Tile) []Tile {
	if level == len(e.right) {
		e.right = append(e.right, nil)
	}
	hashes := e.right[level]
	if len(hashes) == cap(hashes) {
		hashes = slices.Grow(hashes, tileBytes-len(hashes))
	}
	hashes = append(hashes, h[:]...)
	if len(hashes) < tileBytes {
		e.right[level] = hashes
		return full
	}
	e.right[level] = nil
	return append(full, Tile{Level: level, N: e.size >> (tileHeight * (level + 1)), Hashes: hashes})
}

// since returns the tiles that are not full and have changed since the log had
// this size.
func (e Edge) since(size int64) []Tile {
	var tiles []Tile
	for level, hashes := range e.right {
		was, is := size>>(tileHeight*level), e.size>>(tileHeight*level)
		if was != is && len(hashes) > 0 {
			tiles = append(tiles, Tile{Level: level, N: is >> tileHeight, Hashes: hashes})
		}
	}
	return tiles
}

// OpenEdge returns the edge of a log of this size from its rightmost stored
// tiles: of each level that has any, the one with the highest N, in any order.
// It refuses a tile that is missing, that belongs elsewhere, that has not the
// hashes of this size or that the level above contradicts, and says which. It
// cannot know what the other hashes should be: compare Root with a checkpoint.
func OpenEdge(size int64, tiles []Tile) (Edge, error) {
	if err := checkSize(size); err != nil {
		return Edge{}, err
	}
	e := Edge{size: size}
	tiles = slices.SortedFunc(slices.Values(tiles), func(a, b Tile) int { return a.Level - b.Level })
	for level, count := 0, size; count > 0; level, count = level+1, count>>tileHeight {
		n := (count - 1) / TileWidth
		want := Path(level, n, int(count-n*TileWidth))
		if level >= len(tiles) || tiles[level].Level > level {
			return Edge{}, fmt.Errorf("ledger: %s is missing: a log of %d records ends in it", want, size)
		}
		t := tiles[level]
		if got := t.Path(); got != want || len(t.Hashes)%tlog.HashSize != 0 {
			return Edge{}, fmt.Errorf("ledger: %s (%d bytes) does not fit: a log of %d records ends in %s", got, len(t.Hashes), size, want)
		}
		if level > 0 && !t.endsIn(tiles[level-1]) {
			return Edge{}, fmt.Errorf("ledger: %s does not fit: the last hash of %s is not its root", tiles[level-1].Path(), want)
		}
		e.open(t)
	}
	if len(tiles) > len(e.right) {
		return Edge{}, fmt.Errorf("ledger: %s does not fit: a log of %d records has no such level", tiles[len(e.right)].Path(), size)
	}
	slices.Reverse(e.roots)
	return e, nil
}

// open takes over the rightmost tile of the level above those taken so far,
// which puts the roots in the order smallest first.
func (e *Edge) open(t Tile) {
	hashes := slices.Clone(t.Hashes)
	if len(hashes) == tileBytes {
		hashes = nil // the level above has its root
	}
	e.right = append(e.right, hashes)
	for n := tlog.HashSize; n < tileBytes; n *= 2 {
		if len(hashes)&n == 0 {
			continue
		}
		e.roots = append(e.roots, treeHash(hashes[len(hashes)-n:]))
		hashes = hashes[:len(hashes)-n]
	}
}
