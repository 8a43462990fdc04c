package term

import (
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"github.com/writhq/writ"
	"github.com/writhq/writ/client"
	"github.com/writhq/writ/policy"
)

var update = flag.Bool("update", false, "rewrite golden files")

// life returns a request at each point of its life, as long as names can be.
func life() (out []writ.Request) {
	max := writ.Approver{Party: writ.Party{Name: "human/max", UID: "ide-max"}, As: "manager of human/ann"}
	sue := writ.Approver{Party: writ.Party{Name: "human/sue", UID: "ide-sue"}, As: "group security"}
	eve := writ.Approver{Party: writ.Party{Name: "human/eve\u202e", UID: "ide-eve"}, As: "group security"}
	r := writ.Request{
		ID: "req-01m856r6pzc4zt4f6k7s58mcs9", Status: writ.StatusPending, At: noon.Add(-time.Minute), LapseAt: noon.Add(72 * time.Hour), Seq: 1,
		Terms: writ.Terms{
			Requester: writ.Party{Name: "human/ann"}, Subject: writ.Party{Name: "service/ci-deployer"}, For: writ.Of(24 * time.Hour),
			Entitlement: writ.Definition{Name: "orders-db/deploy"}, Scope: map[string]string{"schema": "public", "access": "read\nwrite"},
		},
		Verdict: writ.Verdict{Allowed: true, Route: "production", Stages: []writ.Stage{
			{Name: "manager", Quorum: 1, Approvers: []writ.Approver{max}}, {Name: "security", Quorum: 2, Approvers: []writ.Approver{sue, eve}},
		}, Reasons: []writ.Reason{{Rule: "environment", Text: "route production decides"}, {Rule: "ticket", Deny: true, Text: "it needs a ticket"}}},
	}
	r.Digest = writ.Digest("sha256:" + strings.Repeat("0123456789abcdef", 4))
	add := func() { out = append(out, r) }
	add()
	r.Votes = []writ.Vote{{Stage: "manager", By: max.Party, At: noon.Add(-time.Second)}}
	add()
	denied := r
	denied.Status, denied.Problem, denied.ClosedAt = writ.StatusDenied, "incident/INC-7 is over", noon
	r.Status, r.From, r.Until, r.Serial = writ.StatusAuthorized, noon.Add(time.Hour), noon.Add(25*time.Hour), "writ-1"
	add()
	r.Status, r.Problem = writ.StatusGranting, "postgres: connection refused"
	add()
	r.Status, r.Problem, r.From = writ.StatusActive, "", noon.Add(-time.Hour)
	r.Receipt = writ.Receipt{External: "writ_01m856r6", Fingerprint: "SHA256:abc"}
	r.Seen = writ.Observation{State: writ.Present, LastUsed: noon.Add(-time.Minute), Differs: []string{"valid until 2099"}}
	r.Claimed = &writ.Claimed{By: r.Terms.Requester, At: noon}
	add()
	r.Status, r.End = writ.StatusRevoking, &writ.Ended{Cause: writ.IncidentResolved, Detail: "incident/INC-7"}
	r.Problem = "the target was told, but the access still shows as present"
	add()
	r.Status, r.ClosedAt, r.Problem = writ.StatusClosed, noon, ""
	add()
	lapsed := writ.Request{ID: r.ID, Status: writ.StatusLapsed, Terms: r.Terms, ClosedAt: noon}
	return append(out, denied, lapsed)
}

// TestWhatPeopleSee compares everything that is shown with a page that can be
// read, and holds it to 80 columns but for what cannot be broken.
func TestWhatPeopleSee(t *testing.T) {
	s, out := screen(80, false)
	requests := life()
	s.Requests(requests)
	active := requests[4]
	terms := json.RawMessage(`{"v":1,"subject":{"name":"service/ci-deployer"},"scope":{},"ends":[],"digest":"` + string(active.Digest) + `","new":"\u202e"}`)
	s.Say("\n=====\n")
	err := s.Dossier(client.Dossier{
		Request: active, Texts: map[string]string{"why": "release 42\n\x1b[2Jstatus: closed", "revoke": "found in a log"},
		Events: []client.Event{
			{Seq: 1, At: noon, Kind: "submitted", Actor: writ.Party{Name: "human/ann"}, Body: json.RawMessage(`{"terms":{}}`)},
			{Seq: 2, At: noon, Kind: "approved", Actor: writ.Party{Name: "human/max"}, Body: json.RawMessage(`{"stage":"manager"}`)},
			{Seq: 3, At: noon, Kind: "grant-failed", Actor: writ.System, Body: json.RawMessage(`{"attempt":2,"problem":"postgres: \u001b[31mno"}`)},
			{Seq: 4, At: noon, Kind: "some-later-kind", Actor: writ.System, Body: json.RawMessage(`[1]`)},
		},
	}, terms)
	if err != nil {
		t.Fatal(err)
	}
	s.Say("\n=====\n")
	if err := s.Preview(client.Preview{Verdict: active.Verdict}, terms); err != nil {
		t.Fatal(err)
	}
	s.Rules([]policy.Finding{
		{Rule: "environment", Kind: "guardrail", File: "policy/default", Line: 9, Outcome: policy.NotApplies, Seen: []string{`subject.environment is "staging\u202e"`}},
		{Rule: "production", Kind: "route", File: "policy/default", Line: 19, Outcome: policy.Applies, Met: []string{"at most 24h"}, Missing: []string{"a ticket that matches CHG-\\d{4}: there is none"}},
	})
	s.Say("\n=====\n")
	s.Results([]policy.Result{{Name: "good"}, {Name: "bad", File: "policy.yaml", Line: 7, Problems: []string{"it is allowed by route x"}}})
	s.Changes([]client.Change{{Header: writ.Header{Kind: "identity", Name: "human/ann"}, Change: "created"}, {Header: writ.Header{Kind: "group", Name: "a"}, Change: "unchanged"}}, true)
	golden(t, "testdata/people.txt", out.String())
	for line := range strings.Lines(out.String()) {
		if line = strings.TrimRight(line, "\n"); ansi.StringWidth(line) > 80 || line != Safe(line) {
			t.Errorf("does not fit or is not safe: %q", line)
		}
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s is otherwise; read the difference, then go test -update\n%s", file, d)
	}
}
