package view

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writhq/writ"
)

var now = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

const day = 24 * time.Hour

func newCase(change func(*Case)) Case {
	sue := writ.Identity{Header: writ.Header{Kind: "identity", Name: "human/sue", UID: "sue"}}
	c := Case{
		Now: now, Made: ago(90 * day), Owned: ago(90 * day),
		Directory: writ.NewDirectory(
			sue, writ.Identity{Header: writ.Header{Kind: "identity", Name: "service/ci", UID: "ci"}, Owner: "human/ann"},
			writ.Entitlement{Header: writ.Header{Kind: "entitlement", Name: "db/read"}, Labels: map[string]string{"risk": "high"}},
			writ.Group{Header: writ.Header{Kind: "group", Name: "security"}, Members: []writ.Ref{"human/sue"}, Joined: map[writ.Ref]writ.Joined{
				"human/sue": {UID: "sue", At: ago(60 * day)}, "human/sam": {UID: "sam", At: ago(90 * day)},
			}}),
		Earlier: []writ.Request{{Terms: writ.Terms{For: writ.Of(time.Hour)}}, {Terms: writ.Terms{For: writ.Of(4 * time.Hour)}}},
	}
	c.Terms = writ.Terms{Subject: writ.Party{Name: "service/ci", UID: "ci"}, For: writ.Of(4 * time.Hour)}
	c.Terms.Entitlement.Name, c.Terms.Entitlement.Environment = "db/read", "staging"
	c.Verdict.Stages = []writ.Stage{{Name: "security", Approvers: []writ.Approver{{Party: sue.Party(), As: "group security"}}}}
	if change != nil {
		change(&c)
	}
	return c
}

// joined puts a member into the group of approvers, at a moment.
func joined(at time.Time, uid writ.UID) func(*Case) {
	return func(c *Case) {
		c.Directory.Groups["group/security"].Joined["human/sue"] = writ.Joined{UID: uid, At: at}
	}
}

// TestUnusual is each fact that an approver should stop at, alone.
func TestUnusual(t *testing.T) {
	for _, c := range []struct {
		what   string
		change func(*Case)
		want   []string
	}{
		{"nothing", nil, nil},
		{"production", func(c *Case) { c.Terms.Entitlement.Environment = "production" }, []string{"in production"}},
		{"the first time", func(c *Case) { c.Earlier = nil }, []string{"the first time that service/ci would get this"}},
		{"as long as before", func(c *Case) { c.Terms.For = writ.Of(3 * time.Hour) }, nil},
		{"longer", func(c *Case) { c.Terms.For = writ.Of(5 * time.Hour) }, []string{"longer than ever before: at most 4h until now"}},
		{"a new identity", func(c *Case) { c.Made, c.Owned = ago(2*day), ago(day) }, []string{"service/ci is known only since 2d"}},
		{"another owner", func(c *Case) { c.Owned = ago(3 * day) }, []string{"service/ci has another owner since 3d: human/ann"}},
		{"an owner not on record", func(c *Case) { c.Made, c.Owned = time.Time{}, time.Time{} }, nil},
		{"not new any more", func(c *Case) { c.Owned = ago(Fresh) }, nil},
		{"a new approver", joined(ago(day), "sue"), []string{"human/sue is in group/security only since 1d"}},
		{"a new approver under an old name", joined(ago(day), "another"), nil},
		{"an approver that the group began with", joined(ago(100*day), "sue"), nil},
		{"all of it", func(c *Case) {
			c.Terms.Entitlement.Environment, c.Earlier, c.Made = "production", nil, ago(day)
		}, []string{"in production", "the first time that service/ci would get this", "service/ci is known only since 1d"}},
	} {
		if diff := cmp.Diff(c.want, newCase(c.change).Unusual()); diff != "" {
			t.Errorf("%s:\n%s", c.what, diff)
		}
	}
}

// TestOrder: risk first, then production, then the deadline.
func TestOrder(t *testing.T) {
	waiting := func(id writ.ID, ent, env string, lapse time.Duration) Case {
		return newCase(func(c *Case) {
			c.ID, c.Terms.Entitlement.Name, c.Terms.Entitlement.Environment, c.LapseAt = id, ent, env, now.Add(lapse)
		})
	}
	cases := []Case{
		waiting("unlabelled", "db/other", "production", time.Minute), waiting("later", "db/read", "production", 2*time.Hour),
		waiting("staging", "db/read", "staging", time.Minute), waiting("sooner", "db/read", "production", time.Hour),
	}
	slices.SortStableFunc(cases, Case.Before)
	var got []string
	for _, c := range cases {
		got = append(got, string(c.ID))
	}
	if diff := cmp.Diff([]string{"sooner", "later", "staging", "unlabelled"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestLeavesAsADifference: each leaf that changed, came or went says so, and no
// other does.
func TestLeavesAsADifference(t *testing.T) {
	was := writ.Terms{V: 1, Revision: 1, For: writ.Of(24 * time.Hour), Scope: map[string]string{"schema": "app"}, Ends: []string{}}
	is := was
	is.Revision, is.For, is.Ends = 2, writ.Of(time.Hour), []string{"incident/INC-7"}
	leaves, err := Leaves(is, was)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, l := range leaves {
		if l.Changed {
			got[l.Label] = l.Was + " > " + l.Value
		}
	}
	want := map[string]string{"revision": "1 > 2", "for": "24h > 1h", "ends": "[] > ", "ends[0]": " > incident/INC-7"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if alone, err := Leaves(is); err != nil || slices.ContainsFunc(alone, func(l Leaf) bool { return l.Changed }) || len(alone) != len(leaves)-1 {
		t.Errorf("alone: %v, %v", alone, err)
	}
}

// TestStepsShowWhatProvesThem.
func TestStepsShowWhatProvesThem(t *testing.T) {
	seen := writ.Observation{State: writ.Present, External: "writ_req_1", Until: now, Differs: []string{"role is admin"}}
	for _, c := range []struct {
		body writ.Body
		says []string
	}{
		{writ.Approved{Stage: "manager", Digest: "sha256:00", For: writ.Party{Name: "human/max"}, Evidence: &writ.Evidence{Method: writ.ByPasskey, Key: "passkey-1"}},
			[]string{"Approved in stage manager", "in the place of human/max", "with a passkey: passkey-1"}},
		{writ.Approved{Stage: "manager", Digest: "sha256:00"}, []string{"with a session"}},
		{writ.Authorized{From: now, Until: now.Add(time.Hour), Serial: "writ-req-1"}, []string{"writ-req-1", "until 2026-11-02 10:00:00 UTC"}},
		{writ.GrantBegun{Attempt: 2, Writ: "jws", Instance: "db-7"}, []string{"attempt 2", "signed writ", "at db-7"}},
		{writ.Granted{Attempt: 1, Receipt: writ.Receipt{Fingerprint: "sha256:11"}, Seen: seen, Signed: "jws"},
			[]string{"read back as present: writ_req_1", "credential sha256:11", "not as ordered: role is admin", "signed by whoever did it"}},
		{writ.RevokeFailed{Attempt: 3, Problem: "cannot be reached"}, []string{"Not taken away yet, attempt 3", "cannot be reached"}},
		{writ.Revoked{Seen: writ.Observation{State: writ.Absent}, Signed: "jws"}, []string{"Proven gone", "read back as absent"}},
		{writ.Revoked{KeptBy: "req-2"}, []string{"the access stays for req-2"}},
		{writ.Denied{Policy: "frozen"}, []string{"Denied", "policy: frozen"}},
		{writ.Ended{Cause: writ.CutOff}, []string{"Ended: revoked"}},
	} {
		body, err := json.Marshal(c.body)
		if err != nil {
			t.Fatal(err)
		}
		s := NewStep(c.body.Kind(), body)
		text := s.What + "\n" + strings.Join(s.More, "\n")
		for _, want := range c.says {
			if !strings.Contains(text, want) {
				t.Errorf("%s does not say %q:\n%s", c.body.Kind(), want, text)
			}
		}
	}
	if s := NewStep("of-tomorrow", []byte("{}")); s.What != "of-tomorrow" {
		t.Errorf("an unknown kind is shown as %+v", s)
	}
}

// TestChart: what lasts long does not hide what is short, and nothing leaves it.
func TestChart(t *testing.T) {
	of := func(from, d time.Duration) writ.Request {
		return writ.Request{Status: writ.StatusActive, From: now.Add(from), Until: now.Add(from + d)}
	}
	rs := []writ.Request{of(0, time.Hour), of(-time.Hour, 2*time.Hour), of(-30*day, 60*day), of(-40*day, 90*day)}
	c := NewChart(now, rs)
	if c.Span.Std() != 6*time.Hour || c.At(now) != Wide/4 || len(c.Ticks()) != 5 || !c.Ticks()[4].Equal(c.End) {
		t.Errorf("the chart is %+v", c)
	}
	for i, r := range append(rs, of(-time.Minute, time.Second), of(-10*day, day), of(10*day, day)) {
		if b := c.Bar(r); b.X < 0 || b.X+b.Width > Wide || b.Width < thinnest || b.Later != (r.Until.After(c.End)) {
			t.Errorf("bar %d is %+v", i, b)
		}
	}
	late := writ.Request{Status: writ.StatusRevoking, From: now.Add(-time.Hour), Until: now.Add(-30 * time.Minute)}
	if b := c.Bar(late); b.X+b.Width != c.At(now) {
		t.Errorf("what is not taken away yet ends at %d, not now", b.X+b.Width)
	}
}

// TestWhen is relative to now.
func TestWhen(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "now", time.Hour: "in 1h", -90 * time.Second: "1m 30s ago", 36 * time.Hour: "in 1d 12h"} {
		if got := When(now, now.Add(d)); got != want {
			t.Errorf("%s is %q, not %q", d, got, want)
		}
	}
}
