//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/writhq/writ"
	"github.com/writhq/writ/client"
)

// newSample is a server with the sample organisation, whose policy asks for no
// more than a session.
func newSample(t *testing.T) *site {
	t.Helper()
	dir := t.TempDir()
	listen := freeAddress(t, "localhost")
	s := &site{T: t, url: "http://" + listen, data: filepath.Join(dir, "data")}
	startChild(t, dir, "writ", []string{"serve", "--dev", "--data", s.data, "--listen", listen}, nil)
	ready(t, s.url+"/readyz")
	return s
}

// ask asks as ann, and returns the request's page.
func (s *site) ask(subject, entitlement, last, why string, scope map[string]string) (r writ.Request, page string) {
	s.Helper()
	s.api("human/ann", "POST", "/v1/requests", map[string]any{
		"subject": subject, "entitlement": entitlement, "for": last, "why": why, "scope": scope, "ticket": "CHG-1234",
	}, &r)
	return r, "/requests/" + string(r.ID)
}

func (s *site) askDeploy(last string) (writ.Request, string) {
	s.Helper()
	return s.ask("service/ci-deployer", "orders-db/deploy", last, "release 42 of the order service", nil)
}

func (s *site) askKey(service string) (writ.Request, string) {
	s.Helper()
	return s.ask("service/partner-sync", "billing-api/client", "2h", "monthly invoice export", map[string]string{"service": service})
}

// approved asks for a key, has it approved, and waits until it is there.
func (s *site) approved(service string) (writ.Request, string) {
	s.Helper()
	r, page := s.askKey(service)
	s.approve("human/max", r)
	s.reaches(r.ID, writ.StatusActive)
	return r, page
}

func (s *site) approve(as string, r writ.Request) {
	s.Helper()
	var login struct{ Token string }
	s.call("POST", "/dev/login", map[string]string{"as": as}, &login, nil)
	s.call("POST", "/v1/requests/"+string(r.ID)+"/approve", struct{}{}, nil, http.Header{"Authorization": {"Bearer " + login.Token}, "If-Match": {`"` + string(r.Digest) + `"`}})
}

func (s *site) reaches(id writ.ID, want writ.Status) client.Dossier {
	s.Helper()
	s.api("human/ann", "GET", "/v1/requests/"+string(id)+"/wait?until="+string(want), nil, nil)
	return s.status(id, want)
}

// emulate sets how the tab's screen and reader are.
func (b *tab) emulate(width int64, scheme string, scripts bool) {
	b.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	if err == nil {
		_, err = chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !scripts})
	}
	if err != nil {
		b.Fatal(err)
	}
	b.do("resize", chromedp.EmulateViewport(width, 800))
}

func evaluate[T any](b *tab, script string) T {
	b.Helper()
	out, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](script))
	if err != nil {
		b.Fatalf("%s: %v", script, err)
	}
	return out
}

func (b *tab) fill(selector, text string) {
	b.Helper()
	b.do("fill "+selector, chromedp.SendKeys(chromedp.CSS(selector), text))
}

func (b *tab) click(selector string) {
	b.Helper()
	b.do("click "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// keyTo moves with the keyboard alone until an element is focused.
func (b *tab) keyTo(selector string) {
	b.Helper()
	for range 60 {
		b.do("tab", chromedp.KeyEvent(kb.Tab))
		if evaluate[bool](b, fmt.Sprintf("document.activeElement.matches(%q)", selector)) {
			return
		}
	}
	b.Fatalf("%s cannot be reached with the keyboard", selector)
}

// TestPages is what people do on the pages, each as they would.
func TestPages(t *testing.T) {
	began := time.Now()
	s := newSample(t)
	newTab := s.browser()
	max := newTab()
	max.signInAs("human/max")
	for _, part := range []struct {
		name string
		run  func(*site, *tab)
	}{
		{"the inbox answers in five seconds", (*site).inboxPage},
		{"approving with the keyboard alone", (*site).keyboardPage},
		{"a page follows what happens", (*site).livePage},
		{"without scripts", (*site).plainPage},
		{"access and its end", (*site).accessPage},
		{"small and dark", (*site).smallPages},
		{"in somebody's place", (*site).placePage},
	} {
		if !t.Run(part.name, func(t *testing.T) {
			own, tab := *s, *max
			own.T, tab.site = t, &own
			part.run(&own, &tab)
		}) {
			break
		}
	}
	t.Logf("in %s", time.Since(began).Round(time.Millisecond))
}

func (s *site) inboxPage(b *tab) {
	key, _ := s.askKey("invoices")
	deploy, _ := s.askDeploy("4h")
	b.open("/")
	cards := evaluate[[]string](b, `[...document.querySelectorAll(".card")].map((c) => c.innerText)`)
	if len(cards) != 2 {
		s.Fatalf("%d cards: %q", len(cards), cards)
	}
	for _, want := range []string{ // the riskier first
		"service/ci-deployer – orders-db/deploy for 4h", "high risk", "production", "the first time that service/ci-deployer would get this",
		"human/ann", "deploys the order service", "Deploy role of the orders database", "release 42", "CHG-1234", "route production-database",
		"manager: 1 of human/max", "security: 1 of human/sue", "nothing",
	} {
		if !strings.Contains(cards[0], want) {
			s.Errorf("the first card does not say %q:\n%s", want, cards[0])
		}
	}
	if !strings.Contains(cards[1], "service invoices") {
		s.Errorf("the second card is\n%s", cards[1])
	}
	if n := evaluate[int](b, `document.querySelectorAll(".card form, .card button").length`); n != 0 {
		s.Errorf("%d buttons on cards: nothing is decided from there", n)
	}
	before := s.checkpoint()
	b.press(".card h2 a")
	b.says("h1", "orders-db/deploy")
	if s.checkpoint() != before {
		s.Error("opening a card did something")
	}
	for _, r := range []writ.Request{key, deploy} {
		s.api("human/ann", "POST", "/v1/requests/"+string(r.ID)+"/withdraw", nil, nil)
	}
	b.open("/")
	b.says(".empty", "Nothing waits for you.")
}

func (s *site) keyboardPage(b *tab) {
	r, page := s.askKey("reports")
	b.open(page)
	b.do("the first key", chromedp.KeyEvent(kb.Tab))
	if !evaluate[bool](b, `document.activeElement.matches(".skip") && getComputedStyle(document.activeElement).outlineStyle !== "none"`) {
		s.Error("the first key does not lead past the navigation, or that does not show")
	}
	b.keyTo("#approve-session button")
	if _, err := chromedp.RunResponse(b.ctx, chromedp.KeyEvent(kb.Enter)); err != nil {
		s.Fatal(err)
	}
	b.says(".notice", "You approved it.")
	s.reaches(r.ID, writ.StatusActive)
}

// livePage: a page shows what others did, but never exchanges the terms under
// somebody who is about to approve them.
func (s *site) livePage(b *tab) {
	r, page := s.askDeploy("3h")
	b.open(page)
	s.approve("human/max", r)
	b.do("wait for the approval", chromedp.WaitVisible(chromedp.CSS("#live-life li.good")))
	b.says("#live-life", "Approved in stage manager")
	b.says("#live-life", "with a session")
	b.says("#live-actions", "You can still say no")

	r, page = s.askDeploy("2h")
	b.open(page)
	s.narrowTo(r, "1h")
	b.do("wait for the notice", chromedp.WaitVisible(chromedp.CSS("#changed")))
	if digest := evaluate[string](b, `document.querySelector("#approve-session [name=digest]").value`); digest != string(r.Digest) {
		s.Error("the page would approve terms that it does not show")
	}
	b.press("#approve-session button")
	b.says("h1", "It has changed since you read it")
	b.press("main a")
	b.says("tr.changed del", "1")
	b.says("h1", "for 1h")
	s.status(r.ID, writ.StatusPending)
}

func (s *site) narrowTo(r writ.Request, last string) {
	s.Helper()
	var login struct{ Token string }
	s.call("POST", "/dev/login", map[string]string{"as": "human/max"}, &login, nil)
	s.call("POST", "/v1/requests/"+string(r.ID)+"/narrow", map[string]string{"for": last}, nil,
		http.Header{"Authorization": {"Bearer " + login.Token}, "If-Match": {`"` + string(r.Digest) + `"`}})
}

// plainPage: giving less, asking one more person, saying no and revoking need
// no script.
func (s *site) plainPage(b *tab) {
	b.emulate(1000, "light", false)
	r, page := s.askDeploy("4h")
	b.open(page)
	before := s.checkpoint()
	b.click("details:has(#narrow) summary")
	b.fill("#for", "1h")
	b.fill("#ends", "incident/INC-7")
	b.press("#narrow button")
	b.says("main", "Nothing is done yet.")
	b.says("table", "4h 1h")
	if s.checkpoint() != before {
		s.Error("looking at less did something")
	}
	b.press("#narrow button")
	b.says(".notice", "You narrowed it.")
	b.says("table", "incident/INC-7")
	if d := s.status(r.ID, writ.StatusPending); d.Terms.For.String() != "1h" || len(d.Earlier) != 1 {
		s.Errorf("the terms are %+v", d.Terms)
	}
	b.click("details:has(#require) summary")
	b.fill("#approver", "human/pat")
	b.press("#require button")
	b.says(".notice", "human/pat is asked as well")
	b.says("ol.stages", "human/pat (asked for by human/max)")
	b.fill("#note", "not before the freeze is over")
	b.press("#deny button")
	b.says("blockquote ~ blockquote", "not before the freeze is over")
	s.status(r.ID, writ.StatusDenied)

	given, page := s.approved("payments")
	b.open(page)
	b.fill("#reason", "it leaked")
	b.press("#revoke button")
	b.says(".notice", "You revoked it.")
	if d := s.reaches(given.ID, writ.StatusClosed); d.End.Cause != writ.CutOff || d.Texts["revoke"] != "it leaked" {
		s.Errorf("it ended with %+v, %v", d.End, d.Texts)
	}
	b.open(page)
	b.says("ol.life", "Proven gone")
	b.says("ol.life", "read back as absent")
	b.emulate(1000, "light", true)
}

func (s *site) accessPage(b *tab) {
	first, page := s.approved("invoices")
	second, _ := s.approved("payments")
	b.open("/access?target=billing-api&by=target")
	b.says(".bundle h2", "billing-api")
	if n := evaluate[int](b, `document.querySelectorAll("ul.grants svg rect.bar").length`); n < 2 {
		s.Errorf("%d bars", n)
	}
	b.open("/access?subject=service/partner-sync")
	b.fill("#typed", "service/partner")
	b.press("#revoke-all button")
	b.says(".problem", "Nothing was revoked")
	s.status(first.ID, writ.StatusActive)
	b.open("/access?subject=service/partner-sync")
	b.fill("#typed", "service/partner-sync")
	b.fill("#cut-note", "the partner is gone")
	b.press("#revoke-all button")
	b.says(".notice", "You revoked everything of service/partner-sync")
	for _, r := range []writ.Request{first, second} {
		s.reaches(r.ID, writ.StatusClosed)
	}
	b.open("/access?subject=service/partner-sync")
	b.says(".empty", "Show all")

	b.open(page)
	link := evaluate[string](b, `document.querySelector("a[download]").getAttribute("href")`)
	c := b.cookie()
	status, text := s.send("GET", link, nil, http.Header{"Cookie": {c.Name + "=" + c.Value}})
	if status != http.StatusOK || !json.Valid([]byte(text)) || !strings.Contains(text, string(first.ID)) {
		s.Errorf("the evidence file: %d %.200s", status, text)
	}
}

// smallPages: on a phone, in the dark, nothing has to be pushed sideways, and
// each page has one heading and a name for each field.
func (s *site) smallPages(b *tab) {
	waits, page := s.askDeploy("90m")
	active, granted := s.approved("reports")
	b.emulate(390, "dark", true)
	less := page + "/narrow?for=1h&digest=" + string(waits.Digest)
	for _, path := range []string{"/", page, less, granted, "/access", "/access?subject=service/partner-sync", "/keys", "/requests/req-none"} {
		b.open(path)
		if wide := evaluate[int](b, "document.documentElement.scrollWidth"); wide > 390 {
			s.Errorf("%s is %d px wide", path, wide)
		}
		if paper := evaluate[string](b, "getComputedStyle(document.body).backgroundColor"); paper != "rgb(23, 24, 27)" {
			s.Errorf("%s is %s in the dark", path, paper)
		}
		if n := evaluate[int](b, `document.querySelectorAll("h1").length`); n != 1 {
			s.Errorf("%s has %d first headings", path, n)
		}
		nameless := evaluate[[]string](b, `[...document.querySelectorAll("input:not([type=hidden]), select")].filter((i) => i.labels.length === 0).map((i) => i.outerHTML)`)
		if len(nameless) > 0 {
			s.Errorf("%s has fields without a label: %q", path, nameless)
		}
	}
	s.api("human/ann", "POST", "/v1/requests/"+string(active.ID)+"/release", nil, nil)
}

// placePage: whoever stands in sees in whose place, before and after.
func (s *site) placePage(b *tab) {
	s.api("human/sue", "POST", "/v1/delegations", map[string]any{"to": "human/pat", "until": time.Now().Add(time.Hour)}, nil)
	r, page := s.askDeploy("2h")
	s.approve("human/max", r)
	b.signInAs("human/pat")
	b.open("/")
	b.says(".card .notice", "You decide in the place of human/sue.")
	b.open(page)
	b.press("#approve-session button")
	b.says(".notice", "You approved it.")
	b.says("ol.stages", "approved by human/pat in the place of human/sue")
	b.says("ol.life", "in the place of human/sue")
}
