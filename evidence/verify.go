package evidence

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/ledger"
	"github.com/writhq/writ/ledger/witness"
	"github.com/writhq/writ/policy"
)

// Keys is what a file is held against. It must come from elsewhere than the file.
type Keys struct {
	Log       string          // C2SP verifier key of the ledger, as 'writ verify' prints it
	Witnesses *witness.Policy // who must have cosigned the checkpoint; nil: nobody
}

// Verify checks all of a file, offline. The error, a writ.Stale, says which part
// does not hold; a file that cannot be read at all is writ.Invalid. The report
// says what the file proves and what it does not.
func Verify(f File, k Keys) (Report, error) {
	at, err := f.included(k)
	if err != nil {
		return Report{}, err
	}
	events, err := f.decode()
	if err != nil {
		return Report{}, err
	}
	p, err := f.replay(events, k)
	if err != nil {
		return Report{}, err
	}
	if err := f.claims(p); err != nil {
		return Report{}, err
	}
	return report(f, p, at), nil
}

// included opens the checkpoint and holds every record against it.
func (f File) included(k Keys) (at witness.Cosigned, err error) {
	if f.Format != Format {
		return at, writ.Errorf(writ.Invalid, "format %q is not %s", f.Format, Format)
	}
	if k.Witnesses == nil {
		at.Checkpoint, err = ledger.OpenCheckpoint(f.Checkpoint, k.Log)
	} else {
		at, err = k.Witnesses.Open(f.Checkpoint, k.Log)
	}
	if err != nil {
		return at, refuse("checkpoint: %v", err)
	}
	if err := ledger.CheckTogether(f.Proof, f.indexes(), f.leaves(), at.Size, at.Root); err != nil {
		return at, refuse("records: %v", err)
	}
	return at, nil
}

// decode reads the records, and refuses one that has no part in the request.
func (f File) decode() ([]writ.Event, error) {
	var events []writ.Event
	for i, r := range f.Records {
		e, err := writ.Decode([]byte(r.Record))
		if err != nil {
			return nil, refuse("record %d: %v", r.Index, err)
		}
		if i > 0 && e.At.Before(events[i-1].At) {
			return nil, refuse("record %d is of %s, before the record that stands before it", r.Index, e.At.Format(time.RFC3339))
		}
		if r.Index > 0 && e.Stream != string(f.Request) && !e.OfDocument() {
			return nil, refuse("record %d is of %s, which has no part in %s", r.Index, e.Stream, f.Request)
		}
		events = append(events, e)
	}
	return events, nil
}

// replay lives the request's life again.
func (f File) replay(events []writ.Event, k Keys) (*replay, error) {
	opened, ok := events[0].Body.(writ.Opened)
	switch {
	case f.Records[0].Index != 0 || !ok:
		return nil, refuse("the file lacks record 0, which says which keys sign for the ledger")
	case opened.LogKey != k.Log:
		return nil, refuse("record 0 says that the ledger is signed with %s, not with %s", opened.LogKey, k.Log)
	}
	public, err := WritKey(opened)
	if err != nil {
		return nil, err
	}
	p := &replay{id: f.Request, why: f.text("why"), judge: policy.NewJudge(), public: public, dir: writ.NewDirectory(), keys: map[int]writ.Key{}}
	versions := map[string]int{}
	for i, e := range events[1:] {
		step := p.step
		if e.OfDocument() {
			step = p.document
			if e.Seq <= versions[e.Stream] {
				return nil, refuse("record %d is version %d of %s, after version %d", f.Records[i+1].Index, e.Seq, e.Stream, versions[e.Stream])
			}
			versions[e.Stream] = e.Seq
		}
		if err := step(e); err != nil {
			return nil, refuse("record %d: %v", f.Records[i+1].Index, err)
		}
	}
	return p, nil
}

func (f File) text(name string) *string {
	for _, t := range f.Texts {
		if t.Name == name {
			return &t.Text
		}
	}
	return nil
}

// claims holds what else the file says against the life as it was.
func (f File) claims(p *replay) error {
	r := p.request
	if r.Seq == 0 {
		return refuse("the file has no event of %s", f.Request)
	}
	if len(p.more) > 0 {
		return refuse("the file ends before %s, which was decided together with its last event", p.more[0].Body.Kind())
	}
	if r.Status != f.Status {
		return refuse("the file says that %s is %s; its events make it %s", f.Request, f.Status, r.Status)
	}
	for i, t := range f.Texts {
		c, err := writ.Commit(t.Salt, t.Text)
		if err != nil || c == "" || !slices.Contains(commitments(r)[t.Name], c) || i > 0 && f.Texts[i-1].Name >= t.Name {
			return refuse("text %q is not the one that the ledger has the commitment of", t.Name)
		}
	}
	trace, err := trace(p.explanation)
	if err != nil {
		return err
	}
	var given bytes.Buffer
	if err := json.Compact(&given, f.Explanation); err != nil || !bytes.Equal(given.Bytes(), trace) {
		return refuse("the explanation is not what policy, asked again, gives")
	}
	return nil
}

// commitments are those of a request's free texts, by name.
func commitments(r writ.Request) map[string][]writ.Commitment {
	out := map[string][]writ.Commitment{"why": {r.Terms.Why}, "deny": {r.Note}, "revoke": {r.Note}}
	if r.End != nil {
		out["revoke"] = append(out["revoke"], r.End.Note)
	}
	return out
}

// trace writes an explanation in the one form it has in a file.
func trace(e policy.Explanation) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(e)
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), err
}

// refuse says what does not hold.
func refuse(format string, args ...any) error {
	return writ.Errorf(writ.Stale, "%s", sentence(format, args...))
}

func sentence(format string, args ...any) string { return fmt.Sprintf(format, args...) }

func join(names []string, none string) string {
	if len(names) == 0 {
		return none
	}
	return strings.Join(names, ", ")
}
