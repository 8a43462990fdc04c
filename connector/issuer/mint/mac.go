package mint

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"sync"
)

// A MAC recognises a key or token without storing it.
type MAC = [sha256.Size]byte

// A Digest is that of the terms a key or token was issued on.
type Digest = [sha256.Size]byte

// MAC returns the HMAC-SHA-256, under the pepper, of a key or token and of the
// terms it was issued on. Who can write to the database but does not have the
// pepper can therefore neither make a key nor widen one.
func (m *Mint) MAC(text string, terms Digest) MAC { return m.macs.sum(text, terms) }

// macs pools keyed states, because keying one costs as much as using it.
type macs struct{ pool sync.Pool }

type macState struct {
	hash hash.Hash
	text []byte
	sum  MAC
}

func newMACs(pepper []byte) *macs {
	return &macs{sync.Pool{New: func() any { return &macState{hash: hmac.New(sha256.New, pepper)} }}}
}

func (m *macs) sum(text string, terms Digest) MAC {
	s := m.pool.Get().(*macState)
	s.text = append(append(s.text[:0], terms[:]...), text...)
	s.hash.Reset()
	s.hash.Write(s.text)
	s.hash.Sum(s.sum[:0])
	sum := s.sum
	clear(s.text) // no secret waits in the pool
	m.pool.Put(s)
	return sum
}
