package policy

import (
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writhq/writ"
)

var update = flag.Bool("update", false, "rewrite golden files")

var noon = time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)

const day = writ.Duration(24 * time.Hour)

// A tester is a test, a benchmark or a property.
type tester interface {
	Helper()
	Fatal(args ...any)
}

func identity(name string, change ...func(*writ.Identity)) writ.Identity {
	i := writ.Identity{Header: writ.Header{Kind: "identity", Name: name, UID: writ.UID("uid-" + name)}}
	for _, c := range change {
		c(&i)
	}
	return i
}

func group(name string, members ...writ.Ref) writ.Group {
	return writ.Group{Header: writ.Header{Kind: "group", Name: name, UID: writ.UID("uid-group/" + name)}, Members: members}
}

// organisation is who and what the tests are about. Ann works for Max and owns
// the deployer with Dee as deputy; Sue and Sam are security, and Sam has a
// second account; Gus has left; Bob works for nobody.
func organisation(more ...writ.Document) *writ.Directory {
	target := func(name, environment string, owners ...writ.Ref) writ.Target {
		return writ.Target{Header: writ.Header{Kind: "target", Name: name, UID: writ.UID("uid-" + name)}, Connector: "postgres", Environment: environment, Owners: owners}
	}
	entitlement := func(name string, labels map[string]string, owners ...writ.Ref) writ.Entitlement {
		at, _, _ := strings.Cut(name, "/")
		return writ.Entitlement{
			Header: writ.Header{Kind: "entitlement", Name: name, UID: writ.UID("uid-" + name)}, Target: at, Credential: "password",
			Grant: json.RawMessage(`{"role":"app"}`), MaxFor: 30 * day, Labels: labels, Owners: owners,
			Scope: map[string]writ.Param{"service": {Pattern: ".*", Default: "orders"}},
		}
	}
	docs := []writ.Document{
		identity("human/ann", func(i *writ.Identity) { i.Manager = "human/max" }),
		identity("human/max", func(i *writ.Identity) { i.Manager = "human/eve" }),
		identity("human/eve"),
		identity("human/dee", func(i *writ.Identity) { i.Manager = "human/max" }),
		identity("human/bob"),
		identity("human/sue", func(i *writ.Identity) { i.Person = "sue" }),
		identity("human/sam", func(i *writ.Identity) { i.Person = "sam" }),
		identity("human/sam2", func(i *writ.Identity) { i.Person = "sam" }),
		identity("human/gus", func(i *writ.Identity) { i.State = "disabled" }),
		identity("service/ci", func(i *writ.Identity) {
			i.Owner, i.Deputy, i.Environment, i.Askers = "human/ann", "human/dee", "production", []writ.Ref{"human/bob"}
			i.Labels = map[string]string{"team": "orders"}
		}),
		identity("service/robot", func(i *writ.Identity) { i.Owner = "human/eve" }),
		group("security", "human/sue", "human/sam", "human/sam2", "human/gus", "service/robot"),
		group("nobody"),
		target("orders", "production", "human/eve"), target("lab", "staging"),
		entitlement("orders/deploy", map[string]string{"risk": "high"}, "group/security"),
		entitlement("orders/read", map[string]string{"risk": "low"}),
		entitlement("lab/read", nil),
	}
	return writ.NewDirectory(append(docs, more...)...)
}

// ask is Ann asking for the deployer to deploy, unless it is changed.
type ask struct {
	writ.Ask
	requester writ.Ref
	why       *string
	live      []writ.Live
	later     bool // the request is on record
}

func asking(change ...func(*ask)) ask {
	why := "release 42 of the order service"
	a := ask{writ.Ask{Subject: "service/ci", Entitlement: "orders/deploy", For: day, Ticket: "CHG-1234", Why: "sha256:1"}, "human/ann", &why, nil, false}
	for _, c := range change {
		c(&a)
	}
	return a
}

func (a ask) query(t tester, d *writ.Directory) Query {
	t.Helper()
	f := writ.Facts{Now: noon, Actor: d.Identities[a.requester].Party(), Directory: d, Live: a.live}
	terms, err := a.Terms("req-1", f)
	if err != nil {
		t.Fatal(err)
	}
	if a.later {
		terms.Policy, a.why = "sha256:2", nil
	}
	return Query{terms, a.why, f}
}

func mustCompile(t tester, sources ...string) *Policy {
	t.Helper()
	var files []File
	for i, s := range sources {
		if !strings.HasPrefix(s, "kind:") {
			s = "kind: policy\nname: p" + string(rune('1'+i)) + "\n" + s
		}
		files = append(files, File{"policy.yaml", s})
	}
	p, err := Compile(files...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// golden compares got with a file, or rewrites it.
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
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), -update rewrites it:\n%s", file, diff)
	}
}
