package ledger

import (
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Root computes the root of the tree of the first size records from its tiles.
func Root(ctx context.Context, tiles Tiles, size int64) (Hash, error) {
	if err := checkSize(size); err != nil {
		return Hash{}, err
	}
	return tlog.TreeHash(size, reader(ctx, tiles))
}

// Inclusion returns the proof that record index is in the tree of the first size
// records, RFC 6962 section 2.1.1: the hashes from the leaf's sibling up to the
// root's child. It trusts the tiles; CheckInclusion does not.
func Inclusion(ctx context.Context, tiles Tiles, index, size int64) ([]Hash, error) {
	if err := checkIndex(index, size); err != nil {
		return nil, err
	}
	return tlog.ProveRecord(size, index, reader(ctx, tiles))
}

// Consistency returns the proof that the tree of old records is the beginning of
// the one of size records, RFC 6962 section 2.1.2. It has no hashes if old is 0
// or size. It trusts the tiles; CheckConsistency does not.
func Consistency(ctx context.Context, tiles Tiles, old, size int64) ([]Hash, error) {
	if err := checkOld(old, size); err != nil {
		return nil, err
	}
	if old == 0 {
		return nil, nil
	}
	return tlog.ProveTree(size, old, reader(ctx, tiles))
}

// CheckInclusion returns nil only if the proof shows that the leaf has this
// index in the tree with this size and root.
func CheckInclusion(proof []Hash, index, size int64, leaf, root Hash) error {
	if err := checkIndex(index, size); err != nil {
		return err
	}
	if err := tlog.CheckRecord(proof, size, root, index, leaf); err != nil {
		return fmt.Errorf("ledger: this is not record %d of the log with %d records and root %s: the proof of inclusion does not hold", index, size, root)
	}
	return nil
}

// CheckConsistency returns nil only if the proof shows that the tree with size
// old and root oldRoot is the beginning of the one with size and root.
func CheckConsistency(proof []Hash, old, size int64, oldRoot, root Hash) error {
	if err := checkOld(old, size); err != nil {
		return err
	}
	holds := len(proof) == 0 && oldRoot == emptyRoot() && (size > 0 || root == oldRoot)
	if old > 0 {
		holds = tlog.CheckTree(proof, size, root, old, oldRoot) == nil
	}
	if !holds {
		return fmt.Errorf("ledger: the log with %d records and root %s does not continue the one with %d and root %s: the proof of consistency does not hold", size, root, old, oldRoot)
	}
	return nil
}

// reader finds the nodes that a proof needs in the tiles that hold them. It
// reads each tile once and must not outlive the call that made it.
func reader(ctx context.Context, tiles Tiles) tlog.HashReader {
	seen := map[tlog.Tile][]byte{}
	return tlog.HashReaderFunc(func(indexes []int64) ([]Hash, error) {
		hashes := make([]Hash, len(indexes))
		for i, index := range indexes {
			t := tlog.TileForIndex(tileHeight, index)
			key := tlog.Tile{L: t.L, N: t.N}
			data, ok := seen[key]
			if !ok {
				var err error
				if data, err = tiles.Tile(ctx, t.L, t.N); err != nil {
					return nil, fmt.Errorf("ledger: read %s: %w", Path(t.L, t.N, TileWidth), err)
				}
				seen[key] = data
			}
			hash, err := tlog.HashFromTile(t, data, index)
			if err != nil {
				return nil, fmt.Errorf("ledger: %s is not whole: %d hashes are needed, %d are stored", Path(t.L, t.N, TileWidth), t.W, len(data)/tlog.HashSize)
			}
			hashes[i] = hash
		}
		return hashes, nil
	})
}

func checkIndex(index, size int64) error {
	if err := checkSize(size); err != nil {
		return err
	}
	if index < 0 || index >= size {
		return fmt.Errorf("ledger: record %d is not in a log of %d records", index, size)
	}
	return nil
}

func checkOld(old, size int64) error {
	if err := checkSize(size); err != nil {
		return err
	}
	if old < 0 || old > size {
		return fmt.Errorf("ledger: a log of %d records has no beginning of %d", size, old)
	}
	return nil
}
