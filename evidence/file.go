package evidence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/writhq/writ"
	"github.com/writhq/writ/ledger"
)

// Format names what a file is, and the version of its form.
const Format = "writ-evidence/v1"

// A File is all that shows what became of one request.
// docs/reference/evidence.md describes it for other programs.
type File struct {
	Format      string          `json:"format"`
	Request     writ.ID         `json:"request"`
	Status      writ.Status     `json:"status"`     // after the last event here
	Checkpoint  string          `json:"checkpoint"` // signed note that all records are under
	Records     []Record        `json:"records"`    // ascending
	Proof       []ledger.Hash   `json:"proof"`      // of all records, as ledger.InclusionTogether makes it
	Texts       []Text          `json:"texts,omitempty"`
	Explanation json.RawMessage `json:"explanation"` // what policy.Explain says of the request as it was asked for
}

// A Record is one event of the ledger, in the exact bytes that are hashed.
type Record struct {
	Index  int64  `json:"index"`
	Record string `json:"record"`
}

// A Text is a free text that the ledger holds only the commitment of.
type Text struct {
	Name string `json:"name"` // why, deny or revoke
	Salt []byte `json:"salt"`
	Text string `json:"text"`
}

// maxFile bounds what is read: a thousand of the longest records.
const maxFile = 64 << 20

// Read reads a file. It takes only what WriteTo makes, but for white space, so
// that nothing can stand in a file that no check looks at, and two programs
// cannot read one file as two things. The error is writ.Invalid.
func Read(r io.Reader) (File, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return File{}, err
	}
	if len(data) > maxFile {
		return File{}, writ.Errorf(writ.Invalid, "the file has more than %d bytes; no request's evidence has", maxFile)
	}
	var head struct{ Format string }
	var f File
	if err := json.Unmarshal(data, &head); err != nil || head.Format != Format {
		return File{}, writ.Errorf(writ.Invalid, "this is no evidence that this program reads: its format is %q, not %q", head.Format, Format)
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return File{}, writ.Errorf(writ.Invalid, "the file is not of the form %s: %v", Format, err)
	}
	var again, given, own bytes.Buffer
	_, err = f.WriteTo(&again)
	if err = errors.Join(err, json.Compact(&given, data), json.Compact(&own, again.Bytes())); err != nil || !bytes.Equal(given.Bytes(), own.Bytes()) {
		return File{}, writ.Errorf(writ.Invalid, "the file is not in the one form of %s; something was added, or another program wrote it anew", Format)
	}
	return f, nil
}

// WriteTo writes the file as JSON: members in the order of File, indented with
// tabs, <, > and & as they are, one newline at the end.
func (f File) WriteTo(w io.Writer) (int64, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "\t")
	if err := enc.Encode(f); err != nil {
		return 0, fmt.Errorf("evidence of %s: %w", f.Request, err)
	}
	return out.WriteTo(w)
}

// indexes and leaves are what the proof is of.
func (f File) indexes() (indexes []int64) {
	for _, r := range f.Records {
		indexes = append(indexes, r.Index)
	}
	return indexes
}

func (f File) leaves() (leaves []ledger.Hash) {
	for _, r := range f.Records {
		leaves = append(leaves, ledger.LeafHash([]byte(r.Record)))
	}
	return leaves
}
