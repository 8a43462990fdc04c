package ledger_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/transparency-dev/formats/log"
	"golang.org/x/mod/sumdb/note"

	"github.com/writhq/writ/ledger"
)

// TestIndependentClientOpensCheckpoints has transparency-dev/formats read what
// is signed.
func TestIndependentClientOpensCheckpoints(t *testing.T) {
	j := newJournal(t, 700)
	verifier, err := note.NewVerifier(j.signer.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	for i, ours := range j.checkpoints(t) {
		theirs, extra, _, err := log.ParseCheckpoint([]byte(j.notes[i]), origin, verifier)
		if err != nil || len(extra) > 0 {
			t.Fatalf("checkpoint %d: %v, extra %q", i, err, extra)
		}
		if theirs.Size != uint64(ours.Size) || !bytes.Equal(theirs.Hash, ours.Root[:]) || ours.Origin != origin {
			t.Errorf("checkpoint %d: %+v and %+v", i, theirs, ours)
		}
	}
}

// TestCheckpointBytes pins the note of a known key, size and root. Public key
// and signature of the seed 01…01 were computed with OpenSSL.
func TestCheckpointBytes(t *testing.T) {
	s := newSigner(t, origin, 1)
	const vkey = "log.example.com/writ+ed7240ff+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c"
	if s.VerifierKey() != vkey {
		t.Errorf("verifier key is %s", s.VerifierKey())
	}
	first, err := s.Sign(2, ledger.LeafHash(nil))
	if err != nil {
		t.Fatal(err)
	}
	again, err := newSigner(t, origin, 1).Sign(2, ledger.LeafHash(nil))
	if err != nil || again != first {
		t.Errorf("signing again gives %q, %v", again, err)
	}
	want := "log.example.com/writ\n2\nbjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=\n\n— log.example.com/writ 7XJA//JuWgq38rnVT6Iae4RvL5fccvZXklYlbo0SNGl2x/z0RzcJ+oloVvLpquuRZ/eVhjGr5u5VC9JsBhPW3IdrCAw=\n"
	if first != want {
		t.Errorf("checkpoint is %q, want %q", first, want)
	}
}

func TestSignerRefusals(t *testing.T) {
	seed := make([]byte, 32)
	for _, bad := range []string{"", "a b", "a\n", "a+b", "a\u00a0b", "a\x01", "a\u0085", "a\xff"} {
		if _, err := ledger.NewSigner(bad, seed); err == nil || !strings.Contains(err.Error(), "cannot name a log") {
			t.Errorf("origin %q: %v", bad, err)
		}
	}
	for _, n := range []int{0, 31, 33, 64} {
		if _, err := ledger.NewSigner(origin, make([]byte, n)); err == nil || !strings.Contains(err.Error(), fmt.Sprint("this one has ", n)) {
			t.Errorf("seed of %d bytes: %v", n, err)
		}
	}
	s := newSigner(t, origin, 1)
	for _, size := range []int64{-1, 0, ledger.MaxSize + 1} {
		if note, err := s.Sign(size, ledger.LeafHash(nil)); err == nil {
			t.Errorf("size %d was signed: %q", size, note)
		}
	}
}

func TestSignerDoesNotPrintItsKey(t *testing.T) {
	seed := bytes.Repeat([]byte{77}, 32)
	s, err := ledger.NewSigner(origin, seed)
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	printed := fmt.Sprintf("%v %+v %#v %v %s", s, *s, s, *s, asJSON)
	for _, secret := range []string{"77 77 77", "4d4d4d", "0x4d, 0x4d", "MMM", base64.StdEncoding.EncodeToString(seed)[:20]} {
		if strings.Contains(printed, secret) {
			t.Fatalf("the seed shows in %s", printed)
		}
	}
}

func TestCheckpointsThatAreRefused(t *testing.T) {
	s, other := newSigner(t, origin, 1), newSigner(t, origin, 2)
	elsewhere := newSigner(t, "log.example.com/other", 1)
	root := ledger.LeafHash(nil)
	good := mustSign(t, s, 5, root)
	mine := sign(t, origin, 1)
	text, signature, _ := strings.Cut(good, "\n\n")
	b64 := root.String()
	for _, test := range []struct{ name, note, want string }{
		{"another key", mustSign(t, other, 5, root), `not signed with key "log.example.com/writ" (id ed7240ff); it is signed with "log.example.com/writ" (id `},
		{"another log", mustSign(t, elsewhere, 5, root), `is of log "log.example.com/other", not of "log.example.com/writ"`},
		{"another log, signed with this key", mine("log.example.com/other\n5\n" + b64 + "\n"), `is of log "log.example.com/other", not of "log.example.com/writ"`},
		{"size changed", strings.Replace(good, "\n5\n", "\n6\n", 1), "is not valid: it was changed after signing"},
		{"root changed", strings.Replace(good, b64, ledger.LeafHash([]byte{1}).String(), 1), "is not valid"},
		{"signature of another text", strings.Replace(mustSign(t, s, 6, root), "\n6\n", "\n5\n", 1), "is not valid"},
		{"extension line", mine(text + "\nextra\n"), `has extension lines, which this log never writes: "extra\n"`},
		{"junk after", good + "junk\n", "only signature lines after it"},
		{"junk before", "junk\n" + good, "is not valid"},
		{"no newline at the end", strings.TrimSuffix(good, "\n"), "only signature lines after it"},
		{"no signature", text + "\n\n", "only signature lines after it"},
		{"signature cut", text + "\n\n" + signature[:60] + "\n", "only signature lines after it"},
		{"windows newlines", strings.ReplaceAll(good, "\n", "\r\n"), "only signature lines after it"},
		{"empty", "", "only signature lines after it"},
		{"leading zero", mine(origin + "\n05\n" + b64 + "\n"), "not in the one form"},
		{"plus sign", mine(origin + "\n+5\n" + b64 + "\n"), "size invalid"},
		{"negative", mine(origin + "\n-5\n" + b64 + "\n"), "size invalid"},
		{"endless", mine(origin + "\n9223372036854775807\n" + b64 + "\n"), "no log has size 9223372036854775807"},
		{"short root", mine(origin + "\n5\nAAAA\n"), "no log has size 5 and the root 000000"},
		{"root of nothing", mine(origin + "\n0\n" + b64 + "\n"), "no log has size 0"},
		{"sloppy base64", mine(origin + "\n5\n" + strings.Replace(b64, "B0=", "B1=", 1) + "\n"), "not in the one form"},
		{"two lines", mine(origin + "\n5\n"), "too few newlines"},
		{"empty line inside", mine(origin + "\n5\n" + b64 + "\n\nmore\n"), "extension lines"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := ledger.OpenCheckpoint(test.note, s.VerifierKey())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want an error with %q", err, test.want)
			}
			if c != (ledger.Checkpoint{}) {
				t.Fatalf("a refused checkpoint still says %+v", c)
			}
		})
	}
	if _, err := ledger.OpenCheckpoint(good, "junk"); err == nil || !strings.Contains(err.Error(), `verifier key "junk"`) {
		t.Errorf("verifier key that is none: %v", err)
	}
}

// TestWitnessedCheckpointOpens has another party sign the same text.
func TestWitnessedCheckpointOpens(t *testing.T) {
	s := newSigner(t, origin, 1)
	signed := mustSign(t, s, 5, ledger.LeafHash(nil))
	text, _, _ := strings.Cut(signed, "\n\n")
	_, witness, _ := strings.Cut(sign(t, "witness.example.com", 9)(text+"\n"), "\n\n")
	c, err := ledger.OpenCheckpoint(signed+witness, s.VerifierKey())
	if err != nil || c.Size != 5 {
		t.Fatalf("with a witness: %+v, %v", c, err)
	}
}

func mustSign(t testing.TB, s *ledger.Signer, size int64, root ledger.Hash) string {
	t.Helper()
	signed, err := s.Sign(size, root)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// sign returns a function that signs any text, as a signer gone wrong would.
func sign(t testing.TB, name string, seed byte) func(text string) string {
	vkey := newSigner(t, name, seed).VerifierKey()
	id := strings.Split(vkey, "+")[1]
	key := base64.StdEncoding.EncodeToString(append([]byte{1}, bytes.Repeat([]byte{seed}, 32)...))
	signer, err := note.NewSigner("PRIVATE+KEY+" + name + "+" + id + "+" + key)
	if err != nil {
		t.Fatal(err)
	}
	return func(text string) string {
		signed, err := note.Sign(&note.Note{Text: text}, signer)
		if err != nil {
			t.Fatal(err)
		}
		return string(signed)
	}
}

// FuzzOpenCheckpoint opens the text as it is, where only what was signed may
// pass, and with a good signature, where only what Sign would sign may.
func FuzzOpenCheckpoint(f *testing.F) {
	s, mine := newSigner(f, origin, 1), sign(f, origin, 1)
	root := ledger.LeafHash(nil)
	good := mustSign(f, s, 5, root)
	f.Add(good)
	f.Add(origin + "\n5\n" + root.String() + "\n")
	f.Add(origin + "\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n")
	f.Add(origin + "\n5\n" + root.String() + "\nextension\n")
	f.Fuzz(func(t *testing.T, text string) {
		body, _, _ := strings.Cut(good, "\n\n")
		if c, err := ledger.OpenCheckpoint(text, s.VerifierKey()); err == nil && !strings.HasPrefix(text, body+"\n\n") {
			t.Fatalf("%q opened as %+v", text, c)
		}
		if !strings.HasSuffix(text, "\n") {
			return
		}
		c, err := ledger.OpenCheckpoint(mine(text), s.VerifierKey())
		if err == nil && mustSign(t, s, c.Size, c.Root) != mine(text) {
			t.Fatalf("%q opened as %+v", text, c)
		}
	})
}
