package ledger_test

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/writhq/writ/ledger"
)

// TestReferenceExample holds the example of the reference page against the code.
func TestReferenceExample(t *testing.T) {
	page, err := os.ReadFile("../docs/reference/ledger.md")
	if err != nil {
		t.Fatal(err)
	}
	j := newJournal(t, 0)
	j.commit(t, []byte("first"), []byte("second"))
	j.commit(t, []byte("third"))
	consistency, err := ledger.Consistency(t.Context(), j, 2, 3)
	if err != nil || len(consistency) != 1 {
		t.Fatal(consistency, err)
	}
	var bundle []byte
	for _, record := range j.records {
		if bundle, err = ledger.AppendEntry(bundle, record); err != nil {
			t.Fatal(err)
		}
	}
	tile := hex.EncodeToString(j.tiles[place{0, 0}])
	for name, text := range map[string]string{
		"verifier key":          j.signer.VerifierKey(),
		"bundle":                hex.EncodeToString(bundle),
		"leaf hashes":           tile[:64] + "\n" + tile[64:128] + "\n" + tile[128:],
		"checkpoint":            j.notes[2],
		"proof":                 mustProve(t, j, 1).String(),
		"proof of consistency":  consistency[0].String(),
		"root of the first two": mustRoot(t, j, 2).String(),
	} {
		if !strings.Contains(string(page), "\n"+strings.TrimSuffix(text, "\n")+"\n") && !strings.Contains(string(page), "`"+text+"`") {
			t.Errorf("%s is not on the page:\n%s", name, text)
		}
	}
}
