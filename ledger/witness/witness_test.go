package witness

import (
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/writhq/writ/ledger"
)

const origin = "log.example/one"

// TestEveryAnswerOfTheProtocol: each refusal of the specification, over HTTP, in
// the order in which it says what is looked at first.
func TestEveryAnswerOfTheProtocol(t *testing.T) {
	h := newHistory(t, origin, numbered("r", 20)...)
	fork := newHistory(t, origin, numbered("f", 20)...)
	other := newHistory(t, "log.example/two", "x")
	w, _, _ := newWitness(t, "witness.example", h.signer.VerifierKey())
	s := httptest.NewServer(w.Handler(slog.New(slog.DiscardHandler)))
	defer s.Close()

	body := func(r Request, edit ...string) string { return strings.NewReplacer(edit...).Replace(r.String()) }
	forged := h.at(8)
	mark := strings.LastIndex(forged, " ") + 1
	sig, err := base64.StdEncoding.DecodeString(strings.TrimSpace(forged[mark:]))
	if err != nil {
		t.Fatal(err)
	}
	sig[20] ^= 1
	forged = forged[:mark] + base64.StdEncoding.EncodeToString(sig) + "\n"
	first := h.ask(0, 7)
	first.Proof = h.ask(3, 7).Proof
	noEmpty := strings.Replace(h.at(0), h.roots[0].String(), h.roots[1].String(), 1)
	for _, c := range []struct {
		name, body   string
		status       int
		answer, kind string
	}{
		{"nothing cosigned yet, another size", body(h.ask(3, 7)), 409, "0\n", "text/x.tlog.size"},
		{"a proof where none is due", first.String(), 422, "", ""},
		{"the first", body(h.ask(0, 7)), 200, "— witness.example ", ""},
		{"the next", body(h.ask(7, 12)), 200, "— witness.example ", ""},
		{"the same again", body(h.ask(12, 12)), 200, "— witness.example ", ""},
		{"an old size that is not the last", body(h.ask(7, 15)), 409, "12\n", "text/x.tlog.size"},
		{"nothing known of the last", body(h.ask(0, 15)), 409, "12\n", "text/x.tlog.size"},
		{"going back", body(h.ask(7, 8)), 409, "12\n", "text/x.tlog.size"},
		{"a fork of the same size", body(fork.ask(12, 12)), 422, "", ""},
		{"a fork that is longer", body(fork.ask(12, 19)), 422, "", ""},
		{"no proof", body(Request{Old: 12, Checkpoint: h.at(15)}), 422, "", ""},
		{"too much proof", strings.Replace(body(h.ask(12, 15)), "\n\n", "\n"+h.roots[3].String()+"\n\n", 1), 422, "", ""},
		{"a log that is not known", body(other.ask(0, 1)), 404, "", ""},
		{"the log's name with a stranger's key", body(other.ask(0, 1), "log.example/two\n1", origin+"\n1"), 403, "", ""},
		{"a forged signature", Request{Old: 12, Checkpoint: forged}.String(), 403, "", ""},
		{"an old size beyond the checkpoint", Request{Old: 16, Checkpoint: h.at(15)}.String(), 400, "", ""},
		{"a changed empty root is not signed", Request{Checkpoint: noEmpty}.String(), 403, "", ""},
		{"a size with a leading zero", body(h.ask(12, 15), "old 12", "old 012"), 400, "", ""},
		{"a negative size", body(h.ask(12, 15), "old 12", "old -1"), 400, "", ""},
		{"no size", "\n" + h.at(15), 400, "", ""},
		{"no blank line", "old 12\n" + strings.Replace(h.at(15), "\n\n", "\n", 1), 400, "", ""},
		{"a hash that is none", body(h.ask(12, 15), "old 12\n", "old 12\nAAAA\n"), 400, "", ""},
		{"a root that is none", body(h.ask(12, 15), h.roots[15].String(), "AAAA"), 400, "", ""},
		{"64 hashes", Request{Old: 12, Proof: make([]ledger.Hash, 64), Checkpoint: h.at(15)}.String(), 400, "", ""},
		{"nothing", "", 400, "", ""},
		{"far too much", strings.Repeat("x", maxRequest+1), 400, "", ""},
		{"and after all that the next", body(h.ask(12, 20)), 200, "— witness.example ", ""},
	} {
		res, err := http.Post(s.URL+"/add-checkpoint", "text/plain", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != c.status || !strings.HasPrefix(string(answer), c.answer) || c.kind != "" && res.Header.Get("Content-Type") != c.kind {
			t.Errorf("%s: %d %s %q, want %d %q", c.name, res.StatusCode, res.Header.Get("Content-Type"), answer, c.status, c.answer)
		}
	}
}

// TestCosignedCheckpointIsServed: with the signature of the log and both of the
// witness, at the path that the origin's hash names.
func TestCosignedCheckpointIsServed(t *testing.T) {
	h := newHistory(t, origin, "a", "b", "c")
	w, _, public := newWitness(t, "witness.example", h.signer.VerifierKey())
	s := httptest.NewServer(w.Handler(slog.New(slog.DiscardHandler)))
	defer s.Close()
	get := func() (int, string) {
		res, err := http.Get(s.URL + "/" + Path(origin))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		answer, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(answer)
	}
	if status, _ := get(); status != 404 {
		t.Fatalf("before the first: %d", status)
	}
	r := h.ask(0, 3)
	r.Checkpoint += "— stranger.example AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n" // nobody vouches for it
	lines, err := w.Add(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	status, got := get()
	if status != 200 || got != h.at(3)+lines {
		t.Fatalf("%d %q, want %q", status, got, h.at(3)+lines)
	}
	for _, key := range public { // each of its two keys alone is enough
		p, err := NewPolicy(1, Known{Name: "w", Key: key})
		if err != nil {
			t.Fatal(err)
		}
		c, err := p.Open(got, h.signer.VerifierKey())
		if err != nil || c.Size != 3 || c.By["w"].IsZero() {
			t.Errorf("%.40s: %v %v", key, c, err)
		}
	}
}

// TestSomebodyElsesCheckpoint: extension lines and other kinds of log keys are
// part of the standard, though our log has neither.
func TestSomebodyElsesCheckpoint(t *testing.T) {
	secret, public, err := NewKey(origin)
	if err != nil {
		t.Fatal(err)
	}
	signers, err := NewSigners(secret)
	if err != nil {
		t.Fatal(err)
	}
	h := newHistory(t, origin, "a")
	text, _, _ := strings.Cut(h.at(1), "\n\n")
	signed, err := note.Sign(&note.Note{Text: text + "\nan extension\n"}, signers[1])
	if err != nil {
		t.Fatal(err)
	}
	empty, err := note.Sign(&note.Note{Text: origin + "\n0\n" + h.roots[1].String() + "\n"}, signers[1])
	if err != nil {
		t.Fatal(err)
	}
	w, _, _ := newWitness(t, "witness.example", public[1])
	if _, err := w.Add(t.Context(), Request{Checkpoint: string(empty)}); !errors.Is(err, Refusal{Status: 422, Why: "an empty log does not have the root " + h.roots[1].String()}) {
		t.Fatal(err)
	}
	if _, err := w.Add(t.Context(), Request{Checkpoint: string(signed)}); err != nil {
		t.Fatal(err)
	}
}

// TestNothingIsToldThatIsNotKept: an answer that could not be remembered is none.
func TestNothingIsToldThatIsNotKept(t *testing.T) {
	h := newHistory(t, origin, numbered("r", 9)...)
	w, m, _ := newWitness(t, "witness.example", h.signer.VerifierKey())
	m.fail = errors.New("the disk is full")
	if lines, err := w.Add(t.Context(), h.ask(0, 5)); err == nil || lines != "" {
		t.Fatalf("%q %v", lines, err)
	}
	m.fail = nil
	if _, err := w.Add(t.Context(), h.ask(0, 5)); err != nil {
		t.Fatal(err)
	}
	m.notes[origin] = "torn"
	if _, err := w.Add(t.Context(), h.ask(0, 9)); err == nil {
		t.Fatal("a witness that cannot read its memory began anew")
	}
}

// TestRaceForTheNextCheckpoint: of many who continue the same checkpoint one
// comes first, over however many processes; the others are told.
func TestRaceForTheNextCheckpoint(t *testing.T) {
	h := newHistory(t, origin, numbered("r", 40)...)
	a, m, _ := newWitness(t, "witness.example", h.signer.VerifierKey())
	b, err := New(m, a.signers, []string{h.signer.VerifierKey()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Add(t.Context(), h.ask(0, 10)); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var won []int64
	for size := int64(11); size <= 40; size++ {
		w, r := []*Witness{a, b}[size%2], h.ask(10, size)
		wg.Go(func() {
			_, err := w.Add(t.Context(), r)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won = append(won, size)
			} else if refusal, ok := errors.AsType[Refusal](err); !errors.Is(err, Moved) && (!ok || refusal.Status != 409) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("cosigned %v, all of which continue 10", won)
	}
	if last, err := kept(m.notes[origin]); err != nil || last.Size != won[0] {
		t.Fatalf("kept %v, cosigned %d: %v", last, won[0], err)
	}
}

// FuzzParseRequest: what is read is written the same.
func FuzzParseRequest(f *testing.F) {
	h := newHistory(f, origin, numbered("r", 9)...)
	f.Add(h.ask(5, 9).String())
	f.Add("old 0\n\n")
	f.Fuzz(func(t *testing.T, body string) {
		r, err := ParseRequest(body)
		if err == nil && r.String() != body {
			t.Fatalf("%q was read as %q", body, r.String())
		}
	})
}
