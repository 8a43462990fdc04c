package audit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"

	"github.com/writhq/writ"
	"github.com/writhq/writ/evidence"
)

// Commit returns what an auditor puts on record of a nonce before the end of a
// period: SHA-256 of its bytes. A nonce that could be guessed is refused.
func Commit(nonce string) (writ.Digest, error) {
	if len(nonce) < 16 {
		return "", writ.Errorf(writ.Invalid, "a nonce of %d bytes could be guessed; take at least 16 that nobody knows", len(nonce))
	}
	sum := sha256.Sum256([]byte(nonce))
	return writ.Digest("sha256:" + hex.EncodeToString(sum[:])), nil
}

// CommitmentOf returns where a hash was committed, by the events of the ledger's
// own stream; the zero Commitment if it was not.
func CommitmentOf(hash writ.Digest, stream []evidence.Entry) Commitment {
	for _, e := range stream {
		if b, ok := e.Event.Body.(writ.AuditCommitted); ok && b.Hash == hash {
			return Commitment{b.Hash, e.Pos, e.Event.At, e.Event.Actor}
		}
	}
	return Commitment{}
}

// Committed returns the commitment of a nonce in a population's ledger. A nonce
// that was not committed before the period's end is refused: whoever chose it
// later could have chosen the sample.
func (p Population) Committed(nonce string) (Commitment, error) {
	hash, err := Commit(nonce)
	if err != nil {
		return Commitment{}, err
	}
	i := slices.IndexFunc(p.Commitments, func(c Commitment) bool { return c.Hash == hash })
	if i < 0 {
		return Commitment{}, writ.Errorf(writ.Conflict, "this nonce (%s) was not committed before record %d; commit a nonce with 'writ audit commit', and let the period end after that", hash.Words(), p.Period.To.Size)
	}
	return p.Commitments[i], nil
}

// Draw returns n requests of a population in the order in which they are drawn.
// The numbers are the first 8 bytes, big-endian, of HMAC-SHA-256(key, i) for i =
// 0, 1, 2, … as 8 bytes big-endian, where key is SHA-256(root || nonce) with the
// 32 bytes of the root at the period's end. A draw from the m requests that are
// left takes the next number below the largest multiple of m that 8 bytes hold,
// modulo m; the request drawn changes places with the first of those left.
func (p Population) Draw(nonce string, n int64) ([]Item, error) {
	if _, err := p.Committed(nonce); err != nil {
		return nil, err
	}
	key := sha256.Sum256(append(p.Period.To.Root[:], nonce...))
	numbers := stream{key: key[:]}
	left := slices.Clone(p.Requests)
	n = min(n, int64(len(left)))
	for k := range n {
		j := k + int64(numbers.below(uint64(int64(len(left))-k)))
		left[k], left[j] = left[j], left[k]
	}
	return left[:n], nil
}

// A stream of numbers that a key determines.
type stream struct {
	key  []byte
	next uint64
}

// below returns a number below m, each as likely as any other.
func (s *stream) below(m uint64) uint64 {
	for {
		mac := hmac.New(sha256.New, s.key)
		_ = binary.Write(mac, binary.BigEndian, s.next) // a hash takes everything
		s.next++
		x := binary.BigEndian.Uint64(mac.Sum(nil))
		if rest := -m % m; x <= ^uint64(0)-rest { // rest is 2^64 mod m
			return x % m
		}
	}
}
