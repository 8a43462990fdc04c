package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/writhq/writ"
	"github.com/writhq/writ/policy/internal/people"
)

// staged makes a policy of one route with these stages.
func staged(stages ...string) string {
	return "routes:\n  - name: r\n    when: 'true'\n    stages:\n      - " + strings.Join(stages, "\n      - ") + "\n"
}

// asked tells the stages of a verdict: "manager 1: human/max (manager of human/ann)".
func asked(v writ.Verdict) string {
	var out []string
	for _, s := range v.Stages {
		text := fmt.Sprintf("%s %d:", s.Name, s.Quorum)
		for _, a := range s.Approvers {
			text += fmt.Sprintf(" %s (%s)", a.Name, a.As)
		}
		out = append(out, text)
	}
	return strings.Join(out, "; ")
}

func TestWhoIsAsked(t *testing.T) {
	manager := "{name: m, approvers: [{manager-of: requester}]}"
	as := func(requester, subject writ.Ref) func(*ask) {
		return func(a *ask) { a.requester, a.Subject = requester, subject }
	}
	tests := []struct {
		name   string
		policy string
		change func(*ask)
		more   []writ.Document
		want   string
		deny   string
	}{
		{"the requester's manager", staged(manager), nil, nil, "m 1: human/max (manager of human/ann)", ""},
		{"the manager of a machine's owner", staged(manager), as("service/ci", "service/ci"), nil, "m 1: human/max (manager of human/ann)", ""},
		{"the subject's owner's manager", staged("{name: m, approvers: [{manager-of: subject}]}"), as("human/bob", "service/ci"), nil, "m 1: human/max (manager of human/ann)", ""},
		{"the deputy's manager where the owner has left", staged(manager), as("service/ci", "service/ci"),
			[]writ.Document{identity("human/ann", func(i *writ.Identity) { i.State = "disabled" })}, "m 1: human/max (manager of human/dee)", ""},
		{"no manager", staged(manager), as("human/bob", "service/ci"), nil, "m 1:",
			"stage m needs 1 approver, but human/bob has no manager; set manager in the identity document"},
		{"a manager who has left", staged(manager), nil, []writ.Document{identity("human/max", func(i *writ.Identity) { i.State = "retired" })}, "m 1:",
			"stage m needs 1 approver, but human/max is retired"},
		{"a manager who owns the subject", staged(manager), as("human/max", "service/robot"), nil, "m 1:",
			"stage m needs 1 approver, but human/eve may not approve this request: they answer for service/robot; nobody approves for themselves"},
		{"the owner, on purpose", staged("{name: o, approvers: [{owner-of: subject}]}"), as("human/bob", "service/ci"), nil,
			"o 1: human/ann (owner of service/ci) human/dee (owner of service/ci)", ""},
		{"not the owner who asked, but the deputy", staged("{name: o, approvers: [{owner-of: subject}]}"), nil, nil,
			"o 1: human/dee (owner of service/ci)", ""},
		{"nobody where the machine asks for itself", staged("{name: o, approvers: [{owner-of: subject}]}"), as("service/ci", "service/ci"), nil, "o 1:",
			"stage o needs 1 approver, but human/ann may not approve this request: they answer for service/ci"},
		{"the owner of the subject is let in by their own entry only", staged("{name: o, approvers: [{identity: human/ann}, {owner-of: subject}]}"), as("human/bob", "service/ci"), nil,
			"o 1: human/ann (owner of service/ci) human/dee (owner of service/ci)", ""},
		{"the owners of the entitlement", staged("{name: e, approvers: [{owner-of: entitlement}]}"), nil, nil,
			"e 1: human/sue (owner of orders/deploy) human/sam (owner of orders/deploy) human/sam2 (owner of orders/deploy)", ""},
		{"the owners of its target, where it has none", staged("{name: e, approvers: [{owner-of: entitlement}]}"), func(a *ask) { a.Entitlement = "orders/read" }, nil,
			"e 1: human/eve (owner of orders)", ""},
		{"neither has owners", staged("{name: e, approvers: [{owner-of: entitlement}]}"), func(a *ask) { a.Entitlement = "lab/read" }, nil, "e 1:", "lab has no owners; set owners in its document"},
		{"a person", staged("{name: p, approvers: [{identity: human/eve}]}"), nil, nil, "p 1: human/eve (named by policy)", ""},
		{"a person who does not exist", staged("{name: p, approvers: [{identity: human/zoe}]}"), nil, nil, "p 1:", "there is no human/zoe"},
		{"a group of active people", staged("{name: s, approvers: [{group: security}]}"), nil, nil,
			"s 1: human/sue (group security) human/sam (group security) human/sam2 (group security)", ""},
		{"an empty group", staged("{name: s, approvers: [{group: nobody}]}"), nil, nil, "s 1:", "group nobody has no members"},
		{"a group that does not exist", staged("{name: s, approvers: [{group: missing}]}"), nil, nil, "s 1:", "group missing has no members"},
		{"whoever is named twice is asked once", staged("{name: s, approvers: [{identity: human/sue}, {group: security}]}"), nil, nil,
			"s 1: human/sue (named by policy) human/sam (group security) human/sam2 (group security)", ""},
		{"two people for two", staged("{name: s, quorum: 2, approvers: [{group: security}]}"), nil, nil,
			"s 2: human/sue (group security) human/sam (group security) human/sam2 (group security)", ""},
		{"two accounts are one person", staged("{name: s, quorum: 3, approvers: [{group: security}]}"), nil, nil,
			"s 3: human/sue (group security) human/sam (group security) human/sam2 (group security)",
			"stage s needs 3 approvers, but only 2 persons may approve: human/gus is disabled; service/robot is not a person"},
		{"one person for two stages", staged(manager, "{name: s, approvers: [{identity: human/max}]}"), nil, nil,
			"m 1: human/max (manager of human/ann); s 1: human/max (named by policy)", "stages m, s need 2 different people"},
		{"two stages that share people", staged("{name: a, approvers: [{group: security}]}", "{name: b, approvers: [{identity: human/sue}]}"), nil, nil,
			"a 1: human/sue (group security) human/sam (group security) human/sam2 (group security); b 1: human/sue (named by policy)", ""},
		{"the same two people for three seats", staged("{name: a, quorum: 2, approvers: [{group: security}]}", "{name: b, approvers: [{identity: human/sue}]}"), nil, nil,
			"a 2: human/sue (group security) human/sam (group security) human/sam2 (group security); b 1: human/sue (named by policy)", "stages a, b need 3 different people"},
		{"the requester's second account", staged("{name: s, approvers: [{group: security}]}"), as("human/sam", "human/sam"), nil, "s 1: human/sue (group security)", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := asking()
			if tt.change != nil {
				tt.change(&a)
			}
			v := mustCompile(t, tt.policy).Verdict(a.query(t, organisation(tt.more...)))
			if got := asked(v); got != tt.want {
				t.Errorf("asked are\n%s, want\n%s", got, tt.want)
			}
			if v.Allowed != (tt.deny == "") || !v.Allowed && !strings.Contains(v.Why(), tt.deny) {
				t.Errorf("allowed %v: %s", v.Allowed, v.Why())
			}
			if owner := strings.Contains(tt.policy, "owner-of: subject"); v.Stages[0].Owner != owner {
				t.Errorf("owner is %v", v.Stages[0].Owner)
			}
		})
	}
}

func TestTooManyPeopleAreRefused(t *testing.T) {
	var docs []writ.Document
	var members []writ.Ref
	for i := range people.Max + 1 {
		p := identity(fmt.Sprintf("human/p%d", i))
		docs, members = append(docs, p), append(members, p.Ref())
	}
	p := mustCompile(t, staged("{name: s, approvers: [{group: all}]}"))
	v := p.Verdict(asking().query(t, organisation(append(docs, group("all", members...))...)))
	if v.Allowed || !strings.Contains(v.Why(), "101 people could approve this, and at most 100 may") {
		t.Errorf("got %s", v.Why())
	}
	v = p.Verdict(asking().query(t, organisation(append(docs, group("all", members[1:]...))...)))
	if !v.Allowed {
		t.Errorf("got %s", v.Why())
	}
}

// TestPeopleWhoLeaveTakeNoApprovalBack shows what differs once a request is on
// record: that a stage lacks people is said, and is no reason to deny.
func TestPeopleWhoLeaveTakeNoApprovalBack(t *testing.T) {
	p := mustCompile(t, staged("{name: m, approvers: [{manager-of: requester}]}"))
	alone := organisation(identity("human/max", func(i *writ.Identity) { i.State = "disabled" }))
	v := p.Verdict(asking(func(a *ask) { a.later = true }).query(t, alone))
	said := slices.ContainsFunc(v.Reasons, func(r writ.Reason) bool { return !r.Deny && strings.Contains(r.Text, "human/max is disabled") })
	if !v.Allowed || !said || asked(v) != "m 1:" {
		t.Errorf("got %+v", v)
	}
}

// TestNobodyApprovesForThemselves is invariant L5 on random organisations: no
// road of ownership leads from anybody who is asked to who asks or who gets.
func TestNobodyApprovesForThemselves(t *testing.T) {
	p := mustCompile(t, staged(
		"{name: a, approvers: [{manager-of: requester}, {manager-of: subject}]}",
		"{name: b, approvers: [{group: g}, {owner-of: entitlement}]}",
		"{name: c, approvers: [{owner-of: subject}]}",
		"{name: d, approvers: [{identity: human/h0}, {identity: human/h1}]}",
	))
	asked := 0
	rapid.Check(t, func(t *rapid.T) {
		d := drawOrganisation(t)
		all := d.Expand("group/all")
		pick := func(from []writ.Identity, what string) writ.Identity { return rapid.SampledFrom(from).Draw(t, what) }
		requester, subject := pick(all, "requester"), pick(all, "subject")
		v := p.Verdict(asking(func(a *ask) { a.requester, a.Subject = requester.Ref(), subject.Ref() }).query(t, d))
		if len(v.Stages) != 4 {
			t.Fatalf("%s", v.Why())
		}
		for _, s := range v.Stages {
			for _, a := range s.Approvers {
				asked++
				who := d.Identities[a.Name]
				if !who.Human() || !who.Active() || who.UID != a.UID {
					t.Fatalf("%s is asked", a.Name)
				}
				owned := ownedBy(who, all)
				onPurpose := strings.HasPrefix(a.As, "owner of "+subject.Name) && requester.Name != subject.Name
				if owned[requester.Name] || owned[subject.Name] && !onPurpose {
					t.Fatalf("%s (%s) approves what %s asks for %s", a.Name, a.As, requester.Name, subject.Name)
				}
			}
		}
	})
	if asked == 0 {
		t.Error("nobody was ever asked")
	}
}

// ownedBy walks the roads of ownership: a person is all their accounts, and
// whoever owns something or is deputy for it reaches it and what that owns.
func ownedBy(who writ.Identity, all []writ.Identity) map[string]bool {
	reached := map[string]bool{who.Name: true}
	for grown := true; grown; {
		grown = false
		for _, i := range all {
			for _, from := range all {
				same := from.Person != "" && from.Person == i.Person
				if reached[from.Name] && !reached[i.Name] && (same || i.Owner == from.Ref() || i.Deputy == from.Ref()) {
					reached[i.Name], grown = true, true
				}
			}
		}
	}
	return reached
}

func drawOrganisation(t *rapid.T) *writ.Directory {
	var humans, all []writ.Ref
	for i := range rapid.IntRange(2, 6).Draw(t, "humans") {
		humans = append(humans, writ.Ref(fmt.Sprintf("human/h%d", i)))
	}
	human := func(what string) writ.Ref { return rapid.SampledFrom(append([]writ.Ref{""}, humans...)).Draw(t, what) }
	var docs []writ.Document
	for _, ref := range humans {
		docs = append(docs, identity(string(ref), func(i *writ.Identity) {
			i.Person = rapid.SampledFrom([]string{"", "", "x", "y"}).Draw(t, "person")
			i.State = rapid.SampledFrom([]string{"", "", "active", "disabled"}).Draw(t, "state")
			if i.Manager = human("manager"); i.Manager == ref {
				i.Manager = ""
			}
		}))
	}
	all = append(all, humans...)
	for n := range rapid.IntRange(1, 4).Draw(t, "machines") {
		ref := writ.Ref(fmt.Sprintf("service/s%d", n))
		docs = append(docs, identity(string(ref), func(i *writ.Identity) {
			i.Owner, i.Deputy = rapid.SampledFrom(humans).Draw(t, "owner"), human("deputy")
			i.Askers = rapid.SliceOfN(rapid.SampledFrom(all), 0, 2).Draw(t, "askers")
		}))
		all = append(all, ref)
	}
	docs = append(docs, group("all", all...),
		group("g", rapid.SliceOfNDistinct(rapid.SampledFrom(all), 0, 4, rapid.ID[writ.Ref]).Draw(t, "group")...))
	return organisation(docs...)
}
