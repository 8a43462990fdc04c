package policy

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/writhq/writ"
)

func TestExamplesOfAPolicyRun(t *testing.T) {
	const policy = `
guardrails:
  - {name: four-eyes, conflicts: [orders/deploy, orders/read]}
  - {name: sealed, when: entitlement.name == "orders/read", require: {sealed: true}}
routes:
  - {name: night, when: now.getHours() >= 20, automatic: true}
  - {name: day, when: 'true', maxFor: 24h, stages: [{name: security, approvers: [{group: security}]}]}
tests:
  - {name: all of it, request: {requester: human/ann, subject: service/ci, entitlement: orders/deploy, for: 24h}, expect: {allowed: true, route: day, maxFor: 24h, stages: {security: [human/sue, human/sam2, human/sam]}}}
  - {name: at night, request: {requester: human/ann, entitlement: lab/read, for: 1h, at: 2026-01-05T21:00:00Z}, expect: {allowed: true, route: night}}
  - {name: four eyes, request: {requester: human/ann, entitlement: orders/deploy, for: 1h, live: [orders/read]}, expect: {allowed: false, because: has orders/read}}
  - {name: sealed, request: {requester: human/ann, entitlement: orders/read, for: 1h, sealed: true}, expect: {allowed: true}}
  - {name: refused before any rule, request: {requester: human/ann, entitlement: orders/deploy, for: 60d}, expect: {allowed: false, because: allows at most 30d}}
  - {name: wrong in all parts, request: {requester: human/ann, entitlement: orders/deploy, for: 1h}, expect: {allowed: false, route: night, maxFor: 1h, because: the moon, stages: {security: [human/max], manager: [human/max]}}}
  - {name: wrong in one, request: {requester: human/ann, entitlement: orders/deploy, for: 25h}, expect: {allowed: true, stages: {}}}
  - {name: nobody, request: {requester: human/zoe, entitlement: orders/deploy, for: 1h}, expect: {allowed: true}}
  - {name: nothing, request: {requester: human/ann, entitlement: orders/deploy, for: 1h, live: [a/b]}, expect: {allowed: true}}
`
	want := map[string][]string{
		"all of it": nil, "at night": nil, "four eyes": nil, "sealed": nil, "refused before any rule": nil,
		"wrong in all parts": {
			`it is allowed by route day`, `the route is "day", not "night"`, `maxFor is 24h, not 1h`, `no reason says "the moon": no rule allows it`,
			`stage manager asks [], not [human/max]`, `stage security asks [human/sam human/sam2 human/sue], not [human/max]`,
		},
		"wrong in one": {"it is denied: route day requires at most 24h: 25h is asked for"},
		"nobody":       {`there is no identity "human/zoe"`},
		"nothing":      {`live: there is no entitlement "a/b"`},
	}
	p := mustCompile(t, policy)
	for _, d := range []*writ.Directory{organisation(), unidentified(organisation())} {
		got := map[string][]string{}
		for _, r := range p.Test(d, noon) {
			got[r.Name] = r.Problems
			if r.File != "policy.yaml" || r.Line < 10 {
				t.Errorf("%s stands at %s:%d", r.Name, r.File, r.Line)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

// unidentified returns the documents as they stand in files: without UIDs.
func unidentified(d *writ.Directory) *writ.Directory {
	docs := d.All()
	for i, doc := range docs {
		switch doc := doc.(type) {
		case writ.Identity:
			doc.UID = ""
			docs[i] = doc
		case writ.Entitlement:
			doc.UID = ""
			docs[i] = doc
		case writ.Target:
			doc.UID = ""
			docs[i] = doc
		}
	}
	return writ.NewDirectory(docs...)
}

var fence = regexp.MustCompile("(?s)```(yaml|cel)\n(.*?)```")

// TestReference compiles what the reference shows: whole policies with their
// tests, pieces of rules, and conditions.
func TestReference(t *testing.T) {
	text, err := os.ReadFile("../docs/reference/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	whole := fence.FindStringSubmatch(string(text))[2]
	_, err = Compile(File{"policy.yaml", strings.Replace(whole, "subject.environment", "subject.envronment", 1)})
	if err == nil || !strings.Contains(string(text), "```\n"+err.Error()+"\n```") {
		t.Errorf("the reference does not show\n%v", err)
	}
	p := mustCompile(t, whole)
	q, err := p.examples[1].query(organisation(), noon)
	if e := p.Explain(q).String(); err != nil || !strings.Contains(string(text), "```\n"+e+"```") {
		t.Errorf("the reference does not show\n%s", e)
	}
	for _, block := range fence.FindAllStringSubmatch(string(text), -1) {
		kind, source := block[1], block[2]
		if kind == "cel" {
			for _, line := range strings.Split(strings.TrimSpace(source), "\n") {
				mustCompile(t, "routes:\n  - name: r\n    automatic: true\n    when: |\n      "+line+"\n")
			}
			continue
		}
		p := mustCompile(t, source)
		for _, r := range p.Test(organisation(), noon) {
			ran++
			if len(r.Problems) > 0 {
				t.Errorf("%s: %v", r.Name, r.Problems)
			}
		}
	}
	if ran == 0 {
		t.Error("the reference has no example that runs")
	}
}

// TestReferenceNamesEveryKey keeps the reference from missing one.
func TestReferenceNamesEveryKey(t *testing.T) {
	text, err := os.ReadFile("../docs/reference/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	form, err := os.ReadFile("form.go")
	if err != nil {
		t.Fatal(err)
	}
	keys := regexp.MustCompile(`yaml:"([^"]+)"`).FindAllStringSubmatch(string(form), -1)
	for _, key := range keys {
		if !strings.Contains(string(text), "`"+key[1]+"`") {
			t.Errorf("the key %s is not described", key[1])
		}
	}
	if len(keys) == 0 {
		t.Error("the form has no keys")
	}
}

// BenchmarkVerdict judges by six guardrails and four routes, the last of which
// decides, with two stages.
func BenchmarkVerdict(b *testing.B) {
	p := mustCompile(b, `
guardrails:
  - {name: g1, when: subject.environment != target.environment, deny: no}
  - {name: g2, when: 'entitlement.labels[?"risk"].orValue("") == "high"', require: {justification: 20, maxFor: 24h}}
  - {name: g3, when: 'live.exists(l, l.environment != target.environment)', deny: no}
  - {name: g4, when: 'subject.kind == "agent" && request.for > duration("1h")', deny: no}
  - {name: g5, conflicts: [orders/deploy, orders/read]}
  - {name: g6, when: '"contractors" in requester.groups', require: {sealed: true}}
routes:
  - {name: r1, when: target.environment == "staging", automatic: true}
  - {name: r2, when: 'entitlement.labels[?"risk"].orValue("") == "low"', automatic: true}
  - {name: r3, when: subject.name.startsWith("agent/"), automatic: true}
  - name: r4
    when: 'true'
    maxFor: 24h
    require: {ticket: 'CHG-\d{4}', justification: 20}
    ends: ['ticket/${ticket}']
    stages: [{name: manager, approvers: [{manager-of: requester}]}, {name: security, approvers: [{group: security}]}]
`)
	live := []writ.Live{{ID: "req-2", Status: writ.StatusActive, Entitlement: "lab/x", Target: "orders", Environment: "production"}}
	q := asking(func(a *ask) { a.live = live }).query(b, organisation())
	if v := p.Verdict(q); !v.Allowed || v.Route != "r4" {
		b.Fatal(v.Why())
	}
	b.ReportAllocs()
	for b.Loop() {
		p.Verdict(q)
	}
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		mustCompile(b, explained)
	}
}
