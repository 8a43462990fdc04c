package writ

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestOrderExistsOnceAuthorized: no writ, no access.
func TestOrderExistsOnceAuthorized(t *testing.T) {
	for _, status := range statuses {
		r := in(t, status, deploy).request("req-a").Request
		o, err := r.Order()
		if exists := status.Holds() || status == StatusClosed; !exists {
			refused(t, string(status), err, Conflict, "no writ exists for it")
			continue
		}
		if err == nil {
			err = o.Check(r)
		}
		if err != nil {
			t.Errorf("%s: %v", status, err)
		}
	}
}

// TestCheckSeesEveryField changes each field of a writ in turn, T1.
func TestCheckSeesEveryField(t *testing.T) {
	a := deploy
	a.Ends, a.StartAt, a.Ticket = []string{"incident/INC-7"}, monday.Add(time.Hour), "CHG-1"
	r := in(t, StatusAuthorized, a).request("req-a").Request
	o, err := r.Order()
	if err != nil {
		t.Fatal(err)
	}
	text, err := o.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	n := 0
	leaves(tree, "writ", func(path string, was any, set func(any)) {
		set(other(was))
		changed, _ := json.Marshal(tree)
		set(was)
		var forged Order
		if err := json.Unmarshal(changed, &forged); err != nil {
			return // what cannot be read is not carried out either
		}
		n++
		refused(t, path, forged.Check(r), Stale, "nothing is done")
	})
	if n < 35 {
		t.Errorf("only %d fields were changed", n)
	}
}

// leaves calls f for every value in a JSON tree that is no list or object.
func leaves(v any, path string, f func(path string, was any, set func(any))) {
	next := func(key string, child any, set func(any)) {
		switch child.(type) {
		case map[string]any, []any:
			leaves(child, path+"."+key, f)
		default:
			f(path+"."+key, child, set)
		}
	}
	switch node := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(node)) {
			next(k, node[k], func(x any) { node[k] = x })
		}
	case []any:
		for i := range node {
			next(fmt.Sprint(i), node[i], func(x any) { node[i] = x })
		}
	}
}

// other is another value of the same type.
func other(v any) any {
	switch v := v.(type) {
	case string:
		if at, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return at.Add(time.Second).Format(time.RFC3339Nano)
		}
		if d, err := ParseDuration(v); err == nil {
			return (d + hour).String()
		}
		return v + "x"
	case float64:
		return v + 1
	}
	return "other"
}

// TestCheckSeesAForgedRequest changes writ and request alike, as somebody could
// who writes to the database.
func TestCheckSeesAForgedRequest(t *testing.T) {
	for _, c := range []struct {
		what  string
		forge func(*Request)
		says  string
	}{
		{"other terms under the old digest", func(r *Request) { r.Terms.Scope = map[string]string{"schema": "audit", "table": "orders"} }, "are not those that were approved"},
		{"other terms under their own digest", func(r *Request) { r.Terms.For = hour; r.Digest, _ = r.Terms.Digest(); r.Until = r.From.Add(time.Hour) }, "is of other terms"},
		{"a longer time", func(r *Request) { r.Until = r.Until.Add(time.Second) }, "does not last as long"},
		{"a shorter time", func(r *Request) { r.Until = r.Until.Add(-time.Second) }, "does not last as long"},
		{"a later time", func(r *Request) { r.From, r.Until = r.From.AddDate(0, 1, 0), r.Until.AddDate(0, 1, 0) }, "starts outside its terms"},
		{"a vote less", func(r *Request) { r.Votes = r.Votes[:1] }, "lacks approvals in stage security"},
		{"no votes", func(r *Request) { r.Votes = nil }, "lacks approvals in stage manager"},
		{"one vote twice", func(r *Request) { r.Votes = append(r.Votes[:1:1], r.Votes[0]); r.Votes[1].Stage = "security" }, "approved twice by the person of human/ann"},
		{"a vote by a second account", func(r *Request) {
			r.Votes = append(r.Votes[:2:2], Vote{Stage: "security", By: Party{"human/x", "x"}, Person: "p-cyd", Digest: r.Digest, At: r.At})
		}, "approved twice by the person of human/x"},
		{"a vote by somebody else", func(r *Request) { r.Votes = append(r.Votes[:1:1], r.Votes[1]); r.Votes[1].By = Party{"human/x", "x"} }, "human/x, who is not of stage security"},
	} {
		r := in(t, StatusAuthorized, deploy).request("req-a").Request
		c.forge(&r)
		o, err := r.Order()
		if err == nil {
			err = o.Check(r)
		}
		refused(t, c.what, err, Stale, c.says)
	}
}

// TestNarrows: only what gives less of the same keeps its approvals.
func TestNarrows(t *testing.T) {
	r := in(t, StatusPending, deploy).request("req-a").Request
	for _, c := range []struct {
		what    string
		change  func(*Terms)
		narrows bool
	}{
		{"the same", func(*Terms) {}, true},
		{"the next revision", func(t *Terms) { t.Revision++ }, true},
		{"shorter", func(t *Terms) { t.For = hour }, true},
		{"longer", func(t *Terms) { t.For += hour }, false},
		{"with more that ends it", func(t *Terms) { t.Ends = []string{"incident/INC-7"} }, true},
		{"starting later, as late as before at most", func(t *Terms) { t.StartAt = monday.Add(time.Hour) }, true},
		{"starting sooner at the latest", func(t *Terms) { t.StartBy = t.StartBy.Add(-1) }, true},
		{"starting later at the latest", func(t *Terms) { t.StartBy = t.StartBy.Add(1) }, false},
		{"another scope", func(t *Terms) { t.Scope = map[string]string{"schema": "audit", "table": "orders"} }, false},
		{"another entitlement", func(t *Terms) { t.Entitlement.Name = "db/all" }, false},
		{"another grant", func(t *Terms) { t.Entitlement.Grant = []byte(`{"role":"admin"}`) }, false},
		{"the grant in other bytes", func(t *Terms) { t.Entitlement.Grant = []byte(` { "role" : "deploy" } `) }, true},
		{"another subject", func(t *Terms) { t.Subject.UID = "x" }, false},
		{"another request", func(t *Terms) { t.Request = "req-b" }, false},
		{"another key to seal to", func(t *Terms) { t.Recipient = "age1x" }, false},
		{"another policy", func(t *Terms) { t.Policy = "sha256:x" }, false},
	} {
		next := r.Terms.clone()
		c.change(&next)
		if got := next.Narrows(r.Terms); got != c.narrows {
			t.Errorf("%s: %t", c.what, got)
		}
	}
	later := r.Terms.clone()
	later.StartAt = monday.Add(time.Hour)
	if r.Terms.Narrows(later) {
		t.Error("what may start sooner gives less")
	}
	ends := r.Terms.clone()
	ends.Ends = []string{"incident/INC-7"}
	if r.Terms.Narrows(ends) {
		t.Error("what no longer ends with the incident gives less")
	}
}

// TestHold: the same membership of the same account, and nothing else, is shared.
func TestHold(t *testing.T) {
	readers := Ask{Subject: ci, Entitlement: "db/readers", For: hour}
	w := newWorld()
	hold := func(change func(*Terms)) Digest {
		terms, err := readers.Terms("req-a", w.facts(dee, "req-a"))
		if err != nil {
			t.Fatal(err)
		}
		change(&terms)
		return terms.Hold()
	}
	same := hold(func(*Terms) {})
	for what, d := range map[string]Digest{
		"another request":   hold(func(t *Terms) { t.Request, t.For, t.Requester = "req-b", 2*hour, Party{} }),
		"another name only": hold(func(t *Terms) { t.Entitlement.Name, t.Entitlement.UID = "db/x", "x" }),
		"another subject":   hold(func(t *Terms) { t.Subject = Party{"service/x", "x"} }),
	} {
		if d != same {
			t.Errorf("%s is another access", what)
		}
	}
	for what, d := range map[string]Digest{
		"another target": hold(func(t *Terms) { t.Entitlement.TargetUID = "x" }),
		"another grant":  hold(func(t *Terms) { t.Entitlement.Grant = []byte(`{"group":"writers"}`) }),
		"another scope":  hold(func(t *Terms) { t.Scope = map[string]string{"a": "b"} }),
	} {
		if d == same || d == "" {
			t.Errorf("%s is the same access", what)
		}
	}
	if d := hold(func(t *Terms) { t.Entitlement.Credential = "password" }); d != "" {
		t.Errorf("a password is shared: %s", d)
	}
}

// TestLiveTellsEnough: what other decisions know of a request is what a world
// of these tests tells them.
func TestLiveTellsEnough(t *testing.T) {
	w := in(t, StatusGranting, Ask{Subject: ci, Entitlement: "db/readers", For: hour})
	want := w.facts(writ, "req-b").Live[0]
	if got := w.request("req-a").Live(); got != want || got.Hold == "" || !got.InFlight {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestTightenIsNeverLooser draws two verdicts: what both together let through,
// each lets through.
func TestTightenIsNeverLooser(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		frozen, now := drawVerdict(t, "frozen"), drawVerdict(t, "now")
		both := frozen.Tighten(now)
		for _, v := range []Verdict{frozen, now} {
			if both.Allowed && !v.Allowed {
				t.Fatal("allowed what one denies")
			}
			if v.MaxFor > 0 && (both.MaxFor == 0 || both.MaxFor > v.MaxFor) {
				t.Fatalf("longer: %s, one says %s", both.MaxFor, v.MaxFor)
			}
			for _, end := range v.Ends {
				if !slices.Contains(both.Ends, end) {
					t.Fatalf("%s no longer ends it", end)
				}
			}
			for _, s := range v.Stages {
				if i := both.stage(s.Name); i < 0 || !both.Stages[i].within(s) {
					t.Fatalf("stage %s is easier", s.Name)
				}
			}
		}
		if twice := both.Tighten(now); fmt.Sprint(twice.Stages, twice.MaxFor, twice.Ends, twice.Allowed) != fmt.Sprint(both.Stages, both.MaxFor, both.Ends, both.Allowed) {
			t.Fatalf("twice is another:\n%+v\n%+v", twice, both)
		}
	})
}

// within reports whether whatever fills the stage fills the other, too.
func (s Stage) within(other Stage) bool {
	stranger := func(a Approver) bool { return !other.Has(a.UID) }
	return s.Quorum >= other.Quorum && (other.Owner || !s.Owner) && !slices.ContainsFunc(s.Approvers, stranger)
}

func drawVerdict(t *rapid.T, label string) Verdict {
	v := Verdict{
		Allowed: rapid.Bool().Draw(t, label+" allowed"),
		MaxFor:  hour * Duration(rapid.IntRange(0, 3).Draw(t, label+" hours")),
		Ends:    rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a/1", "b/2"}), 0, 2, rapid.ID[string]).Draw(t, label+" ends"),
	}
	names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"one", "two", "three"}), 0, 3, rapid.ID[string])
	for _, name := range names.Draw(t, label+" stages") {
		s := Stage{Name: name, Quorum: rapid.IntRange(0, 3).Draw(t, "quorum"), Owner: rapid.Bool().Draw(t, "owner")}
		for _, who := range rapid.SliceOfNDistinct(rapid.SampledFrom([]UID{"a", "b", "c"}), 0, 3, rapid.ID[UID]).Draw(t, "approvers") {
			s.Approvers = append(s.Approvers, Approver{Party{Ref(who), who}, "test"})
		}
		v.Stages = append(v.Stages, s)
	}
	return v
}
