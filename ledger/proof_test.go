package ledger_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/transparency-dev/formats/proof"
	merkle "github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/writhq/writ/ledger"
)

func mustProve(t testing.TB, j *journal, index int64) ledger.Proof {
	t.Helper()
	note := j.notes[len(j.notes)-1]
	p, err := ledger.Prove(t.Context(), j, index, j.records[index], note, j.signer.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestProofTravelsAsText(t *testing.T) {
	j := newJournal(t, 777)
	for _, index := range []int64{0, 255, 256, 500, 776} {
		p := mustProve(t, j, index)
		read, err := ledger.ParseProof(p.String())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, read); diff != "" {
			t.Fatalf("proof of %d changed on the way:\n%s", index, diff)
		}
		c, err := read.Verify(j.records[index], j.signer.VerifierKey())
		if err != nil || c.Size != 777 || c.Root != j.edge.Root() {
			t.Fatalf("proof of %d: %+v, %v", index, c, err)
		}
	}
}

// TestIndependentClientAcceptsProofText reads the text with
// transparency-dev/formats and judges it with transparency-dev/merkle.
func TestIndependentClientAcceptsProofText(t *testing.T) {
	j := newJournal(t, 777)
	var p proof.TLogProof
	if err := p.Unmarshal([]byte(mustProve(t, j, 300).String())); err != nil {
		t.Fatal(err)
	}
	var path [][]byte
	for _, h := range p.Hashes {
		path = append(path, bytes.Clone(h[:]))
	}
	hasher, root := rfc6962.DefaultHasher, j.edge.Root()
	if err := merkle.VerifyInclusion(hasher, p.Index, 777, hasher.HashLeaf(j.records[300]), path, root[:]); err != nil {
		t.Fatal(err)
	}
	if string(p.Checkpoint) != j.notes[len(j.notes)-1] {
		t.Fatal("the checkpoint is not the one that was issued")
	}
}

func TestProofOfSingleRecord(t *testing.T) {
	j := newJournal(t, 1)
	p := mustProve(t, j, 0)
	if want := "c2sp.org/tlog-proof@v1\nindex 0\n\n" + j.notes[1]; p.String() != want {
		t.Fatalf("proof is %q, want %q", p, want)
	}
	read, err := ledger.ParseProof(p.String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := read.Verify(j.records[0], j.signer.VerifierKey()); err != nil {
		t.Fatal(err)
	}
}

func TestProofsThatDoNotHold(t *testing.T) {
	j := newJournal(t, 777)
	record, vkey := j.records[300], j.signer.VerifierKey()
	for _, test := range []struct {
		name   string
		change func(*ledger.Proof)
		record string
		vkey   string
		want   string
	}{
		{name: "another record", record: "record 301", want: "not record 300 of the log with 777 records"},
		{name: "another index", change: func(p *ledger.Proof) { p.Index = 301 }, want: "not record 301"},
		{name: "index beyond the log", change: func(p *ledger.Proof) { p.Index = 777 }, want: "record 777 is not in a log of 777 records"},
		{name: "a hash changed", change: func(p *ledger.Proof) { p.Hashes[3][0] ^= 1 }, want: "does not hold"},
		{name: "a hash less", change: func(p *ledger.Proof) { p.Hashes = p.Hashes[1:] }, want: "does not hold"},
		{name: "an older checkpoint", change: func(p *ledger.Proof) { p.Checkpoint = j.notes[5] }, want: "does not hold"},
		{name: "a checkpoint before the record", change: func(p *ledger.Proof) { p.Checkpoint = j.notes[2] }, want: "record 300 is not in a log of 200 records"},
		{name: "a checkpoint edited", change: func(p *ledger.Proof) { p.Checkpoint = strings.Replace(p.Checkpoint, "777", "778", 1) }, want: "changed after signing"},
		{name: "another key", vkey: newSigner(t, origin, 2).VerifierKey(), want: "is not signed with key"},
		{name: "another log", vkey: newSigner(t, "elsewhere", 1).VerifierKey(), want: `is of log "log.example.com/writ", not of "elsewhere"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, record, vkey := mustProve(t, j, 300), record, vkey
			if test.change != nil {
				test.change(&p)
			}
			if test.record != "" {
				record = []byte(test.record)
			}
			if test.vkey != "" {
				vkey = test.vkey
			}
			c, err := p.Verify(record, vkey)
			if err == nil || !strings.Contains(err.Error(), test.want) || c != (ledger.Checkpoint{}) {
				t.Fatalf("got %+v, %v; want an error with %q", c, err, test.want)
			}
		})
	}
}

// TestNoProofFromChangedTiles changes a stored hash under the record.
func TestNoProofFromChangedTiles(t *testing.T) {
	j := newJournal(t, 777)
	j.tiles[place{0, 1}][10] ^= 1
	note := j.notes[len(j.notes)-1]
	if p, err := ledger.Prove(t.Context(), j, 300, j.records[300], note, j.signer.VerifierKey()); err == nil {
		t.Fatalf("a proof that does not hold was given: %s", p)
	}
}

func TestProofTextsThatAreRefused(t *testing.T) {
	good := mustProve(t, newJournal(t, 777), 300).String()
	head := "c2sp.org/tlog-proof@v1\n"
	for name, text := range map[string]string{
		"empty":               "",
		"another version":     strings.Replace(good, "@v1", "@v2", 1),
		"no index":            strings.Replace(good, "index 300\n", "", 1),
		"negative index":      strings.Replace(good, "300", "-300", 1),
		"leading zero":        strings.Replace(good, "300", "0300", 1),
		"endless index":       strings.Replace(good, "300", "9223372036854775807", 1),
		"extra line":          strings.Replace(good, head, head+"extra AAAA\n", 1),
		"empty extra line":    strings.Replace(good, head, head+"extra \n", 1),
		"windows newlines":    strings.ReplaceAll(good, "\n", "\r\n"),
		"no newline at end":   strings.TrimSuffix(good, "\n"),
		"short hash":          strings.Replace(good, "300\n", "300\nAAAA\n", 1),
		"no blank line":       strings.Replace(good, "\n\n", "\n", 1),
		"blank line too many": strings.Replace(good, "\n\n", "\n\n\n\n", 1) + " ",
	} {
		if p, err := ledger.ParseProof(text); err == nil {
			t.Errorf("%s: read as %+v", name, p)
		} else if strings.Contains(name, "extra") != strings.Contains(err.Error(), "an extra line, which nothing signs") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseProof(f *testing.F) {
	good := mustProve(f, newJournal(f, 777), 300)
	f.Add(good.String())
	f.Add("c2sp.org/tlog-proof@v1\nindex 0\n\n")
	f.Add("c2sp.org/tlog-proof@v1\nextra AAAA\nindex 0\n\nx\n")
	vkey := newSigner(f, origin, 1).VerifierKey()
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ledger.ParseProof(text)
		if err != nil {
			return
		}
		if p.String() != text {
			t.Fatalf("%q is %q when written", text, p)
		}
		if _, err := p.Verify([]byte("record 300"), vkey); err == nil && text != good.String() {
			t.Fatalf("another proof of the same record is accepted: %q", text)
		}
	})
}
