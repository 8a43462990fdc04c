package page

import (
	"errors"
	"html/template"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/door"
	"github.com/writhq/writ/internal/page/view"
)

// TestPlaceAfterSigningIn is a page of ours, whatever a link asked for.
func TestPlaceAfterSigningIn(t *testing.T) {
	for to, want := range map[string]string{
		"/keys": "/keys", "/access": "/access", "/requests/req-1": "/requests/req-1", "/": "/", "": "/",
		"/ask/orders-db/deploy": "/ask/orders-db/deploy", "/log/3": "/log/3", "/asks": "/", "/ask//evil.example": "/", "/ask/../sign-out": "/",
		"//evil.example": "/", "https://evil.example": "/", "/requests/": "/", "/requests//evil.example": "/", "/requests/../x": "/",
		"/requests/\\evil": "/", "/requests/a?b": "/", "/requests/%2e%2e": "/", "/\\evil.example": "/", "javascript:alert(1)": "/", "/sign-out": "/",
	} {
		if got := local(to); got != want {
			t.Errorf("%q leads to %q, not %q", to, got, want)
		}
	}
}

// TestWhatChangesSomethingComesFromAPageOfOurs.
func TestWhatChangesSomethingComesFromAPageOfOurs(t *testing.T) {
	p := &Pages{Config: Config{Origin: "https://writ.example.org"}}
	for name, test := range map[string]struct {
		method  string
		origins []string
		ok      bool
	}{
		"ours":             {"POST", []string{"https://writ.example.org"}, true},
		"a fetch":          {"GET", []string{"https://evil.example"}, true},
		"none":             {"POST", nil, false},
		"null":             {"POST", []string{"null"}, false},
		"another port":     {"POST", []string{"https://writ.example.org:8443"}, false},
		"in clear text":    {"POST", []string{"http://writ.example.org"}, false},
		"a longer one":     {"POST", []string{"https://writ.example.org.evil.example"}, false},
		"two":              {"POST", []string{"https://writ.example.org", "https://evil.example"}, false},
		"a method unknown": {"DELETE", []string{"https://evil.example"}, false},
	} {
		r := httptest.NewRequest(test.method, "/keys", nil)
		r.Header["Origin"] = test.origins
		if err := p.fromHere(r); (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTextOfOthersIsInert: T14. It neither acts nor hides, wherever it stands.
func TestTextOfOthersIsInert(t *testing.T) {
	shown := template.Must(template.New("").Funcs(funcs).Parse(`<p title="{{safe .}}">{{safe .}}</p>{{range lines .}}{{safe .}}{{end}}`))
	for _, text := range []string{"<script>alert(1)</script>", "\u202egnihton", "a\x00b", "zero\u200bwidth", `" onload="x`, "\u2066a\u2069", "\xff"} {
		var out strings.Builder
		if err := shown.Execute(&out, text); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); strings.Contains(got, "<script") || strings.Contains(got, `" onload`) || strings.ContainsAny(got, "\u202e\u200b\u2066\x00") {
			t.Errorf("%q is shown as %q", text, got)
		}
	}
	for _, v := range []any{"a", writ.Ref("a"), writ.ID("a"), writ.Digest("a"), writ.Status("a")} {
		if plain(v) != "a" {
			t.Errorf("%T is not shown", v)
		}
	}
	if _, ok := statuses[writ.Conflict]; !ok || statuses[writ.Stale] != http.StatusPreconditionFailed {
		t.Error("faults have no status")
	}
}

// TestWhatIsNotGoneStandsOnTop: with its problem, for how long, and before all
// access that is as it should be.
func TestWhatIsNotGoneStandsOnTop(t *testing.T) {
	p := &Pages{templates: map[string]*template.Template{}}
	if err := p.parse(); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	stuck := writ.Request{
		ID: "req-1", Status: writ.StatusRevoking, EndedAt: now.Add(-2 * time.Hour), Tries: 9, End: &writ.Ended{Cause: writ.CutOff},
		Problem: "postgres: connection refused \u202e",
	}
	stuck.Terms.Subject.Name = "service/ci"
	fine := writ.Request{ID: "req-2", Status: writ.StatusActive, From: now.Add(-time.Hour), Until: now.Add(time.Hour)}
	chart := view.NewChart(now, []writ.Request{fine})
	var out strings.Builder
	err := p.templates["access"].Execute(&out, map[string]any{
		"Viewer": &viewer{}, "Ending": []writ.Request{stuck}, "Chart": chart, "By": "", "Next": "", "Paged": false, "Cut": false, "Filter": door.Filter{},
		"Bundles": bundles([]row{{Request: fine, Bar: chart.Bar(fine)}}, false),
	})
	if err != nil {
		t.Fatal(err)
	}
	page := out.String()
	for _, want := range []string{"Not gone yet", "2h ago", "9 tries failed", `connection refused \u202e`, "service/ci"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if strings.Index(page, "req-1") > strings.Index(page, "req-2") {
		t.Error("what is not gone stands below what is active")
	}
}

// TestLess reads what an approver gives, and leaves out what they left empty.
func TestLess(t *testing.T) {
	read := func(query string) (door.Less, error) {
		return less(httptest.NewRequest("GET", "/requests/req-1/narrow?"+query, nil))
	}
	got, err := read("digest=x&for=1h&ends=incident/INC-7+ticket/CHG-1&startBy=2026-11-23T21:00&scope.schema=app&scope.table=")
	want := door.Less{
		For: writ.Of(time.Hour), Scope: map[string]string{"schema": "app"}, Ends: []string{"incident/INC-7", "ticket/CHG-1"},
		StartBy: time.Date(2026, 11, 23, 21, 0, 0, 0, time.UTC),
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	if got, err := read("digest=x&for=&ends=&startBy="); err != nil || got.For != 0 || got.Scope != nil || len(got.Ends) != 0 || !got.StartBy.IsZero() {
		t.Errorf("nothing is read as %+v, %v", got, err)
	}
	for _, bad := range []string{"for=soon", "startBy=tomorrow", "%zz"} {
		if _, err := read(bad); !errors.Is(err, writ.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestChoices: a parameter is offered only where something is less than what
// was asked for, by one or more steps.
func TestChoices(t *testing.T) {
	d := dossier{}
	d.Terms.Scope = map[string]string{"schema": "all", "table": "orders"}
	d.Terms.Entitlement.Covers = map[string]writ.Covers{"schema": {"all": {"app"}, "app": {"app-read"}, "other": {"else"}}, "table": {"all": {"orders"}}}
	want := []choice{{Name: "schema", Now: "all", Less: []string{"app", "app-read"}}}
	if diff := cmp.Diff(want, d.Choices()); diff != "" {
		t.Error(diff)
	}
}
