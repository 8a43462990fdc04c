package evidence_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/evidence"
	"github.com/writhq/writ/evidence/evidencetest"
	"github.com/writhq/writ/ledger"
)

func build(t testing.TB, c *evidencetest.Company, id writ.ID, texts ...evidence.Text) evidence.File {
	t.Helper()
	f, err := evidence.Build(t.Context(), c, id, c.Keys(), texts)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestWholeLifeIsProved takes the evidence of a life among others through a file.
func TestWholeLifeIsProved(t *testing.T) {
	c := evidencetest.New(t)
	for i := range 40 {
		c.Life(writ.ID(fmt.Sprintf("req-%d", i)))
	}
	f := build(t, c, "req-7", c.Texts["req-7"])
	var file bytes.Buffer
	if _, err := f.WriteTo(&file); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes, %d records, %d hashes", file.Len(), len(f.Records), len(f.Proof))
	back, err := evidence.Read(&file)
	if err != nil {
		t.Fatal(err)
	}
	report, err := evidence.Verify(back, c.Keys())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"human/sue approved in stage security at 2026-03-02T10:", "with ssh key " + c.SueKey.Name, "human/max approved in stage manager",
		"it is closed", "read it as absent", "read it as present", "the writ is signed", `the text "why"`,
	} {
		if !strings.Contains(strings.Join(report.Proved, "\n"), want) {
			t.Errorf("not proved: %s\n%s", want, report)
		}
	}
	for _, want := range []string{
		"approval of human/max in stage manager is theirs", "human/sue understood", "everything was logged", "no witness has signed", "what the connector read",
	} {
		if !strings.Contains(strings.Join(report.Unproved, "\n"), want) {
			t.Errorf("not said to be unproved: %s\n%s", want, report)
		}
	}
}

// TestEveryStatusHasEvidence stops a life at each point of it.
func TestEveryStatusHasEvidence(t *testing.T) {
	c := evidencetest.New(t)
	id := writ.ID("req-1")
	r := c.Ask(id, "release 42 of the order service")
	check := func(status writ.Status) {
		t.Helper()
		if f := build(t, c, id); f.Status != status {
			t.Errorf("the evidence is of a %s request, not %s", f.Status, status)
		}
	}
	check(writ.StatusPending)
	c.Do(id, "human/max", writ.Approve{Digest: r.Digest})
	check(writ.StatusPending)
	c.Do(id, "human/sam", writ.Approve{Digest: r.Digest})
	check(writ.StatusAuthorized)
	c.Grant(id)
	check(writ.StatusActive)
	c.End(id)
	check(writ.StatusClosed)

	id = "req-2"
	c.Ask(id, "no")
	check(writ.StatusDenied)
	if f := build(t, c, id, c.Texts[id]); f.Status != writ.StatusDenied {
		t.Errorf("with its text it is %s", f.Status)
	}
	id = "req-3"
	r = c.Ask(id, "release 43 of the order service")
	c.Do(id, "human/max", writ.Deny{Digest: r.Digest})
	check(writ.StatusDenied)
}

// TestDocumentsOfThen: what changes later changes no evidence, and what changed
// between two decisions is seen by the second.
func TestDocumentsOfThen(t *testing.T) {
	c := evidencetest.New(t)
	c.Ask("req-1", "release 42 of the order service")
	c.Put(writ.Policy{Header: writ.Header{Kind: "policy", Name: "default"}, Source: strings.Replace(evidencetest.Policy, "72h", "71h", 1)})
	c.Approve("req-1")
	c.Grant("req-1")
	c.End("req-1")
	before := build(t, c, "req-1")
	group := c.Document("group", "security").(writ.Group)
	group.Members = []writ.Ref{"human/sam"}
	c.Put(group)
	after := build(t, c, "req-1")
	if len(before.Records) != len(after.Records) {
		t.Errorf("a later change added to the evidence: %d records, then %d", len(before.Records), len(after.Records))
	}
}

// TestRoadsThatApproversTake: they narrow, ask for one more, and have somebody
// decide in their place.
func TestRoadsThatApproversTake(t *testing.T) {
	c := evidencetest.New(t)
	const id = writ.ID("req-1")
	c.Away("human/max", "human/pat")
	r := c.Ask(id, "release 42 of the order service")
	c.Do(id, "human/pat", writ.Approve{Digest: r.Digest})
	r = c.Do(id, "human/sue", writ.Narrow{Digest: r.Digest, For: writ.Of(10 * time.Minute), Ends: []string{"incident/INC-7"}})
	r = c.Do(id, "human/sue", writ.Require{Digest: r.Digest, Approver: "human/sam"})
	c.Do(id, "human/sue", writ.Approve{Digest: r.Digest, Evidence: c.Signed(id)})
	c.Do(id, "human/sam", writ.Approve{Digest: r.Digest})
	c.Grant(id)
	c.End(id)
	report, err := evidence.Verify(build(t, c, id), c.Keys())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"in the place of human/max", "human/sue narrowed the terms", "one more approval: human/sam", "human/sam approved in stage extra-1"} {
		if !strings.Contains(report.String(), want) {
			t.Errorf("not said: %s\n%s", want, report)
		}
	}
}

// TestWhatElseTheSubjectHad: other requests are not in the file, and it says so
// where policy looked at them. Without such a policy there is no such excuse.
func TestWhatElseTheSubjectHad(t *testing.T) {
	c := evidencetest.New(t)
	c.Put(writ.Policy{Header: writ.Header{Kind: "policy", Name: "single"}, Source: `kind: policy
name: single
guardrails:
  - name: one-at-a-time
    when: size(live) > 0
    deny: there is access already
`})
	c.Ask("req-1", "release 42 of the order service")
	c.Ask("req-2", "release 43 of the order service")
	const excuse = "it looks at what else service/ci had"
	for id, unproved := range map[writ.ID]bool{"req-1": false, "req-2": true} {
		report, err := evidence.Verify(build(t, c, id), c.Keys())
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(strings.Join(report.Unproved, "\n"), excuse); got != unproved {
			t.Errorf("%s is excused %t, want %t: %v", id, got, unproved, report.Unproved)
		}
	}
}

// TestWitnessesBeforeTheGrant: that policy waited for them is not on record.
func TestWitnessesBeforeTheGrant(t *testing.T) {
	c := evidencetest.New(t)
	c.Put(writ.Policy{Header: writ.Header{Kind: "policy", Name: "default"}, Source: strings.Replace(evidencetest.Policy, "    decideIn: 72h", "    decideIn: 72h\n    witnessed: true", 1)})
	const id = writ.ID("req-1")
	c.Ask(id, "release 42 of the order service")
	r := c.Approve(id)
	c.Do(id, writ.System.Name, writ.BeginGrant{Writ: c.Sign(r), Witnessed: true})
	report, err := evidence.Verify(build(t, c, id), c.Keys())
	if err != nil {
		t.Fatal(err)
	}
	if want := "that witnesses had cosigned the approvals"; !strings.Contains(strings.Join(report.Unproved, "\n"), want) {
		t.Errorf("not said to be unproved: %s\n%s", want, report)
	}
}

// tampering is one way to change a file, and what the refusal has to name.
type tampering struct {
	name string
	do   func(*evidence.File)
	want string
}

// record changes the first record that has a text in it.
func record(f *evidence.File, has, was, is string) {
	for i, r := range f.Records {
		if strings.Contains(r.Record, has) {
			if changed := strings.Replace(r.Record, was, is, 1); changed != r.Record {
				f.Records[i].Record = changed
				return
			}
		}
	}
	panic("no record has " + has + " and " + was)
}

// drop leaves out the records that have a text in them.
func drop(f *evidence.File, has string) {
	f.Records = slices.DeleteFunc(f.Records, func(r evidence.Record) bool { return strings.Contains(r.Record, has) })
}

// TestTamperedFileIsRefused changes each part of a file: whoever has no key of
// the ledger can change nothing.
func TestTamperedFileIsRefused(t *testing.T) {
	c := evidencetest.New(t)
	c.Life("req-0")
	c.Life("req-1")
	whole := build(t, c, "req-1", c.Texts["req-1"])
	other := build(t, c, "req-0", c.Texts["req-0"])
	for _, d := range []tampering{
		{"format", func(f *evidence.File) { f.Format = "writ-evidence/v2" }, "format"},
		{"request", func(f *evidence.File) { f.Request = "req-0" }, "which has no part in req-0"},
		{"status", func(f *evidence.File) { f.Status = writ.StatusActive }, "its events make it closed"},
		{"checkpoint root", func(f *evidence.File) { f.Checkpoint = strings.Replace(f.Checkpoint, "\n", "\n1", 1) }, "checkpoint: "},
		{"older checkpoint", func(f *evidence.File) { f.Checkpoint = c.Notes[4] }, "records: "},
		{"no checkpoint", func(f *evidence.File) { f.Checkpoint = "" }, "checkpoint: "},
		{"index", func(f *evidence.File) { f.Records[2].Index++; f.Records[3].Index++ }, "records: "},
		{"no records", func(f *evidence.File) { f.Records = nil }, "records: "},
		{"hash", func(f *evidence.File) { f.Proof[0][0] ^= 1 }, "records: "},
		{"hash too few", func(f *evidence.File) { f.Proof = f.Proof[1:] }, "records: "},
		{"hash too many", func(f *evidence.File) { f.Proof = append(f.Proof, f.Proof[0]) }, "records: "},
		{"record left out", func(f *evidence.File) { drop(f, `"revoked"`) }, "records: "},
		{"record of another request", func(f *evidence.File) { f.Records = other.Records; f.Proof = other.Proof }, "has no part in req-1"},
		{"record twice", func(f *evidence.File) { f.Records = append(f.Records, f.Records[len(f.Records)-1]) }, "records: "},
		{"terms", func(f *evidence.File) { record(f, `"kind":"submitted"`, `"for":"1h"`, `"for":"9h"`) }, "records: "},
		{"approver", func(f *evidence.File) { record(f, `"kind":"approved"`, "human/max", "human/ann") }, "records: "},
		{"signature", func(f *evidence.File) { record(f, `"kind":"approved"`, `"nonce":"c2`, `"nonce":"d2`) }, "records: "},
		{"writ", func(f *evidence.File) { record(f, `"kind":"grant-begun"`, `"writ":"e`, `"writ":"f`) }, "records: "},
		{"receipt", func(f *evidence.File) { record(f, `"kind":"granted"`, "role_", "rule_") }, "records: "},
		{"end", func(f *evidence.File) { record(f, `"kind":"revoked"`, "absent", "unread") }, "records: "},
		{"policy", func(f *evidence.File) { record(f, "policy:default", "72h", "73h") }, "records: "},
		{"key", func(f *evidence.File) { record(f, "key:", "ssh-ed25519", "ssh-ed25518") }, "records: "},
		{"writ key", func(f *evidence.File) { record(f, "writKey", `"writKey":"`, `"writKey":"A`) }, "records: "},
		{"text", func(f *evidence.File) { f.Texts[0].Text += "!" }, `text "why"`},
		{"salt", func(f *evidence.File) { f.Texts[0].Salt = bytes.Repeat([]byte{8}, 16) }, `text "why"`},
		{"text's name", func(f *evidence.File) { f.Texts[0].Name = "deny" }, `text "deny"`},
		{"text of another name", func(f *evidence.File) { f.Texts[0].Name = "note" }, `text "note"`},
		{"text twice", func(f *evidence.File) { f.Texts = append(f.Texts, f.Texts[0]) }, `text "why"`},
		{"explanation", func(f *evidence.File) {
			f.Explanation = json.RawMessage(strings.Replace(string(f.Explanation), "production", "staging", 1))
		}, "explanation"},
		{"no explanation", func(f *evidence.File) { f.Explanation = json.RawMessage("{}") }, "explanation"},
	} {
		t.Run(d.name, func(t *testing.T) {
			f := copyOf(t, whole)
			d.do(&f)
			_, err := evidence.Verify(f, c.Keys())
			if err == nil || !strings.Contains(err.Error(), d.want) {
				t.Errorf("refused with %v, want %q", err, d.want)
			}
		})
	}
	keys := evidencetest.New(t).Keys()
	keys.Log = strings.Replace(keys.Log, "company", "another", 1)
	if _, err := evidence.Verify(whole, keys); err == nil {
		t.Error("the key of another log was taken")
	}
}

func copyOf(t testing.TB, f evidence.File) evidence.File {
	t.Helper()
	var file bytes.Buffer
	if _, err := f.WriteTo(&file); err != nil {
		t.Fatal(err)
	}
	back, err := evidence.Read(&file)
	if err != nil {
		t.Fatal(err)
	}
	return back
}

// TestEveryByteCounts flips bytes all over a file, one at a time: it is refused, as a
// whole or for what stands there.
func TestEveryByteCounts(t *testing.T) {
	c := evidencetest.New(t)
	c.Life("req-1")
	var file bytes.Buffer
	if _, err := build(t, c, "req-1", c.Texts["req-1"]).WriteTo(&file); err != nil {
		t.Fatal(err)
	}
	data := file.Bytes()
	for i := 0; i < len(data); i += 7 { // a seventh of the bytes hits every line, and takes a seventh of the time
		data[i] ^= 1
		f, err := evidence.Read(bytes.NewReader(data))
		if err == nil {
			_, err = evidence.Verify(f, c.Keys())
		}
		if !errors.Is(err, writ.Invalid) && !errors.Is(err, writ.Stale) {
			t.Errorf("byte %d (%q) can be flipped: %v", i, data[max(0, i-20):min(len(data), i+20)], err)
		}
		data[i] ^= 1
	}
}

// FuzzRead: whatever is read is written as it was.
func FuzzRead(f *testing.F) {
	var seed bytes.Buffer
	file := evidence.File{
		Format: evidence.Format, Request: "req-1", Status: writ.StatusClosed, Checkpoint: "log\n1\nx\n",
		Records: []evidence.Record{{Index: 3, Record: `{"v":1}`}}, Proof: []ledger.Hash{{1}},
		Texts: []evidence.Text{{Name: "why", Salt: []byte("salt"), Text: "<why>"}}, Explanation: json.RawMessage(`{"rules":[1e3]}`),
	}
	if _, err := file.WriteTo(&seed); err != nil {
		f.Fatal(err)
	}
	f.Add(seed.Bytes())
	f.Add([]byte(`{"format":"writ-evidence/v1","request":"","status":"","checkpoint":"","records":null,"proof":null,"explanation":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := evidence.Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if _, err := file.WriteTo(&again); err != nil {
			t.Fatal(err)
		}
		if back, err := evidence.Read(&again); err != nil || back.Request != file.Request {
			t.Error(back.Request, err)
		}
	})
}
