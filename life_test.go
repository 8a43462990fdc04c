package writ

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata; read the diff")

// golden compares text with a file of testdata, or rewrites the file.
func golden(t *testing.T, name, text string) {
	t.Helper()
	name = "testdata/" + name
	if *update {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("%s is no longer so; if it is meant, run with -update and read the diff:\n%s", name, diff)
	}
}

var statuses = []Status{
	StatusPending, StatusDenied, StatusWithdrawn, StatusLapsed, StatusAuthorized, StatusGranting, StatusActive, StatusRevoking, StatusClosed,
}

// TestLife says that the table and the bodies name the same kinds.
func TestLife(t *testing.T) {
	for name, k := range life {
		b, err := k.read([]byte("{}"))
		if err != nil || b.Kind() != name {
			t.Errorf("%s reads as %v, %v", name, b, err)
		}
	}
	for name, read := range others {
		b, err := read([]byte("{}"))
		if err != nil || b.Kind() != name {
			t.Errorf("%s reads as %v, %v", name, b, err)
		}
	}
}

// TestPictureOfTheLife draws the table of legal steps.
func TestPictureOfTheLife(t *testing.T) {
	edges := map[[2]Status][]string{}
	for _, name := range slices.Sorted(maps.Keys(life)) {
		for from, to := range life[name].steps {
			edges[[2]Status{from, to}] = append(edges[[2]Status{from, to}], string(name))
		}
	}
	place := func(k [2]Status) int {
		return slices.Index(statuses, k[0])*len(statuses) + slices.Index(statuses, k[1])
	}
	keys := slices.SortedFunc(maps.Keys(edges), func(a, b [2]Status) int { return place(a) - place(b) })
	text := "```mermaid\nstateDiagram-v2\n"
	for _, k := range keys {
		text += fmt.Sprintf("    %s --> %s: %s\n", orElse(k[0], "[*]"), k[1], strings.Join(edges[k], ", "))
	}
	for _, s := range statuses {
		if !s.Holds() && s != StatusPending {
			text += fmt.Sprintf("    %s --> [*]\n", s)
		}
	}
	golden(t, "life.md", text+"```\n")
}

// TestOnceAuthorizedEveryWayLeadsThroughRevoking walks the table itself.
func TestOnceAuthorizedEveryWayLeadsThroughRevoking(t *testing.T) {
	for name, k := range life {
		for from, to := range k.steps {
			switch {
			case to == StatusClosed && from != StatusRevoking:
				t.Errorf("%s leads from %s to closed", name, from)
			case from.Holds() && !to.Holds() && to != StatusClosed:
				t.Errorf("%s leads from %s to %s: nothing takes the access away", name, from, to)
			case to == StatusActive && from != StatusGranting && from != StatusActive:
				t.Errorf("%s leads from %s to active", name, from)
			}
		}
	}
}

// in returns a world in which fay has asked for access for ci, and the request
// req-a has come as far as status.
func in(t *testing.T, status Status, a Ask) *world {
	t.Helper()
	w := newWorld()
	must := must(t)
	must(w.ask(fay, "req-a", a))
	digest := w.request("req-a").Digest
	switch status {
	case StatusDenied:
		must(w.do(ann, "req-a", Deny{Digest: digest}))
	case StatusWithdrawn:
		must(w.do(fay, "req-a", Withdraw{}))
	case StatusLapsed:
		w.now = w.now.Add(7 * 24 * time.Hour)
		must(w.do(writ, "req-a", Lapse{}))
	}
	for _, s := range []struct {
		by Ref
		c  Command
	}{
		{ann, Approve{Digest: digest}},
		{cyd, Approve{Digest: digest}},
		{writ, BeginGrant{Writ: "jws"}},
		{writ, ReportGrant{Attempt: 1, Receipt: Receipt{External: "x"}, Seen: Observation{State: Present}}},
		{sol, Revoke{}},
		{writ, BeginRevoke{}},
		{writ, ReportRevoke{Attempt: 3, Seen: Observation{State: Absent}}},
	} {
		if w.request("req-a").Status == status {
			return w
		}
		must(w.do(s.by, "req-a", s.c))
	}
	if got := w.request("req-a").Status; got != status {
		t.Fatalf("the request is %s, not %s", got, status)
	}
	return w
}
