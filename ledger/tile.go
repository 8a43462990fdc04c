package ledger

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	// TileWidth is the number of hashes in a full tile, and of records in a
	// full entry bundle.
	TileWidth = 1 << tileHeight

	tileHeight = 8
	tileBytes  = TileWidth * tlog.HashSize
	topLevel   = 63 // the highest that a tile path may name
)

// Entries is the level by which [Path] and [ParsePath] name an entry bundle: the
// records themselves, below the tiles of level 0.
const Entries = -1

// A Tile is a run of hashes of one level: of leaves at level 0, of full tiles of
// the level below at all others.
type Tile struct {
	Level  int
	N      int64  // place in the level, from 0
	Hashes []byte // 32 bytes for each of at most TileWidth hashes
}

// Width returns the number of hashes.
func (t Tile) Width() int { return len(t.Hashes) / tlog.HashSize }

// Path returns the path of the tile as [Path] does.
func (t Tile) Path() string { return Path(t.Level, t.N, t.Width()) }

// endsIn reports whether the tile may follow from the one below it at the right
// edge: if that one is full, its root is the last hash here.
func (t Tile) endsIn(below Tile) bool {
	if len(below.Hashes) != tileBytes {
		return true
	}
	return treeHash(below.Hashes) == Hash(t.Hashes[len(t.Hashes)-tlog.HashSize:])
}

// Tiles reads stored tiles.
type Tiles interface {
	// Tile returns the hashes of tile n of a level as they are stored now,
	// which may be more than any checkpoint covers: a tile only ever grows. It
	// returns none, and no error, if there is no such tile.
	Tile(ctx context.Context, level int, n int64) ([]byte, error)
}

// Path returns the path below the log's prefix at which c2sp.org/tlog-tiles puts
// a tile with width hashes, or for level [Entries] a bundle with width records:
// "tile/0/x001/x234/067", "tile/1/000.p/17", "tile/entries/000".
func Path(level int, n int64, width int) string {
	path := tlog.Tile{H: tileHeight, L: level, N: n, W: width}.Path()
	path = strings.TrimPrefix(path, "tile/8/")
	if level == Entries {
		path = "entries" + strings.TrimPrefix(path, "data")
	}
	return "tile/" + path
}

// ParsePath reads what Path writes, and nothing else.
func ParsePath(path string) (level int, n int64, width int, err error) {
	bad := fmt.Errorf("ledger: %q is not the path of a tile; write tile/<level>/<n>, with .p/<width> unless full, as c2sp.org/tlog-tiles says", path)
	rest, ok := strings.CutPrefix(path, "tile/")
	if !ok || len(path) > 100 { // the longest of an int64 has 49 bytes
		return 0, 0, 0, bad
	}
	if n, ok := strings.CutPrefix(rest, "entries/"); ok {
		rest = "data/" + n
	}
	t, err := tlog.ParseTilePath("tile/8/" + rest)
	if err != nil || t.L > topLevel || Path(t.L, t.N, t.W) != path {
		return 0, 0, 0, bad
	}
	return t.L, t.N, t.W, nil
}

// widthAt returns how many hashes a tile has in a log of this size, or how many
// records an entry bundle has.
func widthAt(size int64, level int, n int64) int {
	count := size >> (tileHeight * max(level, 0))
	if n > count/TileWidth {
		return 0
	}
	return int(min(count-n*TileWidth, TileWidth))
}

// treeHash returns the root of a perfect subtree from its 2^k lowest hashes.
func treeHash(hashes []byte) Hash {
	if len(hashes) == tlog.HashSize {
		return Hash(hashes)
	}
	half := len(hashes) / 2
	return tlog.NodeHash(treeHash(hashes[:half]), treeHash(hashes[half:]))
}

// emptyRoot returns the root of a log without records, RFC 6962 section 2.1.
func emptyRoot() Hash { return sha256.Sum256(nil) }

// checkSize refuses the size of a log that cannot be.
func checkSize(size int64) error {
	if size < 0 || size > MaxSize {
		return fmt.Errorf("ledger: a log cannot have %d records; the limit is %d", size, int64(MaxSize))
	}
	return nil
}
