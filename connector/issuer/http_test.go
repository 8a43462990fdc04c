package issuer

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/writhq/writ/connector"
)

func introspected(t testing.TB, server, caller, token string) (status int, body string) {
	t.Helper()
	return post(t, server+"/introspect", caller, "application/x-www-form-urlencoded",
		url.Values{"token": {token}, "token_type_hint": {"access_token"}}.Encode())
}

func post(t testing.TB, url, caller, kind, body string) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Caller", caller)
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	want := "application/json"
	if reply.StatusCode != 200 {
		want = "application/problem+json"
		var p struct {
			Title, Detail string
			Status        int
		}
		if err := json.Unmarshal(text, &p); err != nil || p.Status != reply.StatusCode || p.Title == "" || p.Detail == "" {
			t.Errorf("not a problem document: %s", text)
		}
	}
	if got := reply.Header.Get("Content-Type"); got != want || reply.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d: %s, %s", reply.StatusCode, got, reply.Header.Get("Cache-Control"))
	}
	return reply.StatusCode, string(text)
}

func verified(t testing.TB, server, caller string, ask object) (status int, answer string) {
	t.Helper()
	body, err := json.Marshal(ask)
	if err != nil {
		t.Fatal(err)
	}
	return post(t, server+"/verify", caller, "application/json", string(body))
}

// served opens an Issuer at a fixed time, and a server of it.
func served(t *testing.T, cfg Config) (*Issuer, connector.Connector, *clock, string) {
	t.Helper()
	c := newClock()
	if cfg.DB == nil {
		cfg.DB, cfg.Sole = sqliteDB(t), true
	}
	cfg.Now = c.now
	i, target := open(t, cfg)
	server := httptest.NewServer(i.Handler())
	t.Cleanup(server.Close)
	return i, target, c, server.URL
}

func TestIntrospectionSaysAllOfAnActiveToken(t *testing.T) {
	_, target, c, server := served(t, Config{})
	for _, kind := range []connector.Kind{connector.APIKey, connector.AccessToken} {
		o := order(t, "req-"+string(kind), kind, c.now())
		r, token := grant(t, target, o)
		status, body := introspected(t, server, "gateway", token)
		var got object
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 {
			t.Fatalf("%d %s", status, body)
		}
		want := object{
			"active": true, "token_type": "Bearer", "iss": testURL, "sub": "ci-deploy", "client_id": "ci-deploy", "aud": "billing-api",
			"exp": float64(o.Until.Unix()), "iat": float64(o.From.Unix()), "nbf": float64(o.From.Unix()), "jti": r.Detail["id"],
			"scope": "read write",
			"writ":  object{"request": o.Request, "entitlement": "billing", "uid": "uid-7", "scope": object{"service": "billing"}},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", kind, diff)
		}
	}
}

func TestVerifySaysWhatAServiceNeeds(t *testing.T) {
	_, target, c, server := served(t, Config{})
	o := order(t, "req-1", connector.APIKey, c.now())
	_, key := grant(t, target, o)
	status, body := verified(t, server, "gateway", object{"token": key, "scope": object{"service": "billing"}, "audience": "billing-api"})
	var got object
	if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	want := object{
		"active": true, "subject": "ci-deploy", "uid": "uid-7", "entitlement": "billing", "request": "req-1", "audience": "billing-api",
		"scopes": []any{"read", "write"}, "scope": object{"service": "billing"}, "until": o.Until.Truncate(time.Microsecond).Format(time.RFC3339Nano),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Whatever is wrong, nobody outside learns what.
func TestInactiveLooksTheSameWhateverTheReason(t *testing.T) {
	i, target, c, server := served(t, Config{})
	issue := func(request string, change func(*connector.Order)) string {
		o := order(t, request, connector.APIKey, c.now())
		change(&o)
		_, key := grant(t, target, o)
		return key
	}
	good := issue("req-good", func(*connector.Order) {})
	expired := issue("req-expired", func(o *connector.Order) { o.Until = c.now().Add(time.Minute) })
	early := issue("req-early", func(o *connector.Order) { o.From = c.now().Add(10 * time.Minute) })
	only := issue("req-only", func(o *connector.Order) { o.Grant = json.RawMessage(`{"verifiers":["billing"]}`) })
	ended := issue("req-ended", func(*connector.Order) {})
	revoke(t, target, connector.Order{Request: "req-ended"})
	replaced := issue("req-again", func(*connector.Order) {})
	issue("req-again", func(*connector.Order) {})
	stranger := strings.Replace(good, good[keyAt:keyAt+10], "0000000000", 1)
	c.forward(2 * time.Minute)
	for name, ask := range map[Reason]object{
		Malformed:   {"token": "hello"},
		Checksum:    {"token": good[:len(good)-1] + "!"},
		Unknown:     {"token": resummed(stranger)},
		Mismatch:    {"token": resummed(good[:len(good)-10] + "0000" + good[len(good)-6:])},
		Expired:     {"token": expired},
		Early:       {"token": early},
		Ended:       {"token": ended},
		Audience:    {"token": only},
		Scope:       {"token": good, "scope": object{"service": "admin"}},
		"replaced":  {"token": replaced},
		"elsewhere": {"token": good, "audience": "admin-api"},
		"missing":   {"token": good, "scope": object{"region": ""}},
	} {
		status, body := verified(t, server, "gateway", ask)
		if status != 200 || body != inactive {
			t.Errorf("%s: %d %s", name, status, body)
		}
		if ask["scope"] == nil && ask["audience"] == nil {
			if status, body := introspected(t, server, "gateway", ask["token"].(string)); status != 200 || body != inactive {
				t.Errorf("%s: %d %s", name, status, body)
			}
		}
	}
	if status, body := verified(t, server, "gateway", object{"token": good}); status != 200 || body == inactive {
		t.Errorf("the good one: %d %s", status, body)
	}
	if status, body := verified(t, server, "billing", object{"token": only}); status != 200 || body == inactive {
		t.Errorf("the named verifier: %d %s", status, body)
	}
	counts := i.Counts()
	for _, reason := range []Reason{Active, Malformed, Unknown, Mismatch, Expired, Early, Ended, Audience, Scope} {
		if counts[reason] == 0 {
			t.Errorf("%s was not counted: %v", reason, counts)
		}
	}
}

// resummed returns a made-up key with the checksum it ought to have.
func resummed(key string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	key = key[:len(key)-6]
	sum := make([]byte, 6)
	for n, at := crc32.ChecksumIEEE([]byte(key)), 5; at >= 0; n, at = n/62, at-1 {
		sum[at] = digits[n%62]
	}
	return key + string(sum)
}

func TestCallersMustBeKnown(t *testing.T) {
	_, target, c, server := served(t, Config{})
	_, key := grant(t, target, order(t, "req-1", connector.APIKey, c.now()))
	if status, _ := verified(t, server, "", object{"token": key}); status != http.StatusUnauthorized {
		t.Errorf("verify without a name: %d", status)
	}
	if status, _ := introspected(t, server, "", key); status != http.StatusUnauthorized {
		t.Errorf("introspect without a name: %d", status)
	}
	i, target := open(t, Config{DB: sqliteDB(t), Sole: true, Caller: func(*http.Request) (string, error) { return "gateway", errors.New("no") }})
	_, key = grant(t, target, order(t, "req-1", connector.APIKey, time.Now()))
	refusing := httptest.NewServer(i.Handler())
	defer refusing.Close()
	if status, _ := verified(t, refusing.URL, "gateway", object{"token": key}); status != http.StatusUnauthorized {
		t.Errorf("verify by an unknown caller: %d", status)
	}
	i.cfg.Caller = nil
	if status, _ := verified(t, refusing.URL, "gateway", object{"token": key}); status != http.StatusUnauthorized {
		t.Errorf("verify where nobody may: %d", status)
	}
}

func TestMalformedQuestionsAreRefusedAndNotQuoted(t *testing.T) {
	log, logs := logged()
	_, target, c, server := served(t, Config{Log: log})
	_, key := grant(t, target, order(t, "req-1", connector.APIKey, c.now()))
	const form = "application/x-www-form-urlencoded"
	for name, ask := range map[string]struct {
		path, kind, body string
		status           int
	}{
		"empty":                {"/verify", "application/json", "", 400},
		"null":                 {"/verify", "application/json", "null", 400},
		"a list":               {"/verify", "application/json", `["` + key + `"]`, 400},
		"text":                 {"/verify", "application/json", `"` + key + `"`, 400},
		"cut off":              {"/verify", "application/json", `{"token":"` + key + `"`, 400},
		"no token":             {"/verify", "application/json", `{"scope":{}}`, 400},
		"an empty token":       {"/verify", "application/json", `{"token":""}`, 400},
		"an unknown member":    {"/verify", "application/json", `{"token":"` + key + `","tokens":["` + key + `"]}`, 400},
		"two objects":          {"/verify", "application/json", `{"token":"` + key + `"}{}`, 400},
		"a scope of numbers":   {"/verify", "application/json", `{"token":"` + key + `","scope":{"service":1}}`, 400},
		"too long":             {"/verify", "application/json", `{"token":"` + strings.Repeat(key, 2000) + `"}`, 413},
		"a form that is JSON":  {"/introspect", "application/json", `{"token":"` + key + `"}`, 415},
		"a form without token": {"/introspect", form, "token_type_hint=access_token", 400},
		"a form of two tokens": {"/introspect", form, "token=" + key + "&token=" + key, 400},
		"a form with no value": {"/introspect", form, "token=", 400},
		"a token in the query": {"/introspect?token=" + key, form, "", 400},
		"a broken form":        {"/introspect", form, "token=%zz" + key, 400},
		"too long a form":      {"/introspect", form, "token=" + strings.Repeat(key, 2000), 413},
	} {
		status, body := post(t, server+ask.path, "gateway", ask.kind, ask.body)
		if status != ask.status || strings.Contains(body, key[keyAt+11:keyAt+20]) {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	for _, path := range []string{"/verify", "/introspect"} {
		reply, err := http.Get(server + path + "?token=" + key)
		if err != nil {
			t.Fatal(err)
		}
		if reply.Body.Close(); reply.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("GET %s: %s", path, reply.Status)
		}
	}
	if logs.String() != "" {
		t.Errorf("logged: %s", logs)
	}
}

func TestPublicKeysArePublished(t *testing.T) {
	_, _, _, server := served(t, Config{})
	get := func(path string) []byte {
		t.Helper()
		reply, err := http.Get(server + path)
		if err != nil {
			t.Fatal(err)
		}
		defer reply.Body.Close()
		text, err := io.ReadAll(reply.Body)
		if err != nil || reply.StatusCode != 200 {
			t.Fatalf("GET %s: %s, %v", path, reply.Status, err)
		}
		return text
	}
	if block, rest := pem.Decode(get("/ca.pem")); block == nil || len(rest) > 0 || !bytes.Equal(block.Bytes, testKeys().CACert) {
		t.Errorf("/ca.pem holds something else")
	} else if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		t.Error(err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(get("/ssh_ca.pub"))
	ca, err2 := ssh.NewSignerFromSigner(testKeys().SSH)
	if err != nil || err2 != nil || !bytes.Equal(key.Marshal(), ca.PublicKey().Marshal()) {
		t.Errorf("/ssh_ca.pub holds something else: %v, %v", err, err2)
	}
	for _, path := range []string{"/jwks.json", "/ca.pem", "/ssh_ca.pub", "/ssh_krl"} {
		if bytes.Contains(get(path), []byte("PRIVATE")) || bytes.Contains(get(path), []byte(`"d"`)) {
			t.Errorf("%s holds a private key", path)
		}
	}
}
