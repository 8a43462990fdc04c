package policy

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/writhq/writ"
)

// explained has a rule of every kind.
const explained = `
guardrails:
  - {name: same-environment, when: subject.environment != target.environment, deny: an identity of one environment gets no access in another}
  - {name: coloured, when: 'entitlement.labels["colour"] == "red"', deny: red is out}
  - {name: busy, when: 'live.exists(l, l.status == "active" && l.target == target.name)', deny: one at a time}
  - {name: four-eyes, conflicts: [orders/deploy, orders/read]}
  - {name: high-risk, when: 'entitlement.labels[?"risk"].orValue("none") == "high"', require: {justification: 20, maxFor: 24h, sealed: true}}
routes:
  - {name: lab, when: target.environment == "staging", automatic: true}
  - name: deploy
    when: entitlement.name == "orders/deploy" && request.for <= duration("24h")
    require: {ticket: 'CHG-\d{4}'}
    stages:
      - {name: manager, approvers: [{manager-of: requester}]}
      - {name: security, quorum: 2, approvers: [{group: security}]}
  - {name: rest, when: 'true', automatic: true}
`

func TestExplanationTellsPeople(t *testing.T) {
	p, d := mustCompile(t, explained), organisation()
	without := mustCompile(t, strings.Replace(explained, "coloured, when: 'entitlement", "coloured, when: '\"colour\" in entitlement.labels && entitlement", 1))
	var b strings.Builder
	tell := func(title string, p *Policy, a ask) {
		b.WriteString("=== " + title + "\n" + p.Explain(a.query(t, d)).String() + "\n")
	}
	tell("allowed", without, asking(func(a *ask) { a.Recipient = "age1x" }))
	tell("a condition fails, a key and a ticket are missing, and there is a conflict", p, asking(func(a *ask) {
		a.Ticket = "INC-1"
		a.live = []writ.Live{{ID: "req-2", Status: writ.StatusActive, Entitlement: "orders/read", Target: "orders", Environment: "production"}}
	}))
	tell("nobody to ask", without, asking(func(a *ask) { a.requester, a.Subject, a.Recipient = "human/bob", "service/ci", "age1x" }))
	tell("automatic", mustCompile(t, automatic), asking())
	golden(t, "testdata/explanation.txt", b.String())
}

func TestExplanationIsJSON(t *testing.T) {
	e := mustCompile(t, explained).Explain(asking().query(t, organisation()))
	data, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var back Explanation
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(e, back); diff != "" {
		t.Error(diff)
	}
}

// TestExplanationIsTheVerdict keeps what is explained and what is decided from
// drifting apart.
func TestExplanationIsTheVerdict(t *testing.T) {
	p, d := mustCompile(t, explained), organisation()
	for _, a := range []ask{asking(), asking(func(a *ask) { a.Ticket = "" }), asking(func(a *ask) { a.Entitlement = "lab/read" }), asking(func(a *ask) { a.later = true })} {
		q := a.query(t, d)
		if diff := cmp.Diff(p.Verdict(q), p.Explain(q).Verdict); diff != "" {
			t.Error(diff)
		}
	}
}
