package ledger

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// InclusionTogether returns one proof that all these records are in the tree of
// the first size records. The indexes ascend. A tree is its left part, of the
// largest power of two records below its size, and the rest; the proof has, from
// left to right, the root of each largest part without any of the records. For
// one record it has the hashes of Inclusion in the order of the tree. It trusts
// the tiles; CheckTogether does not.
func InclusionTogether(ctx context.Context, tiles Tiles, indexes []int64, size int64) ([]Hash, error) {
	if err := checkIndexes(indexes, size); err != nil {
		return nil, err
	}
	var proof []Hash
	read := reader(ctx, tiles)
	_, err := climb(0, size, indexes, func(from, to int64, inside []int64) (Hash, error) {
		if len(inside) > 0 {
			return Hash{}, nil // of the record itself, which is not part of the proof
		}
		h, err := rootOf(read, from, to)
		proof = append(proof, h)
		return h, err
	})
	return proof, err
}

// CheckTogether returns nil only if the proof shows that these leaves have these
// ascending indexes in the tree with this size and root.
func CheckTogether(proof []Hash, indexes []int64, leaves []Hash, size int64, root Hash) error {
	if err := checkIndexes(indexes, size); err != nil {
		return err
	}
	if len(leaves) != len(indexes) {
		return fmt.Errorf("ledger: %d leaves cannot have %d indexes", len(leaves), len(indexes))
	}
	used, seen := 0, 0
	got, err := climb(0, size, indexes, func(_, _ int64, inside []int64) (Hash, error) {
		from, at := proof, &used
		if len(inside) > 0 {
			from, at = leaves, &seen
		}
		if *at == len(from) {
			return Hash{}, errors.New("ledger: the proof of inclusion has too few hashes")
		}
		*at++
		return from[*at-1], nil
	})
	switch {
	case err != nil:
		return err
	case used != len(proof):
		return fmt.Errorf("ledger: the proof of inclusion has %d hashes too many", len(proof)-used)
	case got != root:
		return fmt.Errorf("ledger: these are not records %d to %d of the log with %d records and root %s: the proof of inclusion does not hold", indexes[0], indexes[len(indexes)-1], size, root)
	}
	return nil
}

// climb returns the root of the records from … to-1. It asks known, from left to
// right, for each record that is wanted and each largest part without any.
func climb(from, to int64, wanted []int64, known func(from, to int64, inside []int64) (Hash, error)) (Hash, error) {
	if len(wanted) == 0 || to-from == 1 {
		return known(from, to, wanted)
	}
	middle := split(from, to)
	i, _ := slices.BinarySearch(wanted, middle)
	left, err := climb(from, middle, wanted[:i], known)
	if err != nil {
		return Hash{}, err
	}
	right, err := climb(middle, to, wanted[i:], known)
	return tlog.NodeHash(left, right), err
}

// rootOf reads the root of a part that climb names.
func rootOf(read tlog.HashReader, from, to int64) (Hash, error) {
	if n := to - from; n&(n-1) == 0 {
		level := bits.TrailingZeros64(uint64(n))
		hashes, err := read.ReadHashes([]int64{tlog.StoredHashIndex(level, from>>level)})
		if err != nil {
			return Hash{}, err
		}
		return hashes[0], nil
	}
	middle := split(from, to)
	left, err := rootOf(read, from, middle)
	if err != nil {
		return Hash{}, err
	}
	right, err := rootOf(read, middle, to)
	return tlog.NodeHash(left, right), err
}

// split returns where the rest of a part begins, RFC 6962 section 2.1.
func split(from, to int64) int64 { return from + 1<<(bits.Len64(uint64(to-from-1))-1) }

func checkIndexes(indexes []int64, size int64) error {
	if len(indexes) == 0 {
		return errors.New("ledger: a proof of inclusion is of one record at least")
	}
	for i, index := range indexes {
		if err := checkIndex(index, size); err != nil {
			return err
		}
		if i > 0 && index <= indexes[i-1] {
			return fmt.Errorf("ledger: record %d stands after record %d; indexes ascend", index, indexes[i-1])
		}
	}
	return nil
}
