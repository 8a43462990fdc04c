//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/writhq/writ"
	"github.com/writhq/writ/assent"
	"github.com/writhq/writ/client"
)

// A site is a server that people reach with a browser, and a provider at which
// sue signs in.
type site struct {
	*testing.T
	url, issuer, data string
}

// The first stage of the sample's route wants a passkey, the second a sign-in
// for this very approval.
var stronger = strings.NewReplacer("{manager-of: requester}]", "{manager-of: requester}]\n        proof: passkey",
	"- name: security\n        approvers: [{group: security}]", "- name: security\n        approvers: [{group: security}]\n        proof: oidc-fresh")

func newSite(t *testing.T) *site {
	t.Helper()
	dir := t.TempDir()
	listen, provider := freeAddress(t, "localhost"), freeAddress(t, "127.0.0.1")
	s := &site{t, "http://" + listen, "http://" + provider, filepath.Join(dir, "data")}
	startChild(t, dir, "openid-provider", []string{provider, s.url + "/sign-in/back"}, nil)
	ready(t, s.issuer+"/.well-known/openid-configuration")
	config := filepath.Join(dir, "writ.yaml")
	s.write(config, fmt.Sprintf("issuers:\n- {url: %q, audience: %q, client: {id: writ, secret: env:WRIT_SECRET_CLIENT, groups: amr}}\n", s.issuer, s.url))
	startChild(t, dir, "writ", []string{"serve", "--dev", "--config", config, "--data", s.data, "--listen", listen},
		[]string{"WRIT_SECRET_CLIENT=a secret of the client"})
	ready(t, s.url+"/readyz")
	s.prepare()
	return s
}

func (s *site) write(file, text string) {
	s.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
}

// prepare gives sue an account at the provider, and policy its proofs.
func (s *site) prepare() {
	s.Helper()
	policy, err := os.ReadFile("sample/policy.yaml")
	if err != nil {
		s.Fatal(err)
	}
	source := stronger.Replace(string(policy))
	source, _, _ = strings.Cut(source, "\ntests:")
	if strings.Count(source, "proof:") != 2 {
		s.Fatalf("the sample's policy is not as expected:\n%s", source)
	}
	s.api("human/pat", "PUT", "/v1/documents", map[string]any{"documents": []any{
		map[string]any{"kind": "policy", "name": "default", "source": source},
		map[string]any{"kind": "identity", "name": "human/sue", "title": "Sue, security", "accounts": []any{map[string]any{"issuer": s.issuer, "subject": "id1"}}},
		map[string]any{"kind": "group", "name": "with-password", "members": []any{}, "claims": []any{map[string]any{"issuer": s.issuer, "value": "pwd"}}},
	}}, nil)
}

// api calls as an identity, with a token.
func (s *site) api(as, method, path string, body, out any) {
	s.Helper()
	var login struct{ Token string }
	s.call("POST", "/dev/login", map[string]string{"as": as}, &login, nil)
	s.call(method, path, body, out, http.Header{"Authorization": {"Bearer " + login.Token}})
}

func (s *site) call(method, path string, body, out any, header http.Header) {
	s.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		s.Fatal(err)
	}
	status, text := s.send(method, path, data, header)
	if status/100 != 2 {
		s.Fatalf("%s %s: %d %s", method, path, status, text)
	}
	if out != nil {
		if err := json.Unmarshal([]byte(text), out); err != nil {
			s.Fatal(err)
		}
	}
}

func (s *site) send(method, path string, body []byte, header http.Header) (int, string) {
	s.Helper()
	r, err := http.NewRequestWithContext(s.Context(), method, s.url+path, bytes.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	if r.Header.Set("Content-Type", "application/json"); method == "GET" {
		r.Header.Del("Content-Type")
	}
	for name, values := range header {
		r.Header[name] = values
	}
	direct := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := direct.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// checkpoint is the ledger as it is: equal ones mean that nothing happened.
func (s *site) checkpoint() string {
	s.Helper()
	_, text := s.send("GET", "/ledger/checkpoint", nil, nil)
	return text
}

// A tab is one person's browser.
type tab struct {
	*site
	ctx context.Context
}

// browser starts a Chromium; each tab of it has cookies of its own.
func (s *site) browser() func() *tab {
	s.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil && os.Getenv("CI") == "" {
		s.Skip("chromium is not installed")
	}
	if err != nil {
		s.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox)
	all, stop := chromedp.NewExecAllocator(s.Context(), options...)
	s.Cleanup(stop)
	first, end := chromedp.NewContext(all)
	s.Cleanup(end)
	if err := chromedp.Do(first); err != nil {
		s.Fatal(err)
	}
	return func() *tab {
		ctx, end := chromedp.NewContext(first, chromedp.WithNewBrowserContext())
		s.Cleanup(end)
		ctx, cancel := context.WithTimeout(ctx, patience)
		s.Cleanup(cancel)
		return &tab{s, ctx}
	}
}

func (b *tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		page, _ := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS("body")))
		b.Fatalf("%s: %v; the page says\n%s", what, err, page)
	}
}

func (b *tab) open(path string) {
	b.Helper()
	b.do("open "+path, chromedp.Navigate(b.url+path))
}

// press sends a form and waits for the page that answers.
func (b *tab) press(selector string) {
	b.Helper()
	if _, err := chromedp.RunResponse(b.ctx, chromedp.Click(chromedp.CSS(selector))); err != nil {
		page, _ := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS("body")))
		b.Fatalf("press %s: %v; the page says\n%s", selector, err, page)
	}
}

// says waits for what a place says: pages follow what happens, so it may be on
// its way.
func (b *tab) says(selector, want string) {
	b.Helper()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		text := eval[string](b, "(document.querySelector("+quoted(selector)+") || {}).innerText || ''")
		if strings.Contains(text, want) {
			return
		}
		if time.Now().After(end) {
			b.Fatalf("%s says %q, not %q", selector, text, want)
		}
	}
}

// signInAs is the sign-in of a server in dev mode.
func (b *tab) signInAs(who string) {
	b.Helper()
	b.do("sign in", chromedp.Navigate(b.url+"/sign-in"), chromedp.SetValue(chromedp.CSS("#as"), who))
	b.press("form:has(#as) button")
	b.says("header", who)
}

// enrol gives the tab a device that asks who is there, and enrols it.
func (b *tab) enrol() {
	b.Helper()
	_, err := chromedp.Call(b.ctx, webauthn.Enable, webauthn.EnableParams{})
	if err == nil {
		_, err = chromedp.Call(b.ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
			HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
		}})
	}
	if err != nil {
		b.Fatal(err)
	}
	b.open("/keys")
	b.do("name the key", chromedp.SendKeys(chromedp.CSS("#title"), "test device"))
	b.press("#enrol button")
	b.says("main", "Enrolled passkey-")
	b.says("ul.keys", "on one device")
}

func (b *tab) cookie() *network.Cookie {
	b.Helper()
	all, err := chromedp.Call(b.ctx, network.GetCookies, network.GetCookiesParams{URLs: []string{b.url}})
	if err != nil || len(all.Cookies) != 1 {
		b.Fatalf("cookies %v, %v", all.Cookies, err)
	}
	return all.Cookies[0]
}

// TestBrowser is a request that two people approve in a real browser: one with
// a passkey, one by signing in again at a real provider.
func TestBrowser(t *testing.T) {
	began := time.Now()
	s := newSite(t)
	newTab := s.browser()
	var r writ.Request
	s.api("human/ann", "POST", "/v1/requests", map[string]any{
		"subject": "service/ci-deployer", "entitlement": "orders-db/deploy", "for": "1h", "why": "release 42 <script>alert(1)</script>\u202e",
	}, &r)
	page := "/requests/" + string(r.ID)

	max := newTab()
	max.open(page)
	max.says("h1", "Sign in")
	max.signInAs("human/max")
	max.enrol()
	max.open("/")
	max.says("ul.requests", "orders-db/deploy")
	max.open(page)
	max.says("blockquote", `release 42 <script>alert(1)</script>\u202e`)
	s.showsEveryLeaf(max, r)
	s.stolen(max.cookie(), r)
	s.linksChangeNothing(max, page)
	max.press("#approve-passkey button")
	max.says(".notice", "You approved it.")

	sue := newTab()
	sue.signInAtProvider("/sign-in", "form button")
	sue.says("header", "human/sue")
	s.isInGroup("with-password", "human/sue")
	before := sue.cookie()
	sue.open(page)
	sue.signInAtProvider("", "#sign-in-again button")
	sue.says("#approve-again", "You signed in again for these terms.")
	s.status(r.ID, writ.StatusPending) // coming back approved nothing
	sue.press("#approve-again button")
	sue.says(".notice", "You approved it.")
	s.api("human/ann", "GET", "/v1/requests/"+string(r.ID)+"/wait?until=active", nil, nil)
	s.status(r.ID, writ.StatusActive) // the worker believes both, too
	s.checkEvidence(r.ID)

	s.signsOut(before)
	t.Logf("in %s", time.Since(began).Round(time.Millisecond))
}

// signsOut ends the session here, and leads to the provider to end it there.
func (s *site) signsOut(c *network.Cookie) {
	s.Helper()
	cookie := http.Header{"Cookie": {c.Name + "=" + c.Value}, "Origin": {s.url}, "Content-Type": {"application/x-www-form-urlencoded"}}
	status, text := s.send("POST", "/sign-out", nil, cookie)
	if status != http.StatusOK || !strings.Contains(text, s.issuer+"/end_session?client_id=writ&amp;id_token_hint=") {
		s.Errorf("signing out: %d %s", status, text)
	}
	for _, path := range []string{"/v1/inbox", "/v1/whoami"} {
		if status, _ := s.send("GET", path, nil, cookie); status != http.StatusUnauthorized {
			s.Errorf("GET %s after signing out: %d", path, status)
		}
	}
}

// signInAtProvider presses what leads to the provider, and signs in there.
func (b *tab) signInAtProvider(path, selector string) {
	b.Helper()
	if path != "" {
		b.open(path)
	}
	b.press(selector)
	b.do("at the provider", chromedp.WaitVisible(chromedp.CSS("#username")),
		chromedp.SendKeys(chromedp.CSS("#username"), "test-user@127.0.0.1"), chromedp.SendKeys(chromedp.CSS("#password"), "verysecure"))
	b.press("button[type=submit]")
}

func (s *site) status(id writ.ID, want ...writ.Status) (d client.Dossier) {
	s.Helper()
	s.api("human/ann", "GET", "/v1/requests/"+string(id), nil, &d)
	for _, w := range want {
		if d.Status == w {
			return d
		}
	}
	s.Fatalf("%s is %s, not %v", id, d.Status, want)
	return d
}

// isInGroup: the provider says so, in the only list that this one sends.
func (s *site) isInGroup(name string, who writ.Ref) {
	s.Helper()
	var docs struct{ Documents []writ.Group }
	s.api("human/pat", "GET", "/v1/documents?kind=group&name="+name, nil, &docs)
	if len(docs.Documents) != 1 || len(docs.Documents[0].Members) != 1 || docs.Documents[0].Joined[who].From != s.issuer {
		s.Errorf("group %s is %+v", name, docs.Documents)
	}
}

// showsEveryLeaf: T2. The page leaves nothing out of what is approved.
func (s *site) showsEveryLeaf(b *tab, r writ.Request) {
	s.Helper()
	data, err := json.Marshal(r.Terms)
	if err != nil {
		s.Fatal(err)
	}
	var terms any
	if err := json.Unmarshal(data, &terms); err != nil {
		s.Fatal(err)
	}
	shown := b.text("table")
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, child := range v {
				walk(child)
			}
		case []any:
			for _, child := range v {
				walk(child)
			}
		default:
			if text := fmt.Sprint(v); !strings.Contains(shown, text) {
				s.Errorf("the page does not show %q of the terms", text)
			}
		}
	}
	walk(terms)
	if !strings.Contains(shown, string(r.Digest)) {
		s.Error("the page does not show the digest")
	}
}

// stolen: T15. Whoever has the cookie alone reads, and cannot approve.
func (s *site) stolen(c *network.Cookie, r writ.Request) {
	s.Helper()
	if !c.HTTPOnly || c.SameSite != network.CookieSameSiteLax || !c.Session {
		s.Errorf("the cookie is %+v", c)
	}
	cookie := http.Header{"Cookie": {c.Name + "=" + c.Value}}
	with := func(more ...string) http.Header {
		h := cookie.Clone()
		for i := 0; i < len(more); i += 2 {
			h.Set(more[i], more[i+1])
		}
		return h
	}
	if status, text := s.send("GET", "/v1/inbox", nil, cookie); status != 200 || !strings.Contains(text, string(r.ID)) {
		s.Errorf("reading with the cookie: %d %s", status, text)
	}
	form, match := "application/x-www-form-urlencoded", `"`+string(r.Digest)+`"`
	body := "digest=" + string(r.Digest) + "&method="
	for name, test := range map[string]struct {
		path, body string
		header     http.Header
		says       string
	}{
		"api without origin":   {"/v1/requests/" + string(r.ID) + "/approve", "", with("If-Match", match), "only act from the pages"},
		"api of another page":  {"/v1/requests/" + string(r.ID) + "/approve", "", with("If-Match", match, "Origin", "https://evil.example"), "only act from the pages"},
		"api of no page":       {"/v1/requests/" + string(r.ID) + "/approve", "", with("If-Match", match, "Origin", "null"), "only act from the pages"},
		"api with a session":   {"/v1/requests/" + string(r.ID) + "/approve", "", with("If-Match", match, "Origin", s.url), "wants an approval by passkey"},
		"page of another page": {"/requests/" + string(r.ID) + "/approve", body + "session", with("Content-Type", form, "Origin", "https://evil.example"), "not sent from a page"},
		"page without origin":  {"/requests/" + string(r.ID) + "/approve", body + "session", with("Content-Type", form), "not sent from a page"},
		"page with a session":  {"/requests/" + string(r.ID) + "/approve", body + "session", with("Content-Type", form, "Origin", s.url), "wants an approval by passkey"},
		"page with no sign-in": {"/requests/" + string(r.ID) + "/approve", body + "oidc-fresh", with("Content-Type", form, "Origin", s.url), "did not sign in again"},
		"page with no passkey": {"/requests/" + string(r.ID) + "/approve", body + "passkey&assertion={}", with("Content-Type", form, "Origin", s.url), "not one of yours"},
		"another's sign-in":    {"/sign-in", "as=human/sue", with("Content-Type", form, "Origin", "http://127.0.0.1:1"), "not sent from a page"},
	} {
		status, text := s.send("POST", test.path, []byte(test.body), test.header)
		if status != http.StatusForbidden || !strings.Contains(strings.ReplaceAll(text, "&#39;", "'"), test.says) {
			s.Errorf("%s: %d %s", name, status, text)
		}
	}
	s.status(r.ID, writ.StatusPending)
}

var attribute = regexp.MustCompile(`(?:href|action|src)="(/[^"]*)"`)

// linksChangeNothing: T13. Every address that a page names is fetched, also
// those that forms are sent to, by somebody who is signed in.
func (s *site) linksChangeNothing(b *tab, first string) {
	s.Helper()
	c := b.cookie()
	before, seen := s.checkpoint(), map[string]bool{}
	next := []string{first, "/", "/keys", "/sign-in", "/sign-in/back?code=x&state=y"}
	for len(next) > 0 {
		path := next[0]
		if next = next[1:]; seen[path] {
			continue
		}
		seen[path] = true
		status, text := s.send("GET", path, nil, http.Header{"Cookie": {c.Name + "=" + c.Value}})
		if status >= 500 {
			s.Errorf("GET %s: %d", path, status)
		}
		for _, m := range attribute.FindAllStringSubmatch(text, -1) {
			next = append(next, m[1])
		}
	}
	if len(seen) < 8 {
		s.Errorf("only %d addresses were found: %v", len(seen), seen)
	}
	if after := s.checkpoint(); after != before {
		s.Error("fetching links changed the ledger")
	}
	if status, _ := s.send("GET", "/v1/whoami", nil, http.Header{"Cookie": {c.Name + "=" + c.Value}}); status != http.StatusOK {
		s.Error("fetching links signed somebody out")
	}
}

// checkEvidence checks both approvals again, with nothing but what is on record.
func (s *site) checkEvidence(id writ.ID) {
	s.Helper()
	d := s.status(id, writ.StatusAuthorized, writ.StatusGranting, writ.StatusActive)
	if len(d.Votes) != 2 || d.Votes[0].Evidence == nil || d.Votes[1].Evidence == nil {
		s.Fatalf("votes %+v", d.Votes)
	}
	var docs struct {
		Documents []json.RawMessage `json:"documents"`
	}
	key, sue := writ.Key{}, writ.Identity{}
	s.api("human/pat", "GET", "/v1/documents?name="+d.Votes[0].Evidence.Key, nil, &docs)
	if err := json.Unmarshal(docs.Documents[0], &key); err != nil {
		s.Fatal(err)
	}
	if err := assent.Verify(*d.Votes[0].Evidence, key, d.Digest, writ.Yes); err != nil {
		s.Errorf("the passkey's evidence: %v", err)
	}
	if err := assent.Verify(*d.Votes[0].Evidence, key, d.Digest, writ.No); err == nil {
		s.Error("the passkey's evidence is good for a no, too")
	}
	s.api("human/pat", "GET", "/v1/documents?kind=identity&name=human/sue", nil, &docs)
	if err := json.Unmarshal(docs.Documents[0], &sue); err != nil {
		s.Fatal(err)
	}
	if err := assent.VerifySignIn(*d.Votes[1].Evidence, sue, d.Digest, writ.Yes, d.Votes[1].At); err != nil {
		s.Errorf("the evidence of the sign-in: %v", err)
	}
	if err := assent.VerifySignIn(*d.Votes[1].Evidence, sue, d.Digest, writ.Yes, d.Votes[1].At.Add(assent.SignedInFor)); err == nil {
		s.Error("the evidence of the sign-in is good for later, too")
	}
	self, err := os.Executable()
	if err != nil {
		s.Fatal(err)
	}
	verify := exec.CommandContext(s.Context(), self, "verify", "--data", s.data)
	verify.Args[0] = "writ"
	if out, err := verify.CombinedOutput(); err != nil {
		s.Errorf("writ verify: %v\n%s", err, out)
	}
}
