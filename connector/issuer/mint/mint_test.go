package mint

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"math/big"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/writhq/writ/connector"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func newMint(t testing.TB, keys Keys) *Mint {
	t.Helper()
	m, err := New(Config{Keys: keys, URL: "https://writ.example", Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newKeys(t testing.TB) Keys {
	t.Helper()
	keys, err := NewKeys("test CA", rand.Reader, now)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func order(kind connector.Kind) connector.Order {
	return connector.Order{
		Request: "req-1", Subject: "ci", SubjectUID: "uid-1", Entitlement: "billing", Environment: "production", Kind: kind,
		Scope: map[string]string{"service": "billing"}, From: now, Until: now.Add(time.Hour),
	}
}

func newKey(t testing.TB, m *Mint, environment string) string {
	t.Helper()
	o := order(connector.APIKey)
	o.Environment = environment
	made, err := m.Make(o, Section{})
	if err != nil {
		t.Fatal(err)
	}
	return made.Env["WRIT_API_KEY"].Reveal()
}

var keyForm = regexp.MustCompile(`^writ_(live|test)_[0-9A-Za-z]{10}_[0-9A-Za-z]{38}$`)

func TestAPIKeyHasTheFormScannersKnow(t *testing.T) {
	m := newMint(t, newKeys(t))
	seen := map[string]bool{}
	for n := range 500 {
		environment, tier := "production", "live"
		if n%2 == 0 {
			environment, tier = "staging", "test"
		}
		key := newKey(t, m, environment)
		if !keyForm.MatchString(key) || !strings.HasPrefix(key, "writ_"+tier+"_") {
			t.Fatalf("in %s: not the form of a key: %s", environment, key)
		}
		// the checksum in other words: a number of six digits to the base 62
		sum, digits := big.NewInt(0), "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		for _, c := range key[len(key)-6:] {
			sum.Add(sum.Mul(sum, big.NewInt(62)), big.NewInt(int64(strings.IndexRune(digits, c))))
		}
		if want := crc32.ChecksumIEEE([]byte(key[:len(key)-6])); sum.Cmp(big.NewInt(int64(want))) != 0 {
			t.Fatalf("%s: checksum %s, want %d", key, sum, want)
		}
		id, kind, flaw := m.Identify(key)
		if id != key[10:20] || kind != connector.APIKey || flaw != "" || seen[id] {
			t.Fatalf("%s: id %q (seen before: %t), kind %s, flaw %q", key, id, seen[id], kind, flaw)
		}
		seen[id] = true
	}
}

// A checksum that is written with fewer digits than six keeps its place.
func TestChecksumIsPadded(t *testing.T) {
	for n := 0; ; n++ {
		text := fmt.Sprint(n)
		if crc32.ChecksumIEEE([]byte(text)) < 62*62 {
			if got := checksum(text); len(got) != 6 || got[:4] != "0000" {
				t.Fatalf("checksum of %q is %q", text, got)
			}
			return
		}
	}
}

func TestEverySlipInAKeyIsNoticed(t *testing.T) {
	m := newMint(t, newKeys(t))
	key := newKey(t, m, "production")
	for at := range key {
		for _, c := range []byte("0aZ_-.é\x00") {
			slip := key[:at] + string(rune(c)) + key[at+1:]
			if id, _, flaw := m.Identify(slip); slip != key && flaw == "" {
				t.Fatalf("%q passes as key %s", slip, id)
			}
		}
	}
	for _, other := range []string{"", "writ_", "writ_live_", key[:len(key)-1], key + "0", " " + key, key + "\n", strings.ToLower(key),
		strings.Replace(key, "writ_", "", 1) + "00000", strings.Replace(key, "live", "test", 1)} {
		if id, _, flaw := m.Identify(other); flaw == "" {
			t.Errorf("%q passes as key %s", other, id)
		}
	}
}

func FuzzIdentify(f *testing.F) {
	m := newMint(f, newKeys(f))
	key := newKey(f, m, "production")
	made, err := m.Make(order(connector.AccessToken), Section{Audience: "a"})
	if err != nil {
		f.Fatal(err)
	}
	token := made.Env["WRIT_ACCESS_TOKEN"].Reveal()
	for _, seed := range []string{key, key[:30], "writ_live_", "writ_test_0000000000_" + strings.Repeat("0", 38), token, token[:40], "..", "a.b.c", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, kind, flaw := m.Identify(text)
		switch {
		case flaw != "" && id != "":
			t.Errorf("%q: id %q in spite of flaw %s", text, id, flaw)
		case flaw == "" && kind == connector.APIKey && (!keyForm.MatchString(text) || text[10:20] != id || checksum(text[:len(text)-6]) != text[len(text)-6:]):
			t.Errorf("%q passes as key %s", text, id)
		case flaw == "" && kind == connector.AccessToken && text != token:
			t.Errorf("%q passes as token %s", text, id)
		}
	})
}

func TestMACCoversTextAndTerms(t *testing.T) {
	keys := newKeys(t)
	m := newMint(t, keys)
	sum := m.MAC("key", Digest{1})
	if sum != newMint(t, keys).MAC("key", Digest{1}) {
		t.Error("the same pepper gives another MAC")
	}
	other := newMint(t, newKeys(t))
	for what, mac := range map[string]MAC{"text": m.MAC("kex", Digest{1}), "terms": m.MAC("key", Digest{2}), "pepper": other.MAC("key", Digest{1})} {
		if mac == sum {
			t.Errorf("another %s gives the same MAC", what)
		}
	}
}

func TestKeysSurviveBeingWritten(t *testing.T) {
	keys := newKeys(t)
	for range 2 {
		rotated, err := keys.Rotate("next CA", rand.Reader, now)
		if err != nil {
			t.Fatal(err)
		}
		keys = rotated
	}
	text, err := keys.PEM()
	if err != nil {
		t.Fatal(err)
	}
	read, err := ParseKeys(text)
	if err != nil {
		t.Fatal(err)
	}
	again, err := read.PEM()
	if err != nil || !bytes.Equal(text, again) {
		t.Fatalf("written again, keys differ: %v", err)
	}
	if len(read.Former.Token) != 2 || len(read.Former.CACert) != 2 || len(read.Former.SSH) != 2 {
		t.Errorf("former keys were lost: %d, %d, %d", len(read.Former.Token), len(read.Former.CACert), len(read.Former.SSH))
	}
	token, err := newMint(t, keys).Make(order(connector.AccessToken), Section{Audience: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, flaw := newMint(t, read).Identify(token.Env["WRIT_ACCESS_TOKEN"].Reveal()); flaw != "" {
		t.Errorf("a token signed before is %s after", flaw)
	}
}

func TestBrokenKeyFilesAreRefused(t *testing.T) {
	keys := newKeys(t)
	text, err := keys.PEM()
	if err != nil {
		t.Fatal(err)
	}
	other := newKeys(t)
	mixed := keys
	mixed.CACert = other.CACert
	unlike, err := mixed.PEM()
	if err != nil {
		t.Fatal(err)
	}
	for name, broken := range map[string][]byte{
		"empty":            nil,
		"half":             text[:len(text)/2],
		"something before": append([]byte("hello\n"), text[:40]...),
		"another use":      bytes.Replace(text, []byte("Use: ssh"), []byte("Use: tls"), 1),
		"a damaged key":    bytes.Replace(text, []byte("Use: token\n\nM"), []byte("Use: token\n\nN"), 1),
		"a foreign CA":     unlike,
	} {
		if _, err := ParseKeys(broken); err == nil {
			t.Errorf("%s: accepted", name)
		} else if !strings.HasPrefix(err.Error(), "issuer: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnfitKeysAreRefused(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"no pepper":        func(c *Config) { c.Keys.Pepper = nil },
		"a short pepper":   func(c *Config) { c.Keys.Pepper = make([]byte, 31) },
		"no token key":     func(c *Config) { c.Keys.Token = nil },
		"no ssh key":       func(c *Config) { c.Keys.SSH = nil },
		"P-384 for tokens": func(c *Config) { c.Keys.Token = p384 },
		"RSA for tokens":   func(c *Config) { c.Keys.Token = rsaKey },
		"RSA for ssh":      func(c *Config) { c.Keys.SSH = rsaKey },
		"no CA":            func(c *Config) { c.Keys.CACert = nil },
		"a former RSA key": func(c *Config) { c.Keys.Former.Token = []crypto.PublicKey{rsaKey.Public()} },
		"no URL":           func(c *Config) { c.URL = "" },
		"a URL with query": func(c *Config) { c.URL = "https://a/?b" },
		"another scheme":   func(c *Config) { c.URL = (&url.URL{Scheme: "file", Path: "/etc"}).String() },
	} {
		c := Config{Keys: newKeys(t), URL: "https://writ.example"}
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestTokensAreSignedWithES256Too(t *testing.T) {
	keys := newKeys(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys.Token = key
	m := newMint(t, keys)
	made, err := m.Make(order(connector.AccessToken), Section{Audience: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if id, _, flaw := m.Identify(made.Env["WRIT_ACCESS_TOKEN"].Reveal()); flaw != "" || id != made.ID {
		t.Errorf("id %q, flaw %q", id, flaw)
	}
}

func TestKeysPrintMasked(t *testing.T) {
	keys := newKeys(t)
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		fmt.Fprintf(&out, verb+"\n", keys)
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("here", "keys", keys)
	if want := strings.Repeat(maskedKeys+"\n", 6); !strings.HasPrefix(out.String(), want) || strings.Count(out.String(), maskedKeys) != 7 {
		t.Errorf("printed: %s", out.String())
	}
	if text, err := json.Marshal(keys); err == nil {
		t.Errorf("marshalled: %s", text)
	}
}

func TestNoRandomnessNoCredential(t *testing.T) {
	m, err := New(Config{Keys: newKeys(t), URL: "https://writ.example", Now: func() time.Time { return now }, Random: strings.NewReader("too little")})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range Kinds[:2] {
		if made, err := m.Make(order(kind), Section{Audience: "a"}); err == nil {
			t.Errorf("%s: made without randomness: %+v", kind, made)
		}
	}
	if _, err := NewKeys("CA", strings.NewReader("too little"), now); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("keys without randomness: %v", err)
	}
}
