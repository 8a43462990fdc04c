package witness

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/writhq/writ/ledger"
)

// A history is a log under test: it can be asked for any of its beginnings.
type history struct {
	testing.TB
	signer *ledger.Signer
	edge   ledger.Edge
	tiles  map[string][]byte
	roots  []ledger.Hash // by size
}

func newHistory(t testing.TB, origin string, records ...string) *history {
	t.Helper()
	signer, err := ledger.NewSigner(origin, []byte(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	h := &history{TB: t, signer: signer, tiles: map[string][]byte{}, roots: []ledger.Hash{ledger.Edge{}.Root()}}
	h.add(records...)
	return h
}

func (h *history) add(records ...string) *history {
	h.Helper()
	for _, r := range records {
		next, tiles, err := h.edge.Append([][]byte{[]byte(r)})
		if err != nil {
			h.Fatal(err)
		}
		for _, t := range tiles {
			h.tiles[fmt.Sprint(t.Level, " ", t.N)] = t.Hashes
		}
		h.edge, h.roots = next, append(h.roots, next.Root())
	}
	return h
}

func (h *history) Tile(_ context.Context, level int, n int64) ([]byte, error) {
	return h.tiles[fmt.Sprint(level, " ", n)], nil
}

// at returns the checkpoint of a size.
func (h *history) at(size int64) string {
	h.Helper()
	note, err := h.signer.Sign(size, h.roots[size])
	if err != nil {
		h.Fatal(err)
	}
	return note
}

// ask returns the request for one size after another.
func (h *history) ask(old, size int64) Request {
	h.Helper()
	proof, err := ledger.Consistency(h.Context(), h, old, size)
	if err != nil {
		h.Fatal(err)
	}
	return Request{Old: old, Proof: proof, Checkpoint: h.at(size)}
}

func numbered(prefix string, n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprint(prefix, i))
	}
	return out
}

// memory is a State that forgets when the test ends.
type memory struct {
	sync.Mutex
	notes map[string]string
	fail  error
}

func (m *memory) Latest(_ context.Context, origin string) (string, error) {
	m.Lock()
	defer m.Unlock()
	return m.notes[origin], nil
}

func (m *memory) Swap(_ context.Context, origin, was, note string) error {
	m.Lock()
	defer m.Unlock()
	if m.fail != nil {
		return m.fail
	}
	if m.notes[origin] != was {
		return Moved
	}
	m.notes[origin] = note
	return nil
}

// newWitness returns a witness of these logs, its state and its verifier keys.
func newWitness(t testing.TB, name string, logs ...string) (*Witness, *memory, []string) {
	t.Helper()
	secret, public, err := NewKey(name)
	if err != nil {
		t.Fatal(err)
	}
	signers, err := NewSigners(secret)
	if err != nil {
		t.Fatal(err)
	}
	m := &memory{notes: map[string]string{}}
	w, err := New(m, signers, logs)
	if err != nil {
		t.Fatal(err)
	}
	return w, m, public
}
