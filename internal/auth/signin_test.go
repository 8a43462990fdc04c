package auth

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"

	"github.com/writhq/writ"
	"github.com/writhq/writ/assent"
	"github.com/writhq/writ/connector"
)

const home = "https://writ.example.com"

// An office is a real provider at which ann signs in to this server. What it
// says of itself can be made to say more.
type office struct {
	*server
	issuer string
	more   map[string]any // members of its discovery document
}

func newOffice(t *testing.T, more map[string]any) *office {
	t.Helper()
	web := httptest.NewUnstartedServer(nil)
	o := &office{issuer: "http://" + web.Listener.Addr().String(), more: more}
	store := storage.NewStorageWithClients(storage.NewUserStore(o.issuer), map[string]*storage.Client{
		"writ": storage.WebClient("writ", "the client's", home+Back), "other": storage.WebClient("other", "secret", home+Back),
	})
	real := exampleop.SetupServer(o.issuer, store, slog.New(slog.DiscardHandler), false)
	web.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/.well-known/openid-configuration" {
			real.ServeHTTP(w, r)
			return
		}
		said, meta := httptest.NewRecorder(), map[string]any{}
		real.ServeHTTP(said, r)
		if err := json.Unmarshal(said.Body.Bytes(), &meta); err != nil {
			t.Error(err)
		}
		for name, value := range o.more {
			meta[name] = value
		}
		reply(w, http.StatusOK, "application/json", meta)
	})
	web.Start()
	t.Cleanup(web.Close)
	o.server = newServerOf(t, Config{
		Issuers: []Issuer{{URL: o.issuer, Audience: home, Client: Client{ID: "writ", Secret: "env:WRIT_SECRET_CLIENT"}}}, URL: home,
		Secret: func(string) (connector.Secret, error) { return connector.Conceal("the client's"), nil },
	}, identity("human/ann", writ.Account{Issuer: o.issuer, Subject: "id1"}))
	return o
}

// browse follows a browser from where it is sent until it is sent back.
func (o *office) browse(t *testing.T, place, user string) url.Values {
	t.Helper()
	var back url.Values
	browser := &http.Client{CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), home+Back) {
			back = r.URL.Query()
			return http.ErrUseLastResponse
		}
		return nil
	}}
	id := formAction.FindStringSubmatch(get(t, browser, place))
	if id == nil {
		t.Fatal("no login form")
	}
	post(t, browser, o.issuer+"/login/username", url.Values{"id": {id[1]}, "username": {user}, "password": {"verysecure"}})
	if back == nil {
		t.Fatal("the browser was not sent back")
	}
	return back
}

const annThere, benThere = "test-user@127.0.0.1", "test-user2"

func (o *office) begin(t *testing.T, challenge []byte) (Flow, string) {
	t.Helper()
	f, place, err := o.Begin(t.Context(), o.issuer, challenge)
	if err != nil {
		t.Fatal(err)
	}
	return f, place
}

func TestSignIn(t *testing.T) {
	o := newOffice(t, nil)
	f, place := o.begin(t, nil)
	sent := must(url.Parse(place)).Query()
	for name, want := range map[string]string{
		"response_type": "code", "client_id": "writ", "redirect_uri": home + Back, "state": f.State, "nonce": f.Nonce,
		"code_challenge_method": "S256", "scope": "openid", "max_age": "",
	} {
		if got := sent.Get(name); got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
	if strings.Contains(place, f.Verifier) {
		t.Error("the verifier is sent along")
	}
	answer := o.browse(t, place, annThere)
	p, err := o.Finish(t.Context(), f, answer)
	if err != nil || p.Party.Name != "human/ann" || p.Issuer != o.issuer || p.IDToken == "" {
		t.Fatalf("%+v, %v", p, err)
	}
	if _, err := o.Finish(t.Context(), f, answer); !errors.Is(err, writ.Unauthenticated) {
		t.Errorf("a code was good twice: %v", err)
	}
	if i, err := o.Still(p); err != nil || i.Name != "human/ann" {
		t.Errorf("%+v, %v", i, err)
	}
	o.accountsCount(t, p)
	if got := o.SignOutURL(t.Context(), p, home); !strings.HasPrefix(got, o.issuer+"/end_session?") || !strings.Contains(got, "id_token_hint="+p.IDToken) {
		t.Errorf("sign out at %s", got)
	}
}

func TestClaimsThatAreLists(t *testing.T) {
	claims := map[string]any{"one": "a", "list": []any{"a", "", "b", map[string]any{}, true}, "deep": map[string]any{"roles": []any{"c"}}, "none": []any{}}
	for name, want := range map[string][]string{
		"one": {"a"}, "list": {"a", "b", "true"}, "/deep/roles": {"c"}, "none": {}, "absent": {}, "deep": {}, "/list/0": {},
	} {
		if got := claimList(claims, name); got == nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, not %q", name, got, want)
		}
	}
}

// accountsCount: whoever signed in is looked up each time.
func (o *office) accountsCount(t *testing.T, p Person) {
	t.Helper()
	account := writ.Account{Issuer: o.issuer, Subject: "id1"}
	for name, docs := range map[string][]writ.Document{
		"disabled": {with("disabled", identity("human/ann", account))},
		"gone":     nil,
		"another":  {identity("human/ben", account)},
		"no more":  {identity("human/ann", writ.Account{Issuer: o.issuer, Subject: "id3"})},
	} {
		o.apply(docs...)
		if i, err := o.Still(p); !errors.Is(err, writ.Unauthenticated) {
			t.Errorf("%s: still %v, %v", name, i.Name, err)
		}
	}
}

// TestSignInRefused: what a browser brings back is believed only where it
// belongs to the sign-in that this browser began.
func TestSignInRefused(t *testing.T) {
	for name, test := range map[string]struct {
		user   string
		more   map[string]any
		flow   func(*Flow)
		answer func(url.Values)
	}{
		"another state":            {answer: func(v url.Values) { v.Set("state", "x") }},
		"no state":                 {answer: func(v url.Values) { v.Del("state") }, flow: func(f *Flow) { f.State = "" }},
		"another nonce":            {flow: func(f *Flow) { f.Nonce = "x" }},
		"another verifier":         {flow: func(f *Flow) { f.Verifier = strings.Repeat("x", 43) }},
		"another code":             {answer: func(v url.Values) { v.Set("code", "x") }},
		"no code":                  {answer: func(v url.Values) { v.Del("code") }},
		"an error":                 {answer: func(v url.Values) { v.Set("error", "access_denied") }},
		"of another issuer":        {answer: func(v url.Values) { v.Set("iss", "https://evil.example") }},
		"no iss, which is offered": {more: map[string]any{"authorization_response_iss_parameter_supported": true}},
		"at another issuer":        {flow: func(f *Flow) { f.Issuer = "https://evil.example" }},
		"no account":               {user: benThere},
	} {
		o := newOffice(t, test.more)
		f, place := o.begin(t, nil)
		if test.user == "" {
			test.user = annThere
		}
		answer := o.browse(t, place, test.user)
		if test.answer != nil {
			test.answer(answer)
		}
		if test.flow != nil {
			test.flow(&f)
		}
		p, err := o.Finish(t.Context(), f, answer)
		if !errors.Is(err, writ.Unauthenticated) || p.Party.Name != "" {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	o := newOffice(t, map[string]any{"authorization_response_iss_parameter_supported": true})
	f, place := o.begin(t, nil)
	answer := o.browse(t, place, annThere)
	answer.Set("iss", o.issuer)
	if _, err := o.Finish(t.Context(), f, answer); err != nil {
		t.Errorf("with the iss that is offered: %v", err)
	}
}

func TestMachinesDoNotSignIn(t *testing.T) {
	o := newOffice(t, nil)
	o.apply(identity("service/ci", writ.Account{Issuer: o.issuer, Subject: "id1"}))
	f, place := o.begin(t, nil)
	if p, err := o.Finish(t.Context(), f, o.browse(t, place, annThere)); !errors.Is(err, writ.Forbidden) {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestIssuerThatCannotBeUsed: where a browser would be sent is refused before.
func TestIssuerThatCannotBeUsed(t *testing.T) {
	for name, more := range map[string]map[string]any{
		"another issuer":      {"issuer": "https://evil.example"},
		"its name in another": {"issuer": "http://127.0.0.1/"},
		"clear text":          {"authorization_endpoint": "http://evil.example/auth"},
		"clear text for us":   {"token_endpoint": "http://evil.example/token"},
		"a script":            {"authorization_endpoint": "javascript:alert(1)"},
		"PKCE in the plain":   {"code_challenge_methods_supported": []string{"plain"}},
	} {
		o := newOffice(t, more)
		if _, place, err := o.Begin(t.Context(), o.issuer, nil); !errors.Is(err, writ.Unavailable) {
			t.Errorf("%s: sent to %q, %v", name, place, err)
		}
	}
	o := newOffice(t, nil)
	if _, _, err := o.Begin(t.Context(), "https://evil.example", nil); !errors.Is(err, writ.Invalid) {
		t.Error(err)
	}
}

// TestSignInForADecision is the evidence from beginning to end: a real provider
// makes it, and it is checked without one.
func TestSignInForADecision(t *testing.T) {
	o := newOffice(t, nil)
	digest, nonce := writ.Digest("sha256:"+strings.Repeat("ab", 32)), bytes.Repeat([]byte{7}, 16)
	challenge := must(writ.Challenge(nonce, digest, writ.Yes))
	f, place := o.begin(t, challenge[:])
	if sent := must(url.Parse(place)).Query(); sent.Get("max_age") != "0" || sent.Get("nonce") != base64.RawURLEncoding.EncodeToString(challenge[:]) {
		t.Errorf("sent to %s", place)
	}
	p, err := o.Finish(t.Context(), f, o.browse(t, place, annThere))
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := o.Signer(t.Context(), p.IDToken)
	if err != nil {
		t.Fatal(err)
	}
	e := writ.Evidence{Method: writ.ByOIDC, Nonce: nonce, Proof: must(assent.OIDCProof(p.IDToken, jwk))}
	i, _ := o.directory().Who(p.Party)
	if err := assent.VerifySignIn(e, i, digest, writ.Yes, time.Now()); err != nil {
		t.Error(err)
	}
	if err := assent.VerifySignIn(e, i, digest, writ.No, time.Now()); !errors.Is(err, writ.Forbidden) {
		t.Errorf("good for a no: %v", err)
	}
	// A plain sign-in is of another nonce, and nobody else's token counts.
	plain, place := o.begin(t, nil)
	signedIn, err := o.Finish(t.Context(), plain, o.browse(t, place, annThere))
	if err != nil {
		t.Fatal(err)
	}
	e.Proof = must(assent.OIDCProof(signedIn.IDToken, jwk))
	if err := assent.VerifySignIn(e, i, digest, writ.Yes, time.Now()); !errors.Is(err, writ.Forbidden) {
		t.Errorf("a plain sign-in: %v", err)
	}
	parts := strings.Split(p.IDToken, ".")
	forged := must(json.Marshal(map[string]any{"iss": o.issuer, "sub": "id1", "aud": "writ", "nonce": f.Nonce, "iat": time.Now().Unix(), "exp": time.Now().Unix() + 60}))
	for name, token := range map[string]string{
		"of another client": signIn(t, o.issuer, "other", home+Back)["id_token"],
		"forged":            parts[0] + "." + b64(forged) + "." + parts[2],
		"of no issuer":      rsaKey.token(fields{"iss": "https://evil.example"}),
		"nothing":           "",
	} {
		if key, err := o.Signer(t.Context(), token); !errors.Is(err, writ.Forbidden) {
			t.Errorf("%s: %s, %v", name, key, err)
		}
	}
}

// TestSignInAsIsForThisMachineAlone, and for people.
func TestSignInAsIsForThisMachineAlone(t *testing.T) {
	s, dev := newDevServer(t, people()...)
	from := func(change func(*http.Request)) *http.Request {
		r := httptest.NewRequest(http.MethodPost, dev.url+"/sign-in", nil)
		r.RemoteAddr = "127.0.0.1:50000"
		change(r)
		return r
	}
	here := from(func(*http.Request) {})
	p, err := s.SignInAs(here, "human/ann")
	if err != nil || p.Party.Name != "human/ann" || !s.Dev() {
		t.Fatalf("%+v, %v", p, err)
	}
	if i, err := s.Still(p); err != nil || i.Name != "human/ann" {
		t.Errorf("%+v, %v", i, err)
	}
	for name, change := range map[string]func(*http.Request){
		"from elsewhere":    func(r *http.Request) { r.RemoteAddr = "192.0.2.7:50000" },
		"behind a proxy":    func(r *http.Request) { r.Header.Set("X-Forwarded-For", "192.0.2.7") },
		"of another name":   func(r *http.Request) { r.Host = "evil.example" },
		"a page of another": func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
	} {
		if p, err := s.SignInAs(from(change), "human/ann"); !errors.Is(err, writ.Forbidden) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	for _, who := range []writ.Ref{"service/ci", "human/nobody", ""} {
		if p, err := s.SignInAs(here, who); !errors.Is(err, writ.Forbidden) {
			t.Errorf("%s: %+v, %v", who, p, err)
		}
	}
	s.apply()
	if _, err := s.Still(p); !errors.Is(err, writ.Unauthenticated) {
		t.Error(err)
	}
	o := newOffice(t, nil)
	if _, err := o.SignInAs(here, "human/ann"); !errors.Is(err, writ.Forbidden) {
		t.Errorf("without dev mode: %v", err)
	}
	if got := o.Providers(); !slices.Equal(got, []string{o.issuer}) {
		t.Errorf("%v", got)
	}
}
