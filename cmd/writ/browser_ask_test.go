//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/writhq/writ"
)

// newSampleSite is the sample organisation, where people sign in as whom they like.
func newSampleSite(t *testing.T) *site {
	t.Helper()
	dir := t.TempDir()
	listen := freeAddress(t, "localhost")
	s := &site{t, "http://" + listen, "", filepath.Join(dir, "data")}
	startChild(t, dir, "writ", []string{"serve", "--dev", "--data", s.data, "--listen", listen}, nil)
	ready(t, s.url+"/readyz")
	return s
}

// eval returns what a script in the page does.
func eval[T any](b *tab, script string) T {
	b.Helper()
	out, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](script))
	if err != nil {
		b.Fatalf("%s: %v", script, err)
	}
	return out
}

func (b *tab) text(selector string) string {
	b.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS(selector)))
	if err != nil {
		b.Fatalf("%s: %v", selector, err)
	}
	return text
}

func quoted(text string) string {
	data, _ := json.Marshal(text)
	return string(data)
}

func (b *tab) enter(selector, text string) {
	b.Helper()
	eval[string](b, "document.querySelector("+quoted(selector)+").value = ''")
	b.do("fill "+selector, chromedp.SendKeys(chromedp.CSS(selector), text))
}

func (b *tab) narrow(width int64) {
	b.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: 844, DeviceScaleFactor: 1, Mobile: true,
	}); err != nil {
		b.Fatal(err)
	}
}

// TestAskInBrowser: without scripts somebody finds an entitlement, reads what is
// missing, asks, and takes the credential, once.
func TestAskInBrowser(t *testing.T) {
	began := time.Now()
	s := newSampleSite(t)
	ann := s.browser()()
	ann.signInAs("human/ann")
	if _, err := chromedp.Call(ann.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	ann.open("/ask?for=service/partner-sync&q=billing")
	ann.says("ul.cards", "billing-api/client")
	ann.press("ul.cards a")
	ann.enter("#span", "1000d")
	ann.press("button[value=preview]")
	ann.says("#wrong", "allows at most 90d")
	ann.enter("#span", "30d")
	ann.enter("#why", "monthly invoice export")
	ann.press("button[value=preview]")
	ann.says("#verdict", "requires a ticket")
	ann.says("#verdict", "human/max (owner of billing-api/client)")
	before := s.checkpoint()
	ann.enter("#ticket", "CHG-1234")
	ann.press("button[value=preview]")
	ann.says("#verdict", "Policy would allow this, once these people approve")
	if s.checkpoint() != before {
		t.Error("a preview is on record")
	}
	ann.press("button[value=submit]")
	ann.says(".notice", "You asked for it. It is pending.")
	id := eval[string](ann, "location.pathname.split('/')[2]")
	var r writ.Request
	s.api("human/ann", "GET", "/v1/requests/"+id, nil, &r)
	if r.Terms.Subject.Name != "service/partner-sync" || r.Terms.Scope["service"] != "invoices" || r.Terms.For.String() != "30d" || r.Terms.Ticket != "CHG-1234" {
		t.Errorf("asked for %+v", r.Terms)
	}
	max := s.browser()()
	max.signInAs("human/max")
	max.open("/requests/" + id)
	max.press("#approve-session button")
	s.api("human/ann", "GET", "/v1/requests/"+id+"/wait?until=active", nil, nil)
	s.claims(ann, id)
	t.Logf("in %s", time.Since(began).Round(time.Millisecond))
}

// claims takes the credential, which no second look shows again and nothing keeps.
func (s *site) claims(b *tab, id string) {
	s.Helper()
	b.open("/requests/" + id)
	b.press("a[href$='/claim']")
	b.says("main", "It is shown once")
	b.press("form[action$='/claim'] button")
	b.says("main", "only time that it is shown")
	key := strings.TrimSpace(b.text(".secret pre"))
	if len(key) < 20 {
		s.Fatalf("the key is %q", key)
	}
	b.says("main", "export WRIT_API_KEY='"+key+"'")
	b.open("/requests/" + id + "/claim")
	b.says("main", "it is given once")
	err := filepath.WalkDir(s.data, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if data, _ := os.ReadFile(path); strings.Contains(string(data), key) {
			s.Errorf("%s has the key", path)
		}
		return nil
	})
	if err != nil {
		s.Error(err)
	}
}

// TestAskWhileTyping: with scripts the verdict follows what is filled in.
func TestAskWhileTyping(t *testing.T) {
	s := newSampleSite(t)
	ann := s.browser()()
	ann.narrow(390)
	ann.signInAs("human/ann")
	ann.open("/ask/orders-db/deploy?subject=service/ci-deployer")
	ann.says("#verdict", "Policy would refuse this.")
	ann.enter("#why", "release 42 of the order service")
	ann.says("#verdict", "Policy would allow this")
	ann.says("#verdict", "security: 1 of human/sue")
	ann.enter("#span", "25h")
	ann.says("#verdict", "at most 24h")
	s.fits(ann, "/ask", "/ask/orders-db/deploy")
}

// TestLookInBrowser: what there is, what policy says, and what happened, by whom
// may see it; and a record is found in the tree by the browser itself.
func TestLookInBrowser(t *testing.T) {
	began := time.Now()
	s := newSampleSite(t)
	newTab := s.browser()
	var r writ.Request
	s.api("human/ann", "POST", "/v1/requests", map[string]any{
		"subject": "service/ci-deployer", "entitlement": "orders-db/deploy", "for": "1h", "why": "release 42 of the order service",
	}, &r)
	ann := newTab()
	ann.narrow(390)
	ann.signInAs("human/ann")
	ann.open("/identities?only=mine")
	ann.press("a[href='/identities/service/ci-deployer']")
	ann.says("main", "What it asks for")
	ann.says("main", "orders-db/deploy")
	ann.says("table", "human/ann")
	ann.open("/policy")
	ann.says("main", "All 4 come out as the policy says.")
	ann.do("choose", chromedp.SetValue(chromedp.CSS("#subject"), "service/ci-deployer"), chromedp.SetValue(chromedp.CSS("#entitlement"), "orders-db/deploy"))
	ann.press(".ask button")
	ann.says("main", "guardrail high-risk-is-justified applies")
	ann.says("main", "missing guardrail high-risk-is-justified requires a justification")
	ann.open("/targets")
	ann.says("#orders-db table", "asked for, undecided\n1")
	ann.open("/log")
	ann.says("main", "All events are for those whom policy lets audit.")
	ann.open("/log/0")
	ann.says("main", "no event 0 that you may read")
	ann.open("/log?q=" + string(r.ID))
	ann.press("ul.holds a")
	ann.pressed("#proof button", "#proof .verdict", "the record is in the ledger")
	s.forged(ann)
	s.palette(ann, r)
	s.fits(ann, "/", "/access", "/keys", "/requests/"+string(r.ID), fmt.Sprintf("/log/%d", r.Seq), "/identities", "/identities/service/ci-deployer", "/policy", "/targets", "/log", "/log?q="+string(r.ID), "/search?q=orders", "/requests/"+string(r.ID)+"/claim")

	sue := newTab() // audits
	sue.signInAs("human/sue")
	sue.open("/log?q=identity:human/ann")
	sue.press("ul.holds a")
	sue.says("pre", "Ann, developer")
	eve := newTab()
	eve.signInAs("human/eve")
	eve.open("/identities/service/ci-deployer")
	eve.says("main", "Nothing that you may see.")
	for _, path := range []string{"/log?q=" + string(r.ID), "/log?q=identity:human/ann", "/search?q=" + string(r.ID), "/requests/" + string(r.ID) + "/claim"} {
		eve.open(path)
		if text := eve.text("main"); strings.Contains(text, "orders-db/deploy") || strings.Contains(text, "document-changed") {
			t.Errorf("%s shows eve %s", path, text)
		}
	}
	t.Logf("in %s", time.Since(began).Round(time.Millisecond))
}

// pressed presses what a script answers, and waits for what it says.
func (b *tab) pressed(button, place, want string) {
	b.Helper()
	b.do("press "+button, chromedp.Click(chromedp.CSS(button)))
	b.says(place, want)
}

// forged: a record that is not the one in the tree is not found there.
func (s *site) forged(b *tab) {
	s.Helper()
	eval[bool](b, `{ const at = document.getElementById("proof"); at.dataset.record = btoa(atob(at.dataset.record).replace("submitted", "submittet")); } true`)
	b.pressed("#proof button", "#proof .verdict", "the root comes out otherwise")
}

// palette: two keys and a word lead anywhere.
func (s *site) palette(b *tab, r writ.Request) {
	s.Helper()
	b.do("open the palette", chromedp.KeyEvent("k", chromedp.KeyModifiers(chromedp.ModifierCtrl)))
	b.says("#palette", "Ask for access")
	b.do("search", chromedp.KeyEvent("partner-s"))
	b.says("#places [aria-selected=true]", "service/partner-sync")
	if _, err := chromedp.RunResponse(b.ctx, chromedp.KeyEvent("\r")); err != nil {
		s.Fatal(err)
	}
	b.says("h1", "service/partner-sync")
	b.open("/search?q=" + string(r.ID))
	b.says("ul.holds", "orders-db/deploy")
}

// fits: at this width nothing has to be scrolled sideways.
func (s *site) fits(b *tab, paths ...string) {
	s.Helper()
	for _, path := range paths {
		b.open(path)
		if over := eval[int](b, "document.documentElement.scrollWidth - innerWidth"); over > 0 {
			s.Errorf("%s is %d pixels too wide", path, over)
		}
		s.accessible(b, path)
	}
}

// accessible holds a page against WCAG 2.2 AA as far as axe-core can, where that
// is there: make tools fetches it.
func (s *site) accessible(b *tab, path string) {
	s.Helper()
	axe, err := os.ReadFile("../../tools/bin/axe.min.js")
	if err != nil && os.Getenv("CI") == "" {
		s.Log("make tools fetches axe-core; without it the accessibility of " + path + " is not checked")
		return
	}
	if err != nil {
		s.Fatal(err)
	}
	eval[bool](b, string(axe)+"; true")
	eval[bool](b, "window.found = null; axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa']}).then((r) => { window.found = r.violations.map((v) => v.id + ': ' + v.nodes.map((n) => n.target + ' ' + n.failureSummary).join('; ')).join('\\n') }); true")
	for end := time.Now().Add(5 * time.Second); eval[bool](b, "window.found === null") && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
	}
	if found := eval[string](b, "String(window.found)"); found != "" {
		s.Errorf("%s: %s", path, found)
	}
}
