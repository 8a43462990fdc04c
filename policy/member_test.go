package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writhq/writ"
)

// since makes Sue and Sam members of security, put there by somebody at a time.
func since(at time.Time, by writ.Ref) writ.Group {
	g := group("security", "human/sue", "human/sam")
	g.Joined = map[writ.Ref]writ.Joined{}
	for _, m := range g.Members {
		g.Joined[m] = writ.Joined{UID: writ.UID("uid-" + m), At: at, By: writ.Party{Name: by, UID: writ.UID("uid-" + by)}}
	}
	return g
}

// TestMembersWhoDoNotCount: a group that grew for the occasion approves nothing.
func TestMembersWhoDoNotCount(t *testing.T) {
	p := mustCompile(t, staged("{name: s, memberAge: 7d, approvers: [{group: security}]}"))
	all := "s 1: human/sue (group security) human/sam (group security)"
	again := since(noon.Add(-30*24*time.Hour), "human/eve")
	again.Joined["human/sue"] = writ.Joined{UID: "older", At: noon.Add(-30 * 24 * time.Hour)}
	for _, c := range []struct {
		name  string
		group writ.Group
		want  string
		why   string
	}{
		{"for long", since(noon.Add(-8*24*time.Hour), "human/eve"), all, ""},
		{"since a week, to the second", since(noon.Add(-7*24*time.Hour), "human/eve"), all, ""},
		{"since yesterday", since(noon.Add(-24*time.Hour), "human/eve"), "s 1:", "human/sue is in group/security since 2026-01-04 12:00 only, and counts after 7d"},
		{"put there by who asks", since(noon.Add(-8*24*time.Hour), "human/ann"), "s 1:", "human/sue was put into group/security by human/ann, who has a part in this request"},
		{"put there by the deputy of the subject", since(noon.Add(-8*24*time.Hour), "human/dee"), "s 1:", "put into group/security by human/dee"},
		{"put there by the subject itself", since(noon.Add(-8*24*time.Hour), "service/ci"), "s 1:", "put into group/security by service/ci"},
		{"somebody of that name", again, "s 1: human/sam (group security)", ""},
	} {
		v := p.Verdict(asking().query(t, organisation(c.group)))
		if got := asked(v); got != c.want || v.Allowed != (c.why == "") || !v.Allowed && !strings.Contains(v.Why(), c.why) {
			t.Errorf("%s: %s; %s", c.name, got, v.Why())
		}
	}
}

// TestStageInTheVerdict: what a stage says of itself is frozen with the request.
func TestStageInTheVerdict(t *testing.T) {
	p := mustCompile(t, staged(`{name: s, quorum: 1, approvers: [{identity: human/sue}], proof: passkey, keyAge: 24h, repeat: true, remind: 4h,
        hours: {zone: Europe/Berlin, days: [workdays, sun], from: '08:00', to: '18:00'}, escalate: {after: 8h, approvers: [{group: security}, {identity: human/eve}]}}`)+"    witnessed: true\n")
	v := p.Verdict(asking().query(t, organisation()))
	if len(v.Stages) != 1 || !v.Witnessed {
		t.Fatalf("%+v", v)
	}
	var late []string
	for _, a := range v.Stages[0].Escalate.To {
		late = append(late, string(a.Name))
	}
	if diff := cmp.Diff([]string{"human/sam", "human/sam2", "human/eve"}, late); diff != "" {
		t.Errorf("who is asked as well: %s", diff)
	}
	got := v.Stages[0]
	got.Approvers, got.Escalate = nil, nil
	want := writ.Stage{Name: "s", Quorum: 1, Proof: writ.ByPasskey, KeyAge: day, Repeat: true, Remind: 4 * day / 24, Hours: []writ.Hours{{
		Zone: "Europe/Berlin", From: "08:00", To: "18:00",
		Days: []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday, time.Sunday},
	}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestOnePersonInTwoStages: where policy lets one person decide twice, it does
// not ask for more people than there are.
func TestOnePersonInTwoStages(t *testing.T) {
	for text, allowed := range map[string]bool{
		staged("{name: a, approvers: [{identity: human/sue}]}", "{name: b, approvers: [{identity: human/sue}]}"):               false,
		staged("{name: a, approvers: [{identity: human/sue}]}", "{name: b, approvers: [{identity: human/sue}], repeat: true}"): true,
	} {
		if v := mustCompile(t, text).Verdict(asking().query(t, organisation())); v.Allowed != allowed {
			t.Errorf("allowed %v: %s", v.Allowed, v.Why())
		}
	}
}
