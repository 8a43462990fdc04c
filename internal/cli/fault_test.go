package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writhq/writ"
	"github.com/writhq/writ/client"
	"github.com/writhq/writ/internal/term"
)

// session returns one whose output is kept.
func session(t *testing.T, server string) (s *Session, out, errs *bytes.Buffer) {
	t.Helper()
	t.Setenv("WRIT_SERVER", server)
	t.Setenv("WRIT_TOKEN", "token")
	out, errs = &bytes.Buffer{}, &bytes.Buffer{}
	screen := func(w io.Writer) *term.Screen { return &term.Screen{W: w, Width: 80, Now: time.Now} }
	return &Session{In: os.Stdin, Out: screen(out), Err: screen(errs), parsed: true, tape: tape{next: http.DefaultTransport}}, out, errs
}

// TestExitCodes: one for each kind of fault, also when it is wrapped.
func TestExitCodes(t *testing.T) {
	for _, test := range []struct {
		err  error
		code int
	}{
		{nil, 0},
		{errors.New("disk full"), 1},
		{writ.Errorf(writ.Invalid, "x"), 2},
		{fmt.Errorf("a: %w", writ.Errorf(writ.Unauthenticated, "x")), 3},
		{writ.Forbidden, 4},
		{&client.Refusal{Status: 404}, 5},
		{errors.Join(errors.New("y"), writ.Conflict), 6},
		{&client.Refusal{Status: 428}, 7},
		{&client.Refusal{Status: 429}, 8},
		{&client.Refusal{Status: 500}, 1},
		{Late, 9},
		{Interrupted, 130},
		{context.Canceled, 130},
		{Exit(77), 77},
	} {
		s, _, errs := session(t, "http://127.0.0.1:9")
		if got := s.Fail(test.err); got != test.code {
			t.Errorf("%v: exit code %d, want %d", test.err, got, test.code)
		}
		if silent := test.code == 0 || test.code == 77; silent != (errs.Len() == 0) {
			t.Errorf("%v: printed %q", test.err, errs)
		}
	}
	s, _, _ := session(t, "")
	if s.parsed = false; s.Fail(errors.New("unknown flag: --x")) != 2 {
		t.Error("what cobra refuses is not a usage error")
	}
}

// TestErrorsSayWhatToDo in a second line: what they say themselves, or what
// their kind says.
func TestErrorsSayWhatToDo(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{writ.Errorf(writ.NotFound, "there is no x; see 'writ list'"), "writ: there is no x\nhint: see 'writ list'\n"},
		{writ.Errorf(writ.Conflict, "req-1 is closed"), "writ: req-1 is closed\nhint: 'writ show' says where it stands\n"},
		{&client.Refusal{Status: 403, Detail: "policy refuses req-1: no ticket; no reason", Request: "req-1"},
			"writ: policy refuses req-1: no ticket; no reason\nhint: the request is on record; 'writ show req-1' says more\n"},
		{writ.Errorf(writ.Invalid, "x.yaml:2:3: wrong\n   2 | a: b\n     |   ^"), "writ: x.yaml:2:3: wrong\n   2 | a: b\n     |   ^\n"},
		{writ.Errorf(writ.Forbidden, "no\x1b[2J\nand \u202eno"), "writ: no\\x1b[2J\nand \\u202eno\n"},
	} {
		s, out, errs := session(t, "")
		s.Fail(test.err)
		if d := cmp.Diff(test.want, errs.String()); d != "" || out.Len() > 0 {
			t.Errorf("%v\n%s", d, out)
		}
	}
}

// TestProblemsForPrograms are the server's own, with whatever is in them, or
// made here.
func TestProblemsForPrograms(t *testing.T) {
	const own = `{"type":"urn:writ:problem:conflict","status":409,"detail":"not now","more":[1]}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusConflict)
		io.WriteString(w, own+"\n")
	}))
	defer server.Close()
	s, _, errs := session(t, server.URL)
	s.output = "json"
	c, err := s.Client()
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Whoami(t.Context())
	if code := s.Fail(err); code != 6 || errs.String() != own+"\n" {
		t.Errorf("exit code %d: %s", code, errs)
	}
	errs.Reset()
	s.Fail(writ.Errorf(writ.NotFound, "no \"x\""))
	var p map[string]string
	if err := json.Unmarshal(errs.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"type": "urn:writ:problem:not-found", "title": "not found", "detail": `no "x"`}
	if d := cmp.Diff(want, p); d != "" {
		t.Error(d)
	}
}

// TestAnswersAreNotRewritten: a program gets what the server sent, also what
// this version does not know.
func TestAnswersAreNotRewritten(t *testing.T) {
	const answer = `{"uid":"ide-1", "name":"human/ann","new":{"z":1,"a":"<&>"},"n":1.50}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer token" {
			w.WriteHeader(http.StatusUnauthorized)
		}
		io.WriteString(w, answer)
	}))
	defer server.Close()
	s, out, _ := session(t, server.URL+"/")
	s.output = "json"
	c, err := s.Client()
	if err != nil {
		t.Fatal(err)
	}
	who, err := c.Whoami(t.Context())
	if err != nil || who.Name != "human/ann" {
		t.Fatal(who, err)
	}
	if err := s.Answer(func() error { return errors.New("words for a program") }); err != nil || out.String() != answer+"\n" {
		t.Errorf("%s, %v", out, err)
	}
}

// TestEveryEndIsAFault: whoever waited for access and did not get it is told so
// by the exit code.
func TestEveryEndIsAFault(t *testing.T) {
	for cause, want := range map[writ.Cause]int{
		writ.Expired: 9, writ.LateStart: 9, writ.Released: 6, writ.CutOff: 4, writ.IncidentResolved: 6, writ.TicketClosed: 6,
		writ.ConditionMet: 6, writ.OwnerLeft: 4, writ.IdentityRetired: 4, writ.PolicyTightened: 4, writ.DefinitionChanged: 7,
		writ.GrantRefused: 6, "some-later-cause": 4,
	} {
		for _, status := range []writ.Status{writ.StatusRevoking, writ.StatusClosed} {
			d := client.Dossier{Request: writ.Request{ID: "req-1", Status: status, End: &writ.Ended{Cause: cause, Detail: "because"}}}
			err := Outcome(d)
			if code, _, _ := faultOf(err); !Settled(d.Request) || err == nil || code != want {
				t.Errorf("%s, %s: exit code %d, want %d: %v", status, cause, code, want, err)
			}
		}
	}
	for status, want := range map[writ.Status]int{writ.StatusDenied: 4, writ.StatusWithdrawn: 6, writ.StatusLapsed: 9} {
		d := client.Dossier{Request: writ.Request{ID: "req-1", Status: status, Problem: "no"}}
		if code, _, _ := faultOf(Outcome(d)); !Settled(d.Request) || code != want {
			t.Errorf("%s: exit code %d, want %d", status, code, want)
		}
	}
	for _, status := range []writ.Status{writ.StatusPending, writ.StatusAuthorized, writ.StatusGranting} {
		if Settled(writ.Request{Status: status}) {
			t.Errorf("%s is not the end of waiting", status)
		}
	}
	if d := (client.Dossier{Request: writ.Request{Status: writ.StatusActive}}); !Settled(d.Request) || Outcome(d) != nil {
		t.Error("active is what is waited for")
	}
}

// TestDigestIsOfWhatIsShown: the core's own digest, and of every leaf, also of
// one that this program does not know.
func TestDigestIsOfWhatIsShown(t *testing.T) {
	terms := writ.Terms{
		V: 1, Request: "req-1", Revision: 1, Requester: writ.Party{Name: "human/ann", UID: "ide-1"}, For: writ.Of(time.Hour),
		Entitlement: writ.Definition{Name: "a/b", Grant: json.RawMessage(`{"z": 1.0, "a": "<é>"}`)},
		Scope:       map[string]string{"service": "invoices"}, StartBy: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), Ends: []string{"incident/INC-7"},
	}
	data, err := json.Marshal(terms)
	if err != nil {
		t.Fatal(err)
	}
	want, err := terms.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := DigestOf(data); err != nil || got != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	more := json.RawMessage(strings.Replace(string(data), `"v":1`, `"v":1,"hidden":"field"`, 1))
	if got, err := DigestOf(more); err != nil || got == want {
		t.Errorf("a hidden field changes nothing: %s, %v", got, err)
	}
	for _, bad := range []string{``, `[`, `{"a":1,"a":2}`, `{"a":1} {}`} {
		if got, err := DigestOf(json.RawMessage(bad)); err == nil {
			t.Errorf("%s has the digest %s", bad, got)
		}
	}
	if got := Part(json.RawMessage(`{"a": 1, "terms": {"x" : 1.50}}`), "terms"); string(got) != `{"x" : 1.50}` {
		t.Errorf("got %s", got)
	}
}
