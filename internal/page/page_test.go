package page

import (
	"html/template"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/writhq/writ"
)

// TestPlaceAfterSigningIn is a page of ours, whatever a link asked for.
func TestPlaceAfterSigningIn(t *testing.T) {
	for to, want := range map[string]string{
		"/keys": "/keys", "/requests/req-1": "/requests/req-1", "/": "/", "": "/",
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
