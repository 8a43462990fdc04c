package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/writhq/writ"
)

// A story is a request that policy is asked about at every step.
type story struct {
	*testing.T
	judge *Judge
	dir   *writ.Directory
	now   time.Time
	r     writ.Request
}

const (
	bothAsked = "kind: policy\nname: p\nroutes: [{name: r, when: 'true', maxFor: 2d, stages: [{name: manager, approvers: [{manager-of: requester}]}, {name: security, approvers: [{group: security}]}]}]\n"
	oneAsked  = "kind: policy\nname: p\nroutes: [{name: r, when: 'true', stages: [{name: manager, approvers: [{manager-of: requester}]}]}]\n"
	noneAsked = "kind: policy\nname: p\nroutes: [{name: r, when: 'true', automatic: true}]\n"
	shortOnly = "kind: policy\nname: p\nroutes: [{name: r, when: 'true', maxFor: 1h, stages: [{name: manager, approvers: [{manager-of: requester}]}]}]\n"
	frozen    = "kind: policy\nname: p\nguardrails: [{name: freeze, deny: the year ends}]\nroutes: [{name: r, when: 'true', automatic: true}]\n"
	evesGroup = "kind: policy\nname: p\nroutes: [{name: r, when: 'true', stages: [{name: manager, approvers: [{identity: human/eve}]}]}]\n"
)

// under puts a policy, and other documents, in place.
func (s *story) under(source string, more ...writ.Document) *story {
	s.dir = organisation(append(more, policyDocument("p", source))...)
	return s
}

// do decides a command, and says what the request is then or why not.
func (s *story) do(who writ.Ref, c writ.Command) string {
	s.Helper()
	f := writ.Facts{Now: s.now, Actor: s.dir.Identities[who].Party(), Directory: s.dir}
	if who == writ.System.Name {
		f.Actor = writ.System
	}
	q := Query{Terms: s.r.Terms, Facts: f}
	if submit, ok := c.(writ.Submit); ok {
		why := "release 42"
		q.Terms, q.Why = submit.Terms, &why
	}
	f.Verdict = s.judge.Verdict(q)
	if a, ok := c.(writ.Approve); ok && a.Digest == "" {
		c = writ.Approve{Digest: s.r.Digest}
	}
	events, err := writ.Decide(s.r, "req-1", c, f)
	if err != nil {
		return err.Error()
	}
	for _, e := range events {
		if s.r, err = s.r.Apply(e); err != nil {
			s.Fatal(err)
		}
	}
	if s.r.End != nil {
		return string(s.r.Status) + ": " + string(s.r.End.Cause)
	}
	return string(s.r.Status)
}

// submitted starts a story: Ann asks for the deployer under a policy.
func submitted(t *testing.T, source string) *story {
	s := &story{T: t, judge: NewJudge(), now: noon}
	s.under(source)
	s.r.ID = "req-1"
	q := asking().query(t, s.dir)
	if got := s.do("human/ann", writ.Submit{Terms: q.Terms}); got != "pending" && got != "authorized" {
		t.Fatal(got)
	}
	return s
}

// TestPolicyChangesBetweenSteps is invariant L8: the verdict of the submit is
// frozen, today's is asked at every step, and the stricter of both holds.
func TestPolicyChangesBetweenSteps(t *testing.T) {
	grant := writ.BeginGrant{Writ: "signed"}
	gone := identity("human/max", func(i *writ.Identity) { i.State = "disabled" })
	tests := []struct {
		name string
		run  func(s *story) string
		on   string
		want string
	}{
		{"nothing changes", func(s *story) string {
			return s.do("human/max", writ.Approve{}) + ", " + s.do("human/sue", writ.Approve{}) + ", " + s.do(writ.System.Name, grant)
		}, bothAsked, "pending, authorized, granting"},
		{"a guardrail appears before the approval", func(s *story) string { return s.under(frozen).do("human/max", writ.Approve{}) },
			oneAsked, "policy does not allow req-1 any more: the year ends"},
		{"a stage appears before the approval", func(s *story) string {
			return s.under(bothAsked).do("human/max", writ.Approve{}) + ", " + s.do("human/sue", writ.Approve{})
		}, oneAsked, "pending, authorized"},
		{"a stage disappears before the approval", func(s *story) string { return s.under(oneAsked).do("human/max", writ.Approve{}) }, bothAsked, "pending"},
		{"nobody has to be asked any more", func(s *story) string { return s.under(noneAsked).do("human/max", writ.Approve{}) }, bothAsked, "pending"},
		{"others are asked in the same stage", func(s *story) string { return s.under(evesGroup).do("human/eve", writ.Approve{}) },
			oneAsked, "human/eve is not an approver of stage manager"},
		{"who was asked is not asked any more", func(s *story) string { return s.under(evesGroup).do("human/max", writ.Approve{}) },
			oneAsked, "human/max is not an approver of stage manager"},
		{"the limit shrinks before the approval", func(s *story) string { return s.under(shortOnly).do("human/max", writ.Approve{}) }, oneAsked, "policy does not allow req-1 any more: route r requires at most 1h"},
		{"the policy breaks before the approval", func(s *story) string { return s.under(bad).do("human/max", writ.Approve{}) }, oneAsked, "policy does not allow req-1 any more: the policy does not compile"},
		{"the policy breaks, and it is withdrawn", func(s *story) string { return s.under(torn).do("human/ann", writ.Withdraw{}) }, oneAsked, "withdrawn"},
		{"a guardrail appears before the grant", func(s *story) string { return s.under(frozen).do(writ.System.Name, grant) }, noneAsked, "revoking: policy-tightened"},
		{"a stage appears before the grant", func(s *story) string { return s.under(oneAsked).do(writ.System.Name, grant) }, noneAsked, "revoking: policy-tightened"},
		{"the limit shrinks before the grant", func(s *story) string { return s.under(shortOnly).do(writ.System.Name, grant) }, noneAsked, "revoking: policy-tightened"},
		{"a guardrail appears while access is held", func(s *story) string {
			return s.do(writ.System.Name, grant) + ", " + s.do(writ.System.Name, writ.ReportGrant{Attempt: 1}) + ", " + s.under(frozen).do(writ.System.Name, writ.Recheck{})
		}, noneAsked, "granting, active, revoking: policy-tightened"},
		{"nothing changes while access is held", func(s *story) string {
			return s.do(writ.System.Name, grant) + ", " + s.do(writ.System.Name, writ.ReportGrant{Attempt: 1}) + ", " + s.do(writ.System.Name, writ.Recheck{})
		}, noneAsked, "granting, active, active"},
		{"who approved leaves while access is held", func(s *story) string {
			return s.do("human/max", writ.Approve{}) + ", " + s.do(writ.System.Name, grant) + ", " + s.do(writ.System.Name, writ.ReportGrant{Attempt: 1}) +
				", " + s.under(oneAsked, gone).do(writ.System.Name, writ.Recheck{})
		}, oneAsked, "authorized, granting, active, active"},
		{"the only approver leaves before deciding", func(s *story) string {
			return s.under(oneAsked, gone).do(writ.System.Name, writ.Recheck{}) + ", " + s.do("human/eve", writ.Approve{})
		}, oneAsked, "pending, human/eve is not an approver of stage manager of req-1; it waits for nobody"},
		{"a guardrail appears while it waits", func(s *story) string { return s.under(frozen).do(writ.System.Name, writ.Recheck{}) }, oneAsked, "denied"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.run(submitted(t, tt.on)); !strings.HasPrefix(got, tt.want) {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestDeniedAtSubmitIsOnRecord(t *testing.T) {
	s := &story{T: t, judge: NewJudge(), now: noon}
	s.under(frozen).r.ID = "req-1"
	got := s.do("human/ann", writ.Submit{Terms: asking().query(t, s.dir).Terms})
	if got != "denied" || s.r.Problem != "the year ends" || s.r.Terms.Policy == "" {
		t.Errorf("got %s: %s", got, s.r.Problem)
	}
}
