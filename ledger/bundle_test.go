package ledger_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/writhq/writ/ledger"
)

func TestEntryBundleBytes(t *testing.T) {
	var bundle []byte
	for _, record := range []string{"", "a", strings.Repeat("b", 258)} {
		var err error
		if bundle, err = ledger.AppendEntry(bundle, []byte(record)); err != nil {
			t.Fatal(err)
		}
	}
	want := "\x00\x00" + "\x00\x01a" + "\x01\x02" + strings.Repeat("b", 258)
	if string(bundle) != want {
		t.Fatalf("bundle is %q", bundle)
	}
	if _, err := ledger.AppendEntry(nil, make([]byte, ledger.MaxRecord+1)); err == nil {
		t.Fatal("a record that does not fit was taken")
	}
}

func TestBrokenBundlesAreRefused(t *testing.T) {
	for bundle, want := range map[string]string{
		"\x00":                               "ends inside a length",
		"\x00\x01a\x00":                      "ends inside a length",
		"\x00\x00\x00\x02a":                  "ends inside record 1: 2 bytes are announced, 1 are left",
		strings.Repeat("\x00\x01a", 257):     "more than 256 records",
		strings.Repeat("\x00\x00", 256) + "": "",
	} {
		records, err := ledger.ParseEntries([]byte(bundle))
		if want == "" && (err != nil || len(records) != 256) {
			t.Errorf("a full bundle: %d records, %v", len(records), err)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.20q: got %v, want an error with %q", bundle, err, want)
		}
	}
}

func FuzzParseEntries(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x01a"))
	f.Add([]byte("\xff\xff"))
	f.Fuzz(func(t *testing.T, bundle []byte) {
		records, err := ledger.ParseEntries(bundle)
		if err != nil {
			return
		}
		var again []byte
		for _, record := range records {
			if again, err = ledger.AppendEntry(again, record); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(again, bundle) {
			t.Fatalf("%q is %q when written", bundle, again)
		}
	})
}
