//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/writhq/writ/ledger"
	"github.com/writhq/writ/ledger/witness"
)

// A history is one way in which a log could go on.
type history struct {
	signer *ledger.Signer
	tiles  map[string][]byte
	roots  []ledger.Hash // by size
}

func newHistory(t *testing.T, signer *ledger.Signer, same, n int, what string) *history {
	t.Helper()
	h := &history{signer, map[string][]byte{}, []ledger.Hash{ledger.Edge{}.Root()}}
	var edge ledger.Edge
	for i := range n {
		record := fmt.Sprint("record ", i)
		if i >= same {
			record += what
		}
		next, tiles, err := edge.Append([][]byte{[]byte(record)})
		if err != nil {
			t.Fatal(err)
		}
		for _, tile := range tiles {
			h.tiles[fmt.Sprint(tile.Level, " ", tile.N)] = tile.Hashes
		}
		edge, h.roots = next, append(h.roots, next.Root())
	}
	return h
}

func (h *history) Tile(_ context.Context, level int, n int64) ([]byte, error) {
	return h.tiles[fmt.Sprint(level, " ", n)], nil
}

// ask asks a witness to go from one size to another.
func (h *history) ask(ctx context.Context, url string, old, size int64) (status int, body string) {
	proof, err := ledger.Consistency(ctx, h, old, size)
	if err != nil {
		return 0, err.Error()
	}
	note, err := h.signer.Sign(size, h.roots[size])
	if err != nil {
		return 0, err.Error()
	}
	r := witness.Request{Old: old, Proof: proof, Checkpoint: note}
	res, err := http.Post(url+"/add-checkpoint", "text/plain", strings.NewReader(r.String()))
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(answer)
}

// told is what a witness has said yes to.
type told struct {
	sync.Mutex
	size    int64                 // the largest
	roots   map[int64]ledger.Hash // by size
	refused map[int]int           // by status
	wrong   []string
}

// press makes a log go on, as fast as it can, until the witness dies.
func (w *told) press(ctx context.Context, url string, h *history) {
	old := int64(0)
	for ctx.Err() == nil && old < int64(len(h.roots)-1) {
		w.Lock()
		before := w.size
		w.Unlock()
		size := min(old+1+rand.Int64N(3), int64(len(h.roots)-1))
		status, body := h.ask(ctx, url, old, size)
		w.Lock()
		w.refused[status]++
		switch {
		case status == http.StatusOK:
			if root, ok := w.roots[size]; size < before || ok && root != h.roots[size] {
				w.wrong = append(w.wrong, fmt.Sprintf("size %d was cosigned after %d, or with two roots", size, before))
			}
			w.size, w.roots[size], old = max(w.size, size), h.roots[size], size
		case status == http.StatusConflict:
			now, err := strconv.ParseInt(strings.TrimSpace(body), 10, 64)
			if old = now; err != nil || now < before {
				w.wrong = append(w.wrong, fmt.Sprintf("it remembers %d (%v), and has cosigned %d", now, err, before))
			}
		}
		w.Unlock()
		if status == 0 || status == http.StatusUnprocessableEntity {
			time.Sleep(time.Millisecond)
		}
	}
}

// TestWitnessIsKilled kills the real program again and again while two histories
// of one log compete for it: it never takes back what it said, and never says
// yes to both.
func TestWitnessIsKilled(t *testing.T) {
	signer, err := ledger.NewSigner("log.example/crash", bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	const same, most = 5, 3000
	one, other := newHistory(t, signer, same, most, " one"), newHistory(t, signer, same, most, " other")
	dir := t.TempDir()
	w := &told{roots: map[int64]ledger.Hash{}, refused: map[int]int{}}
	for i := range 12 {
		cmd, url := startWitness(t, dir, signer.VerifierKey())
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { w.press(ctx, url, one) })
		wg.Go(func() { w.press(ctx, url, other) })
		time.Sleep(time.Duration(rand.IntN(120)) * time.Millisecond)
		if i == 0 {
			time.Sleep(200 * time.Millisecond) // it says yes at least once before it dies
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // it was killed
		cancel()
		wg.Wait()
	}
	both := map[bool]bool{}
	for size, root := range w.roots {
		if size > same {
			both[root == one.roots[size]] = true
		}
	}
	t.Logf("cosigned %d sizes, the last is %d; answers by status: %v", len(w.roots), w.size, w.refused)
	if len(w.wrong) > 0 || len(both) != 1 || w.refused[http.StatusUnprocessableEntity] == 0 {
		t.Errorf("%v; histories that were cosigned: %v", w.wrong, both)
	}
}

// startWitness starts the program on a directory and waits until it serves.
func startWitness(t *testing.T, dir, logKey string) (*exec.Cmd, string) {
	t.Helper()
	path, err := exec.LookPath("writ") // of the test itself: testscript put it there
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "witness.err"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(path, "witness", "--data", dir, "--listen", "127.0.0.1:0", "--log", logKey)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		data, err := os.ReadFile(log.Name())
		if url := regexp.MustCompile(`http://\S+\n`).Find(data); err == nil && url != nil {
			return cmd, strings.TrimSpace(string(url))
		}
	}
	t.Fatal("the witness does not serve")
	return nil, ""
}
