package policy

import (
	"strings"
	"sync"
	"testing"

	"github.com/writhq/writ"
)

func policyDocument(name, source string) writ.Policy {
	return writ.Policy{Header: writ.Header{Kind: "policy", Name: name}, Source: source}
}

const (
	allow = "kind: policy\nname: allow\nauthority: {administer: [human/max], revoke: [group/security]}\nroutes: [{name: open, when: 'true', automatic: true}]\n"
	stop  = "kind: policy\nname: stop\nguardrails: [{name: stop, deny: stopped}]\n"
	// bad has a condition that does not compile.
	bad = "kind: policy\nname: bad\nauthority: {revoke: [human/eve]}\nroutes: [{name: r, when: subject.nam, automatic: true}]\n"
	// torn is no YAML at all.
	torn = "kind: policy\nname: torn\nroutes: [\n"
)

func TestJudgeFollowsTheDocuments(t *testing.T) {
	tests := []struct {
		name    string
		docs    []writ.Document
		allowed bool
		why     string
		revoke  []writ.Ref
	}{
		{"no policy", nil, false, "there is no policy, so nothing is allowed; apply a policy document", nil},
		{"one", []writ.Document{policyDocument("allow", allow)}, true, "no rule allows it", []writ.Ref{"human/sue"}},
		{"two", []writ.Document{policyDocument("allow", allow), policyDocument("stop", stop)}, false, "stopped", []writ.Ref{"human/sue"}},
		{"one of two does not compile", []writ.Document{policyDocument("allow", allow), policyDocument("bad", bad)}, false,
			"the policy does not compile, so nothing is allowed: policy/bad:4:33: undefined field 'nam'", []writ.Ref{"human/sue", "human/eve"}},
		{"one of two cannot be read", []writ.Document{policyDocument("allow", allow), policyDocument("torn", torn)}, false,
			"the policy does not compile, so nothing is allowed: policy/torn:3:9", []writ.Ref{"human/sue"}},
		{"back to one", []writ.Document{policyDocument("allow", allow)}, true, "no rule allows it", []writ.Ref{"human/sue"}},
	}
	j := NewJudge()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := organisation(tt.docs...)
			v := j.Verdict(asking().query(t, d))
			if v.Allowed != tt.allowed || !strings.HasPrefix(v.Why(), tt.why) {
				t.Errorf("allowed %v: %s", v.Allowed, v.Why())
			}
			if e := j.Explain(asking().query(t, d)); e.Verdict.Allowed != v.Allowed || e.Verdict.Policy != v.Policy {
				t.Errorf("explained is another verdict: %s", e)
			}
			var revoke []writ.Ref
			for _, who := range []writ.Ref{"human/sue", "human/eve", "human/ann"} {
				if j.Authority(d, who).Revoke {
					revoke = append(revoke, who)
				}
			}
			if len(revoke) != len(tt.revoke) || len(revoke) > 0 && revoke[0] != tt.revoke[0] {
				t.Errorf("%v may revoke, want %v", revoke, tt.revoke)
			}
		})
	}
}

func TestJudgeWithoutDocumentsDenies(t *testing.T) {
	if v := NewJudge().Verdict(Query{}); v.Allowed || len(v.Reasons) != 1 {
		t.Errorf("got %+v", v)
	}
}

func TestJudgeCompilesOnce(t *testing.T) {
	j := NewJudge()
	first := organisation(policyDocument("allow", allow))
	p := j.policy(first)
	if j.policy(first) != p {
		t.Error("the same directory is compiled twice")
	}
	changed := identity("human/new")
	if j.policy(organisation(policyDocument("allow", strings.Clone(allow)), changed)) != p {
		t.Error("the same texts are compiled twice")
	}
	if j.policy(organisation(policyDocument("allow", allow+"# changed\n"))) == p {
		t.Error("another text is not compiled")
	}
}

func TestJudgeServesMany(t *testing.T) {
	j := NewJudge()
	dirs := []*writ.Directory{organisation(policyDocument("allow", allow)), organisation(policyDocument("stop", stop))}
	queries := []Query{asking().query(t, dirs[0]), asking().query(t, dirs[1])}
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for i := range 50 {
				if v := j.Verdict(queries[(n+i)%2]); v.Allowed != ((n+i)%2 == 0) {
					t.Errorf("got %+v", v)
				}
			}
		})
	}
	wg.Wait()
}
