package auth

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"

	"github.com/writhq/writ"
)

// TestHumanOfARealProvider signs a person in at a complete OpenID provider, as
// a browser does, and calls with the ID token.
func TestHumanOfARealProvider(t *testing.T) {
	web := httptest.NewUnstartedServer(nil)
	issuer := "http://" + web.Listener.Addr().String()
	const callback = "http://127.0.0.1:1/callback"
	store := storage.NewStorageWithClients(storage.NewUserStore(issuer), map[string]*storage.Client{
		"writ":  storage.WebClient("writ", "secret", callback),
		"other": storage.WebClient("other", "secret", callback),
	})
	web.Config.Handler = exampleop.SetupServer(issuer, store, slog.New(slog.DiscardHandler), false)
	web.Start()
	t.Cleanup(web.Close)

	s := newServer(t, []Issuer{{URL: issuer, Audience: "writ"}},
		identity("human/ann", writ.Account{Issuer: issuer, Subject: "id1"}))
	token := signIn(t, issuer, "writ", callback)
	c := s.accepts(t, token["id_token"], "human/ann")
	if c.Subject != "id1" || c.Issuer != issuer {
		t.Errorf("%+v", c)
	}
	s.refuses(t, token["access_token"], writ.Unauthenticated) // opaque, for the provider itself
	s.refuses(t, signIn(t, issuer, "other", callback)["id_token"], writ.Unauthenticated)
	s.apply(identity("human/ann", writ.Account{Issuer: issuer, Subject: "id2"}))
	s.refuses(t, token["id_token"], writ.Unauthenticated)
}

var formAction = regexp.MustCompile(`name="id" value="([^"]+)"`)

// signIn goes through the authorization code flow (OpenID Connect Core 1.0,
// section 3.1) and returns the tokens.
func signIn(t *testing.T, issuer, client, callback string) map[string]string {
	t.Helper()
	var code string
	browser := &http.Client{CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), callback) {
			code = r.URL.Query().Get("code")
			return http.ErrUseLastResponse
		}
		return nil
	}}
	page := get(t, browser, issuer+"/auth?"+url.Values{
		"client_id": {client}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid"}, "state": {"s"},
	}.Encode())
	id := formAction.FindStringSubmatch(page)
	if id == nil {
		t.Fatalf("no login form in %s", page)
	}
	post(t, browser, issuer+"/login/username", url.Values{"id": {id[1]}, "username": {"test-user@127.0.0.1"}, "password": {"verysecure"}})
	if code == "" {
		t.Fatal("no code after the login")
	}
	answer := post(t, browser, issuer+"/oauth/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "client_id": {client}, "client_secret": {"secret"},
	})
	var out struct {
		ID     string `json:"id_token"`
		Access string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(answer), &out); err != nil || out.ID == "" || out.Access == "" {
		t.Fatalf("no tokens in %s (%v)", answer, err)
	}
	return map[string]string{"id_token": out.ID, "access_token": out.Access}
}

func get(t *testing.T, c *http.Client, url string) string {
	t.Helper()
	res, err := c.Get(url)
	return text(t, res, err)
}

func post(t *testing.T, c *http.Client, url string, form url.Values) string {
	t.Helper()
	res, err := c.PostForm(url, form)
	return text(t, res, err)
}

func text(t *testing.T, res *http.Response, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
