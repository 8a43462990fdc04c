package policy

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writhq/writ"
)

const automatic = "routes: [{name: open, when: 'true', automatic: true}]\n"

// route makes a policy of one automatic route with more in it.
func route(more string) string {
	return "routes: [{name: open, when: 'true', automatic: true, " + more + "}]\n"
}

func TestRequirements(t *testing.T) {
	text := func(s string) func(*ask) { return func(a *ask) { a.why = &s } }
	later := func(a *ask) { a.later = true }
	tests := []struct {
		name   string
		policy string
		change func(*ask)
		deny   string // what the verdict says; nothing: it is allowed
	}{
		{"nothing is required", automatic, later, ""},
		{"long enough", route("require: {justification: 20}"), text("release 42 of orders"), ""},
		{"too short", route("require: {justification: 20}"), text("release 42 of order"), "a justification of at least 20 characters: this one is shorter"},
		{"spaces do not count twice", route("require: {justification: 20}"), text("  a                    b "), "this one is shorter"},
		{"characters, not bytes", route("require: {justification: 20}"), text("üüüüüüüüüüüüüüüüüüü"), "this one is shorter"},
		{"no justification", route("require: {justification: 1}"), text("  "), "there is none"},
		{"later only that there is one is known", route("require: {justification: 1000}"), later, ""},
		{"later there is none", route("require: {justification: 1}"), func(a *ask) { a.later, a.Why = true, "" }, "there is none"},
		{"the ticket matches", route(`require: {ticket: 'CHG-\d{4}'}`), later, ""},
		{"the whole ticket must match", route(`require: {ticket: 'CHG-\d{4}'}`), func(a *ask) { a.Ticket = "CHG-12345" }, `a ticket that matches CHG-\d{4}: "CHG-12345" does not`},
		{"every line of it", route(`require: {ticket: 'CHG-\d{4}'}`), func(a *ask) { a.Ticket = "CHG-1234\n" }, `does not`},
		{"either of two forms, and nothing beside", route(`require: {ticket: 'A-\d|B-\d'}`), func(a *ask) { a.Ticket = "A-1 or so" }, `does not`},
		{"no ticket", route(`require: {ticket: '.*'}`), func(a *ask) { a.Ticket = "" }, "there is none"},
		{"the scope matches", route("require: {scope: {service: 'orders|billing'}}"), later, ""},
		{"the scope does not match", route("require: {scope: {service: 'billing'}}"), later, `scope service that matches billing: "orders" does not`},
		{"a scope that is not there", route("require: {scope: {region: '.*'}}"), later, "scope region that matches .*: there is none"},
		{"an end condition", route("require: {ends: [incident]}"), func(a *ask) { a.Ends = []string{"incident/INC-1"} }, ""},
		{"no end condition", route("require: {ends: [incident]}"), func(a *ask) { a.Ends = []string{"incidental/1"} }, "an end condition of the kind incident: name it as incident/NAME"},
		{"an end condition that the route adds", route(`require: {ends: [ticket], ticket: 'CHG-\d+'}, ends: ['ticket/${ticket}']`), later, ""},
		{"a guardrail sees what the route adds", "guardrails: [{name: g, require: {ends: [ticket]}}]\n" + route(`require: {ticket: 'CHG-\d+'}, ends: ['ticket/${ticket}']`), later, ""},
		{"sealed", route("require: {sealed: true}"), func(a *ask) { a.Recipient = "age1x" }, ""},
		{"not sealed", route("require: {sealed: true}"), later, "a recipient key that the credential is sealed to: there is none"},
		{"short enough", route("maxFor: 24h"), later, ""},
		{"too long", route("maxFor: 23h59m"), later, "route open requires at most 23h59m: 24h is asked for"},
		{"too long for a requirement", route("require: {maxFor: 1h}"), later, "at most 1h"},
		{"too long for a guardrail", "guardrails: [{name: g, maxFor: 1h}]\n" + automatic, later, "guardrail g requires at most 1h"},
		{"starts early enough", route("startWithin: 2h"), func(a *ask) { a.StartAt = noon.Add(2 * time.Hour) }, ""},
		{"starts too late", route("startWithin: 2h"), func(a *ask) { a.StartAt = noon.Add(2*time.Hour + time.Second) }, "a start within 2h"},
		{"may start too late", route("startWithin: 2h"), func(a *ask) { a.StartBy = noon.Add(3 * time.Hour) }, "a start within 2h"},
		{"a start is a matter of asking", route("startWithin: 2h"), func(a *ask) { a.StartBy, a.later = noon.Add(3*time.Hour), true }, ""},
		{"a guardrail that denies", "guardrails: [{name: g, when: 'true', deny: frozen}]\n" + automatic, later, "frozen"},
		{"a guardrail without a condition", "guardrails: [{name: g, deny: frozen}]\n" + automatic, later, "frozen"},
		{"a guardrail that does not apply", "guardrails: [{name: g, when: 'false', deny: frozen}]\n" + automatic, later, ""},
		{"no route", "routes: [{name: r, when: 'false', automatic: true}]\n", later, "no route covers orders/deploy for service/ci"},
		{"no routes", "guardrails: []\n", later, "no route covers"},
	}
	d := organisation()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := mustCompile(t, tt.policy).Verdict(asking(tt.change).query(t, d))
			if v.Allowed != (tt.deny == "") || !v.Allowed && !strings.Contains(v.Why(), tt.deny) {
				t.Errorf("got allowed %v: %s", v.Allowed, v.Why())
			}
		})
	}
}

// TestOverlappingRoutes is invariant L7: what is checked is what the deciding
// route says, however lenient its neighbours are.
func TestOverlappingRoutes(t *testing.T) {
	const policy = `
guardrails:
  - {name: high, when: '"risk" in entitlement.labels && entitlement.labels["risk"] == "high"', require: {maxFor: 12h}}
routes:
  - {name: deploy, when: 'entitlement.name == "orders/deploy"', maxFor: 8h, require: {ticket: 'CHG-\d+'}, stages: [{name: security, approvers: [{group: security}]}]}
  - {name: orders, when: 'entitlement.target == "orders"', maxFor: 10d, automatic: true}
  - {name: lab, when: 'target.environment == "staging"', maxFor: 30d, automatic: true}
  - {name: rest, when: 'true', maxFor: 1h, automatic: true}
`
	tests := []struct {
		name, entitlement, ticket string
		length                    writ.Duration
		route                     string
		allowed                   bool
		maxFor                    writ.Duration
	}{
		{"the first route decides", "orders/deploy", "CHG-1", day / 3, "deploy", true, day / 3},
		{"the longer limit of a later route lends nothing", "orders/deploy", "CHG-1", day / 2, "deploy", false, day / 3},
		{"a later route does not help where a ticket lacks", "orders/deploy", "", day / 3, "deploy", false, day / 3},
		{"the second where the first does not apply", "orders/read", "", 10 * day, "orders", true, 10 * day},
		{"its own limit, not the sandbox's", "orders/read", "", 11 * day, "orders", false, 10 * day},
		{"the sandbox", "lab/read", "", 30 * day, "lab", true, 30 * day},
	}
	p, d := mustCompile(t, policy), organisation()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := asking(func(a *ask) { a.Entitlement, a.Ticket, a.For = tt.entitlement, tt.ticket, tt.length }).query(t, d)
			v := p.Verdict(q)
			if v.Route != tt.route || v.Allowed != tt.allowed || v.MaxFor != tt.maxFor {
				t.Errorf("got route %q, allowed %v, maxFor %s: %s", v.Route, v.Allowed, v.MaxFor, v.Why())
			}
		})
	}
}

func TestVerdictSaysWhatIsMet(t *testing.T) {
	p := mustCompile(t, `
guardrails:
  - {name: short, maxFor: 2d}
routes:
  - name: deploy
    when: 'true'
    maxFor: 24h
    decideIn: 3h
    startWithin: 5h
    require: {ticket: 'CHG-\d+', justification: 5}
    ends: ['ticket/${ticket}', freeze/end-of-year]
    stages:
      - {name: manager, approvers: [{manager-of: requester}]}
      - {name: security, quorum: 2, approvers: [{group: security}]}
`)
	party := func(name writ.Ref) writ.Party { return writ.Party{Name: name, UID: "uid-" + writ.UID(name)} }
	want := writ.Verdict{
		Policy: p.Digest(), Allowed: true, Route: "deploy", MaxFor: day, DecideIn: day / 8, StartWithin: writ.Of(5 * time.Hour),
		Ends: []string{"ticket/CHG-1234", "freeze/end-of-year"},
		Reasons: []writ.Reason{
			{Rule: "short", Text: "guardrail short is met: at most 2d"},
			{Rule: "deploy", Text: `route deploy decides, and asks manager, then security; met: at most 24h, a justification of at least 5 characters, a ticket that matches CHG-\d+, a start within 5h`},
		},
		Stages: []writ.Stage{
			{Name: "manager", Quorum: 1, Approvers: []writ.Approver{{Party: party("human/max"), As: "manager of human/ann"}}},
			{Name: "security", Quorum: 2, Approvers: []writ.Approver{
				{Party: party("human/sue"), As: "group security"}, {Party: party("human/sam"), As: "group security"}, {Party: party("human/sam2"), As: "group security"},
			}},
		},
	}
	q := asking().query(t, organisation())
	if diff := cmp.Diff(want, p.Verdict(q)); diff != "" {
		t.Error(diff)
	}
	a, errA := p.Verdict(q).Digest()
	b, errB := p.Verdict(q).Digest()
	if a != b || errA != nil || errB != nil {
		t.Errorf("the same query has two verdicts: %s, %s", a, b)
	}
}

func TestJustificationStaysOutOfTheVerdict(t *testing.T) {
	p := mustCompile(t, route("require: {justification: 500}"))
	secret := "the customer is called Rumpelstiltskin"
	e := p.Explain(asking(func(a *ask) { a.why = &secret }).query(t, organisation()))
	if strings.Contains(e.String(), "Rumpel") || e.Verdict.Allowed {
		t.Errorf("got %s", e)
	}
}

// TestUndecidableIsDenied is threat T16: whatever goes wrong denies, and the
// reason names the rule.
func TestUndecidableIsDenied(t *testing.T) {
	costly := route("") + "guardrails: [{name: g, when: 'live.exists(l, subject.title.contains(\"abcdefgh\"))', deny: no}]\n"
	tests := []struct {
		name   string
		policy string
		dir    *writ.Directory
		change func(*Query)
		rule   string
		text   string
	}{
		{"a label that is missing, in a guardrail", "guardrails: [{name: g, when: 'entitlement.labels[\"colour\"] == \"red\"', deny: no}]\n" + automatic, nil, nil,
			"g", `guardrail g could not be evaluated, so it denies: there is no key "colour"`},
		{"a label that is missing, in a route before the one that would allow", "routes: [{name: r, when: 'subject.labels[\"x\"] == \"\"', automatic: true}, {name: s, when: 'true', automatic: true}]\n", nil, nil,
			"r", "route r could not be evaluated"},
		{"an index that is out of range", "guardrails: [{name: g, when: 'live[3].target == \"\"', deny: no}]\n" + automatic, nil, nil, "g", "index out of bounds"},
		{"a number that overflows", "guardrails: [{name: g, when: 'live.size() + 9223372036854775807 > live.size() + 9223372036854775807 + 1', deny: no}]\n" + automatic, nil, nil, "g", "overflow"},
		{"longer facts than the cost was estimated for", costly, organisation(identity("service/ci", func(i *writ.Identity) {
			i.Owner, i.Title = "human/ann", strings.Repeat("x", 40<<10)
		})), func(q *Query) {
			for range 2000 {
				q.Facts.Live = append(q.Facts.Live, writ.Live{ID: "req-2", Status: writ.StatusActive, Entitlement: "no/match"})
			}
		}, "g", "takes too many steps and was stopped"},
		{"no documents", automatic, nil, func(q *Query) { q.Facts.Directory = nil }, "policy", "documents"},
		{"the requester is gone", automatic, nil, func(q *Query) { q.Terms.Requester = writ.Party{Name: "human/zoe", UID: "uid"} }, "policy", "human/zoe"},
		{"the requester's name belongs to another", automatic, nil, func(q *Query) { q.Terms.Requester.UID = "old" }, "policy", "identity human/ann"},
		{"the subject's name belongs to another", automatic, nil, func(q *Query) { q.Terms.Subject.UID = "old" }, "policy", "identity service/ci"},
		{"the entitlement was made anew", automatic, nil, func(q *Query) { q.Terms.Entitlement.UID = "old" }, "policy", "entitlement orders/deploy"},
		{"the target was made anew", automatic, nil, func(q *Query) { q.Terms.Entitlement.TargetUID = "old" }, "policy", "target orders"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := asking().query(t, organisation())
			if tt.dir != nil {
				q.Facts.Directory = tt.dir
			}
			if tt.change != nil {
				tt.change(&q)
			}
			v := mustCompile(t, tt.policy).Verdict(q)
			told := slices.ContainsFunc(v.Reasons, func(r writ.Reason) bool {
				return r.Deny && r.Rule == tt.rule && strings.Contains(r.Text, tt.text)
			})
			if v.Allowed || !told {
				t.Errorf("got %+v", v)
			}
		})
	}
}

func TestPanicIsDenied(t *testing.T) {
	p := mustCompile(t, "guardrails: [{name: g, maxFor: 24h}]\n"+automatic)
	p.guardrails[0].demands[0].met = func(*facts) bool { panic("out of order") }
	v := p.Verdict(asking().query(t, organisation()))
	if v.Allowed || v.Why() != "guardrail g could not be evaluated, so it denies: out of order" {
		t.Errorf("got %+v", v)
	}
}

func TestWhatAConditionSees(t *testing.T) {
	d := organisation(group("deployers", "service/ci"))
	conditions := []string{
		`requester.name == "human/ann" && requester.kind == "human" && requester.manager == "human/max" && requester.state == "active"`,
		`subject.name == "service/ci" && subject.kind == "service" && subject.owner == "human/ann" && subject.deputy == "human/dee"`,
		`subject.environment == "production" && subject.labels["team"] == "orders" && "deployers" in subject.groups && subject.title == "" && subject.purpose == ""`,
		`subject.labels[?"x"].orValue("none") == "none" && !has(subject.manager)`,
		`entitlement.name == "orders/deploy" && entitlement.target == "orders" && entitlement.credential == "password"`,
		`entitlement.labels["risk"] == "high" && entitlement.owners == ["group/security"] && entitlement.maxFor == duration("720h")`,
		`target.name == "orders" && target.connector == "postgres" && target.environment == "production" && target.owners == ["human/eve"]`,
		`request.for == duration("24h") && request.ticket == "CHG-1234" && request.scope == {"service": "orders"} && request.ends == ["incident/INC-1"]`,
		`request.justified && !request.sealed && !has(request.startAt)`,
		`live.size() == 1 && live[0].entitlement == "orders/read" && live[0].target == "orders" && live[0].environment == "production" && live[0].status == "active"`,
		`now == timestamp("2026-01-05T12:00:00Z") && now.getHours() == 12 && now.getDayOfWeek() == 1`,
		`request.ticket.split("-")[0].lowerAscii() == "chg"`,
	}
	live := []writ.Live{
		{ID: "req-1", Status: writ.StatusPending, Entitlement: "orders/deploy"}, // the request itself
		{ID: "req-2", Status: writ.StatusActive, Entitlement: "orders/read", Target: "orders", Environment: "production"},
		{ID: "req-3", Status: writ.StatusClosed, Entitlement: "lab/read"},
	}
	q := asking(func(a *ask) { a.live, a.Ends = live, []string{"incident/INC-1"} }).query(t, d)
	q.Facts.Now = q.Facts.Now.In(time.FixedZone("far", 9*3600))
	for _, c := range conditions {
		p := mustCompile(t, "routes:\n  - name: r\n    automatic: true\n    when: |\n      "+c+"\n")
		if e := p.Explain(q); !e.Verdict.Allowed {
			t.Errorf("%s\n%s", c, e)
		}
	}
}

func TestConflictingEntitlements(t *testing.T) {
	p := mustCompile(t, "guardrails: [{name: four-eyes, conflicts: [orders/deploy, lab/read]}]\n"+automatic)
	live := func(entitlement string, s writ.Status) writ.Live {
		return writ.Live{ID: "req-2", Status: s, Entitlement: entitlement}
	}
	tests := []struct {
		name string
		ask  string
		live writ.Live
		deny bool
	}{
		{"both", "orders/deploy", live("lab/read", writ.StatusActive), true},
		{"both, the other way round", "lab/read", live("orders/deploy", writ.StatusActive), true},
		{"both only asked for", "lab/read", live("orders/deploy", writ.StatusPending), true},
		{"the other is not proven gone", "lab/read", live("orders/deploy", writ.StatusRevoking), true},
		{"the other is gone", "lab/read", live("orders/deploy", writ.StatusClosed), false},
		{"the same twice", "lab/read", live("lab/read", writ.StatusActive), false},
		{"another", "orders/read", live("lab/read", writ.StatusActive), false},
		{"beside another", "lab/read", live("orders/read", writ.StatusActive), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := p.Verdict(asking(func(a *ask) { a.Entitlement, a.live = tt.ask, []writ.Live{tt.live} }).query(t, organisation()))
			if v.Allowed == tt.deny || tt.deny && !strings.Contains(v.Why(), "service/ci has "+tt.live.Entitlement) {
				t.Errorf("got %+v", v)
			}
		})
	}
}

// TestCostIsBounded shows that what is accepted at load ends soon, whatever
// the facts are.
func TestCostIsBounded(t *testing.T) {
	for _, expr := range []string{
		"live.all(a, live.all(b, live.all(c, a.target == b.target || c.target == '')))",
		"subject.groups.exists(g, live.exists(l, requester.groups.exists(h, g + h == l.target)))",
		"live.map(a, live.map(b, a.target + b.target)).size() > 3",
		`requester.labels.all(k, requester.labels.all(l, requester.labels.all(m, k + l != m)))`,
		`subject.title.replace("", subject.title).replace("", subject.title).replace("", subject.title) != ""`,
	} {
		_, err := Compile(File{"p", "kind: policy\nname: p\nguardrails:\n  - name: g\n    deny: no\n    when: |\n      " + expr + "\n"})
		if err == nil || !errors.Is(err, writ.Invalid) || !strings.Contains(err.Error(), "steps") {
			t.Errorf("%s: %v", expr, err)
		}
	}
}
