package writ

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// samples is one body of every kind with every field filled in.
var samples = func() map[Kind]Body {
	when := time.Date(2026, 11, 2, 9, 0, 0, 123456000, time.UTC)
	party := Party{"human/ann", "ide-01"}
	digest := Digest("sha256:" + strings.Repeat("ab", 32))
	note := Commitment("sha256:" + strings.Repeat("cd", 32))
	seen := Observation{
		External: "writ_req_01", Request: "req-01", State: Absent, Until: when, LastUsed: when, Residual: when,
		Detail: map[string]string{"role": "deploy"}, Differs: []string{"role is <admin> & more"},
	}
	receipt := Receipt{External: "writ_req_01", Fingerprint: "SHA256:x", Detail: map[string]string{"role": "deploy"}}
	reasons := []Reason{{Rule: "freeze", Deny: true, Text: "the calendar is frozen"}}
	terms := Terms{
		V: 1, Request: "req-01", Revision: 1, Requester: party, Subject: Party{"service/ci", "ide-02"},
		Entitlement: Definition{
			Name: "db/deploy", UID: "ent-01", Target: "db", TargetUID: "tar-01", Connector: "postgres", Environment: "production",
			Credential: "password", Grant: []byte(`{"where":"a<b&&c>d"}`), Config: digest,
			Covers: map[string]Covers{"schema": {"app": {"app-read"}}},
		},
		Scope: map[string]string{"schema": "app"}, For: 24 * hour, StartAt: when.Truncate(time.Second), StartBy: when.Truncate(time.Second),
		Ends: []string{"incident/INC-7"}, Ticket: "CHG-1", Why: note, Recipient: "age1x", PublicKey: "ssh-ed25519 x",
		Policy: digest, Route: "production",
	}
	verdict := Verdict{
		Policy: digest, Allowed: true, Route: "production", Reasons: reasons, MaxFor: 24 * hour, Ends: []string{"incident/INC-7"},
		Stages: []Stage{{
			Name: "manager", Quorum: 1, Owner: true, Approvers: []Approver{{party, "manager of human/dee"}},
			Proof: ByPasskey, KeyAge: 24 * hour, Repeat: true, Remind: 4 * hour,
			Hours:    []Hours{{"Europe/Berlin", []time.Weekday{time.Monday}, "08:00", "18:00"}},
			Escalate: &Escalation{8 * hour, []Approver{{party, "group security"}}},
		}},
		DecideIn: 48 * hour, StartWithin: 72 * hour, Witnessed: true,
	}
	evidence := &Evidence{ByPasskey, []byte("0123456789abcdef"), "key-1", "key-01", []byte(`{"signature":"x"}`)}
	out := map[Kind]Body{}
	for _, b := range []Body{
		Opened{"writ.example", "writ.example+1+x", "a2V5"},
		AuditCommitted{digest},
		Changed{"group", "security", "gro-01", digest, []byte(`{"kind":"group","members":["human/ann"],"name":"security","title":"<&>"}`)},
		Removed{"group", "security", "gro-01"},
		Submitted{terms, verdict, when},
		Approved{"manager", digest, "p-ann", party, evidence},
		Narrowed{terms},
		Required{verdict.Stages[0]},
		Reminded{"manager"},
		Escalated{"manager", []Approver{{party, "group security"}}},
		Denied{note, "the calendar is frozen"},
		Withdrawn{}, Lapsed{},
		Authorized{when, when.Add(time.Hour), "writ-req-01"},
		GrantBegun{Attempt: 1, Writ: "eyJ.x.y"},
		Granted{Attempt: 1, Receipt: receipt, Seen: seen},
		GrantFailed{1, "the target is down"},
		Claimed{party, when},
		Rechecked{digest, reasons},
		Ended{IncidentResolved, "incident/INC-7", note},
		RevokeBegun{2, "req-02"},
		Revoked{Attempt: 2, Seen: seen, KeptBy: "req-02"},
		RevokeFailed{2, "the target is down"},
		Strayed{"access was seen after its end", seen},
	} {
		out[b.Kind()] = b
	}
	return out
}()

// grown has what was added to a kind after it was frozen, in a file of its own.
var grown = func() map[Kind]Body {
	revoked := samples["revoked"].(Revoked)
	granted := samples["granted"].(Granted)
	revoked.Instance, revoked.Signed, granted.Signed = "cluster 7123", "eyJ.x.y", "eyJ.x.y"
	return map[Kind]Body{"grant-begun": GrantBegun{1, "eyJ.x.y", "cluster 7123"}, "granted": granted, "revoked": revoked}
}()

func sample(b Body) Event {
	return Event{"req-01", 7, time.Date(2026, 11, 2, 9, 0, 0, 123456000, time.UTC), Party{"human/ann", "ide-01"}, b}
}

// TestRecordsAreFrozen holds every kind of event to the bytes that ledgers keep.
// A file that differs is a ledger that cannot be read or proven any more: add
// what is new as a field that is omitted when empty. With -update the file of a
// new kind is written; one that exists is never changed.
func TestRecordsAreFrozen(t *testing.T) {
	kinds := append(slices.Collect(maps.Keys(life)), slices.Collect(maps.Keys(others))...)
	for _, kind := range kinds {
		b, ok := samples[kind]
		if !ok {
			t.Errorf("%s has no sample here", kind)
			continue
		}
		frozen(t, string(kind), b)
		if g, ok := grown[kind]; ok {
			frozen(t, string(kind)+"-grown", g)
			b = g
		}
		if path := empty(reflect.ValueOf(b), string(kind)); path != "" {
			t.Errorf("the sample leaves out %s", path)
		}
	}
	files, err := filepath.Glob("testdata/records/*.json")
	if err != nil || len(files) != len(kinds)+len(grown) {
		t.Errorf("%d frozen files for %d kinds: a kind is gone, and ledgers have events of it", len(files), len(kinds))
	}
}

func frozen(t *testing.T, name string, b Body) {
	t.Helper()
	got, err := Encode(sample(b))
	if err != nil {
		t.Fatal(err)
	}
	file := fmt.Sprintf("testdata/records/%s.json", name)
	want, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && *update {
		err, want = os.WriteFile(file, got, 0o644), got
	}
	if err != nil {
		t.Fatalf("%v; with -update a new kind is frozen", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is written in other bytes:\n%s\nwere\n%s", name, got, want)
	}
	back, err := Decode(want)
	if diff := cmp.Diff(sample(b), back); err != nil || diff != "" {
		t.Errorf("%s is read as something else: %v\n%s", name, err, diff)
	}
}

// empty returns the path of a field that is not filled in.
func empty(v reflect.Value, path string) string {
	if _, isTime := v.Interface().(time.Time); v.NumMethod() > 0 && isTime {
		if v.IsZero() {
			return path
		}
		return ""
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if p := empty(v.Field(i), path+"."+v.Type().Field(i).Name); p != "" {
				return p
			}
		}
	case reflect.Slice:
		if v.Len() == 0 {
			return path
		}
		return empty(v.Index(0), path+"[0]")
	default:
		if v.IsZero() || v.Kind() == reflect.Map && v.Len() == 0 {
			return path
		}
	}
	return ""
}

// TestContentStaysCanonical: the digest of a document can be taken from the
// bytes in the ledger.
func TestContentStaysCanonical(t *testing.T) {
	doc := Group{Header: Header{Kind: "group", Name: "g"}, Title: "<&> \u2028"}
	content, digest, err := body(doc)
	if err != nil {
		t.Fatal(err)
	}
	data, err := Encode(sample(Changed{"group", "g", "gro-01", digest, content}))
	if err != nil {
		t.Fatal(err)
	}
	back, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if got := sum(append([]byte("writ/document/v1\n"), back.Body.(Changed).Content...)); got != digest {
		t.Errorf("read back, its digest is %s, was %s", got, digest)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for data, says := range map[string]string{
		``:                          "unexpected end",
		`{}`:                        "has version 0; this program reads version 1",
		`{"v":2,"stream":"req-01"}`: "record of req-01 has version 2; this program reads version 1",
		`{"v":1,"kind":"promoted"}`: `unknown kind "promoted"`,
		`{"v":1,"kind":"approved"}`: "unexpected end",
		`{"v":1} {"v":1}`:           "invalid character",
		`{"v":1,"kind":"approved","seq":3,"stream":"req-01","body":{"stage":7}}`: "record 3 of req-01: json: cannot unmarshal number",
		`{"v":1,"at":"yesterday"}`: "parsing time",
	} {
		if e, err := Decode([]byte(data)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, %v", data, e, err)
		}
	}
}

// FuzzDecode reads anything. What is read can be written, and is then always
// written in the same bytes; and history is not up for debate: what can be
// applied is, without harm.
func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/records/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal("no records", err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := Decode(data)
		if err != nil {
			return
		}
		first, err := Encode(e)
		if err != nil {
			t.Fatalf("read, but not written: %v", err)
		}
		again, err := Decode(first)
		if err != nil {
			t.Fatalf("written, but not read: %v\n%s", err, first)
		}
		if second, err := Encode(again); err != nil || !bytes.Equal(first, second) {
			t.Fatalf("written in other bytes: %v\n%s\n%s", err, first, second)
		}
		for _, status := range append(statuses, "") {
			r, err := Request{ID: ID(e.Stream), Seq: e.Seq - 1, Status: status}.Apply(e)
			if _, errJSON := json.Marshal(r); err == nil && errJSON != nil {
				t.Fatalf("applied, but not stored: %v", errJSON)
			}
			r.Todo()
			r.Waiting()
		}
		if _, err := NewDirectory().With(e); err != nil && e.Body.Kind() != "document-changed" {
			t.Fatalf("no document, and yet: %v", err)
		}
	})
}
