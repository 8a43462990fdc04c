package web

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/connector/issuer"
	"github.com/writhq/writ/internal/document"
	"github.com/writhq/writ/internal/door"
	"github.com/writhq/writ/internal/store"
	"github.com/writhq/writ/ledger"
	"github.com/writhq/writ/policy"
)

// world is a server of the sample organisation in which a token is the name of
// whom it speaks for.
type world struct {
	*testing.T
	url string
	log bytes.Buffer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	signer, err := ledger.NewSigner("web-test", make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t}
	log := slog.New(slog.NewTextHandler(&w.log, nil))
	db, err := store.Open(t.Context(), store.Config{DSN: filepath.Join(t.TempDir(), "writ.db"), Log: signer, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	_, err = db.Update(t.Context(), store.Change{Decide: func(_ writ.Request, f writ.Facts) ([]writ.Event, error) {
		return []writ.Event{{Stream: writ.LedgerStream, Seq: 1, At: f.Now, Actor: writ.System, Body: writ.Opened{Origin: "web-test", LogKey: signer.VerifierKey()}}}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	d := door.New(door.Config{
		Store: db, Judge: policy.NewJudge(), Drivers: map[string]connector.Driver{"issuer": issuer.Driver{}},
		Target: func(context.Context, writ.Target) error { return nil },
	})
	docs, err := document.ParseFS(os.DirFS("../../cmd/writ/sample"), ".")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Put(t.Context(), door.System, door.Put{Documents: docs}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(New(Config{
		Door: d, Version: "test", Logger: log, Ready: func(context.Context) error { return nil },
		Who: func(_ context.Context, token string) (writ.Party, error) {
			i, ok := db.Directory().Identities[writ.Ref(token)]
			if !ok {
				return writ.Party{}, writ.Errorf(writ.Unauthenticated, "the token is not accepted")
			}
			return i.Party(), nil
		},
		Origin: "https://writ.example.org",
		Session: func(r *http.Request) (who writ.Party, since time.Time, err error) {
			c, err := r.Cookie("signed-in-as")
			if err != nil {
				return who, since, nil
			}
			i, ok := db.Directory().Identities[writ.Ref(c.Value)]
			if !ok {
				return who, since, writ.Errorf(writ.Unauthenticated, "the session has ended; sign in again")
			}
			return i.Party(), time.Now().Add(-time.Hour), nil
		},
		Mounts: map[string]http.Handler{"GET /panic": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("secret-in-a-panic") })},
	}))
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

// call sends JSON as somebody, with headers in pairs, and returns status and answer.
func (w *world) call(as, method, path, body string, headers ...string) (int, http.Header, map[string]any) {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	if as != "" {
		req.Header.Set("Authorization", "Bearer "+as)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		w.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(data, &out); err != nil {
		w.Fatalf("%s %s: %d %q is no JSON object", method, path, res.StatusCode, data)
	}
	return res.StatusCode, res.Header, out
}

const deploy = `{"subject":"service/ci-deployer","entitlement":"orders-db/deploy","for":"1h","why":"release 42 of the shop"}`

// TestRefusals says what each kind of bad call is answered with: the status,
// and words that say what to do.
func TestRefusals(t *testing.T) {
	w := newWorld(t)
	_, _, r := w.call("human/ann", "POST", "/v1/requests", deploy)
	id := r["id"].(string)
	for name, test := range map[string]struct {
		as, method, path, body string
		headers                []string
		status                 int
		says                   string
	}{
		"no token":                 {"", "GET", "/v1/inbox", "", nil, 401, "Authorization: Bearer"},
		"unknown token":            {"human/nobody", "GET", "/v1/inbox", "", nil, 401, "not accepted"},
		"unknown field":            {"human/ann", "POST", "/v1/requests", `{"entitlement":"orders-db/deploy","for":"1h","fro":"2h"}`, nil, 422, "fro"},
		"malformed":                {"human/ann", "POST", "/v1/requests", `{`, nil, 400, ""},
		"a bare number":            {"human/ann", "POST", "/v1/requests", `{"entitlement":"orders-db/deploy","for":3600}`, nil, 422, "for"},
		"unknown entitlement":      {"human/ann", "POST", "/v1/requests", `{"subject":"service/ci-deployer","entitlement":"orders-db/drop","for":"1h"}`, nil, 422, "orders-db/drop"},
		"too long":                 {"human/ann", "POST", "/v1/requests", strings.Replace(deploy, "1h", "25h", 1), nil, 422, "at most 24h"},
		"outside the scope":        {"human/ann", "POST", "/v1/requests", `{"subject":"service/partner-sync","entitlement":"billing-api/client","for":"1h","scope":{"service":"all"}}`, nil, 422, "one of"},
		"without a ticket":         {"human/ann", "POST", "/v1/requests", `{"subject":"service/partner-sync","entitlement":"billing-api/client","for":"1h","scope":{"service":"reports"},"why":"monthly reports"}`, nil, 403, "ticket"},
		"for somebody else":        {"human/eve", "POST", "/v1/requests", deploy, nil, 403, "may not ask"},
		"approve unseen terms":     {"human/max", "POST", "/v1/requests/" + id + "/approve", "", nil, 428, "If-Match"},
		"approve other terms":      {"human/max", "POST", "/v1/requests/" + id + "/approve", "", []string{"If-Match", `"sha256:0"`}, 412, "read them again"},
		"approve one's own":        {"human/ann", "POST", "/v1/requests/" + id + "/approve", "", []string{"If-Match", `"` + r["digest"].(string) + `"`}, 403, ""},
		"see without a part in it": {"human/eve", "GET", "/v1/requests/" + id, "", nil, 404, id},
		"no such request":          {"human/ann", "GET", "/v1/requests/req-none", "", nil, 404, "writ list"},
		"documents without right":  {"human/eve", "PUT", "/v1/documents", `{"documents":[{"kind":"group","name":"security","members":["human/eve"]}]}`, nil, 403, "may not change documents"},
		"no such path":             {"human/ann", "GET", "/v2/requests", "", nil, 404, "openapi.json"},
		"too much":                 {"human/ann", "POST", "/v1/requests", `{"why":"` + strings.Repeat("x", maxBody) + `"}`, nil, 413, ""},
	} {
		status, header, p := w.call(test.as, test.method, test.path, test.body, test.headers...)
		detail, _ := p["detail"].(string)
		if status != test.status || !strings.Contains(detail, test.says) {
			t.Errorf("%s: got %d %q, want %d %q", name, status, detail, test.status, test.says)
		}
		if kind := header.Get("Content-Type"); kind != "application/problem+json" {
			t.Errorf("%s: is answered as %s", name, kind)
		}
		if status == 401 && header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: does not ask for a token", name)
		}
	}
}

// TestRefusedValuesAreNotRepeated keeps what may be a secret out of the answer.
func TestRefusedValuesAreNotRepeated(t *testing.T) {
	w := newWorld(t)
	_, _, p := w.call("human/ann", "POST", "/v1/requests", `{"entitlement":7,"for":"1h","hunter2":"hunter2"}`)
	if text, _ := json.Marshal(p); strings.Count(string(text), "hunter2") > 2 { // the field's name, in detail and in errors
		t.Errorf("the answer repeats a value: %s", text)
	}
	status, _, p := w.call("human/ann", "GET", "/panic", "")
	if text, _ := json.Marshal(p); status != 500 || strings.Contains(string(text), "secret-in-a-panic") {
		t.Errorf("a panic is answered with %d %s", status, text)
	}
}

// TestSameKey repeats a call: one request, whatever the network did.
func TestSameKey(t *testing.T) {
	w := newWorld(t)
	_, _, first := w.call("human/ann", "POST", "/v1/requests", deploy, "Idempotency-Key", "k1")
	status, _, second := w.call("human/ann", "POST", "/v1/requests", deploy, "Idempotency-Key", "k1")
	if status != 201 || first["id"] != second["id"] {
		t.Errorf("the same key made %v and %v (%d)", first["id"], second["id"], status)
	}
	status, _, p := w.call("human/ann", "POST", "/v1/requests", strings.Replace(deploy, "1h", "2h", 1), "Idempotency-Key", "k1")
	if detail, _ := p["detail"].(string); status != 409 || !strings.Contains(detail, "another body") {
		t.Errorf("the same key with another body: %d %q", status, detail)
	}
	_, _, other := w.call("service/ci-deployer", "POST", "/v1/requests", deploy, "Idempotency-Key", "k1")
	if other["id"] == first["id"] {
		t.Error("another caller's key gives away a request")
	}
}

// TestApproveNamesTheTerms takes the digest of the answer as it stands there.
func TestApproveNamesTheTerms(t *testing.T) {
	w := newWorld(t)
	status, header, r := w.call("human/ann", "POST", "/v1/requests", deploy)
	if status != 201 || header.Get("ETag") != `"`+r["digest"].(string)+`"` || header.Get("Location") != "/v1/requests/"+r["id"].(string) {
		t.Fatalf("%d, ETag %s, Location %s", status, header.Get("ETag"), header.Get("Location"))
	}
	for _, who := range []string{"human/max", "human/sue"} {
		if status, _, p := w.call(who, "POST", header.Get("Location")+"/approve", "", "If-Match", header.Get("ETag")); status != 200 {
			t.Fatalf("%s: %d %v", who, status, p["detail"])
		}
	}
	if _, _, r = w.call("human/ann", "GET", header.Get("Location"), ""); r["status"] != "authorized" || len(r["events"].([]any)) != 4 {
		t.Errorf("the request is %v after %v", r["status"], r["events"])
	}
}

// TestListByStatuses takes more than one.
func TestListByStatuses(t *testing.T) {
	w := newWorld(t)
	_, _, kept := w.call("human/ann", "POST", "/v1/requests", deploy)
	_, _, gone := w.call("human/ann", "POST", "/v1/requests", deploy)
	w.call("human/ann", "POST", "/v1/requests/"+gone["id"].(string)+"/withdraw", "")
	for query, want := range map[string]int{
		"status=pending": 1, "status=withdrawn": 1, "status=pending&status=withdrawn": 2, "status=active": 0, "": 2,
	} {
		_, _, page := w.call("human/ann", "GET", "/v1/requests?"+query, "")
		if rs, _ := page["requests"].([]any); len(rs) != want {
			t.Errorf("%q lists %d, want %d (%v is pending)", query, len(rs), want, kept["id"])
		}
	}
}

// TestOpenAPI says that what is served is in the document, and that the
// document is of version 3.1.
func TestOpenAPI(t *testing.T) {
	w := newWorld(t)
	status, _, doc := w.call("", "GET", "/openapi.json", "")
	if version, _ := doc["openapi"].(string); status != 200 || !strings.HasPrefix(version, "3.1") {
		t.Fatalf("%d, version %q", status, version)
	}
	paths := doc["paths"].(map[string]any)
	for _, p := range []string{"/v1/requests", "/v1/requests/{id}", "/v1/requests/{id}/wait", "/v1/requests/{id}/approve", "/v1/inbox", "/v1/documents"} {
		if paths[p] == nil {
			t.Errorf("%s is not in it", p)
		}
	}
	ask := doc["components"].(map[string]any)["schemas"].(map[string]any)["Ask"].(map[string]any)["properties"].(map[string]any)
	if kind := ask["for"].(map[string]any)["type"]; kind != "string" {
		t.Errorf("a duration is shown as %v", kind)
	}
}

// TestBrowserSession: it stands in for a token where the call comes from a page
// of ours, and does not let a key be enrolled long after signing in.
func TestBrowserSession(t *testing.T) {
	w := newWorld(t)
	_, _, r := w.call("human/ann", "POST", "/v1/requests", deploy)
	approve, seen := "/v1/requests/"+r["id"].(string)+"/approve", `"`+r["digest"].(string)+`"`
	max, ours := "signed-in-as=human/max", "https://writ.example.org"
	for _, test := range []struct {
		what, method, path string
		headers            []string
		status             int
		says               string
	}{
		{"reading", "GET", "/v1/whoami", []string{"Cookie", max}, 200, ""},
		{"no session", "GET", "/v1/whoami", nil, 401, "send a token"},
		{"one that has ended", "GET", "/v1/whoami", []string{"Cookie", "signed-in-as=human/nobody"}, 401, "has ended"},
		{"writing without origin", "POST", approve, []string{"Cookie", max, "If-Match", seen}, 403, "only act from the pages"},
		{"of no page", "POST", approve, []string{"Cookie", max, "If-Match", seen, "Origin", "null"}, 403, "only act from the pages"},
		{"of another page", "POST", approve, []string{"Cookie", max, "If-Match", seen, "Origin", ours + ":8443"}, 403, "only act from the pages"},
		{"removing a key", "DELETE", "/v1/keys/x", []string{"Cookie", max, "Origin", "https://evil.example"}, 403, "only act from the pages"},
		{"a key long after", "POST", "/v1/keys/challenge", []string{"Cookie", max, "Origin", ours}, 403, "sign in again to enrol"},
		{"writing", "POST", approve, []string{"Cookie", max, "If-Match", seen, "Origin", ours}, 200, ""},
	} {
		status, _, p := w.call("", test.method, test.path, "", test.headers...)
		detail, _ := p["detail"].(string)
		if status != test.status || !strings.Contains(detail, test.says) {
			t.Errorf("%s: got %d %q, want %d %q", test.what, status, detail, test.status, test.says)
		}
	}
	if status, _, p := w.call("human/sue", "POST", approve, "", "Cookie", "signed-in-as=human/eve", "If-Match", seen); status != 200 || p["status"] != "authorized" {
		t.Errorf("a token beside a cookie: %d %v", status, p)
	}
}
