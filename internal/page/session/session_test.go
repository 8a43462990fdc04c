package session

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/writhq/writ/internal/realtest"
)

// onBoth runs a test on SQLite and on PostgreSQL.
func onBoth(t *testing.T, test func(*testing.T, string)) {
	t.Run("sqlite", func(t *testing.T) { test(t, filepath.Join(t.TempDir(), "sessions.db")) })
	t.Run("postgres", func(t *testing.T) { test(t, realtest.Database(t)) })
}

// A browser keeps the cookie of a site whose pages are the test's own.
type browser struct {
	*testing.T
	sessions *Sessions
	handler  http.Handler
	cookie   *http.Cookie
}

func newBrowser(t *testing.T, dsn string, c Config) *browser {
	t.Helper()
	c.DSN, c.Log = dsn, slog.New(slog.DiscardHandler)
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	b := &browser{T: t, sessions: s}
	b.handler = s.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var err error
		switch r.URL.Path {
		case "/begin":
			err = s.Begin(r.Context(), "person", "ann")
		case "/put":
			err = s.Put(r.Context(), "flow", "half")
		case "/end":
			err = s.End(r.Context())
		}
		if err != nil {
			t.Error(err)
		}
		var person, flow string
		s.Get(r.Context(), "person", &person)
		s.Get(r.Context(), "flow", &flow)
		_, _ = w.Write([]byte(person + "," + flow))
	}))
	return b
}

// visit fetches a path, keeps the cookie and returns what was there.
func (b *browser) visit(path string) string {
	b.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	if b.cookie != nil {
		r.AddCookie(b.cookie)
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if b.cookie = c; c.MaxAge < 0 {
			b.cookie = nil
		}
	}
	return w.Body.String()
}

func (b *browser) sees(path, want string) {
	b.Helper()
	if got := b.visit(path); got != want {
		b.Errorf("%s: the session holds %q, not %q", path, got, want)
	}
}

var lasting = Config{Idle: time.Hour, Life: 2 * time.Hour, Secure: true}

func TestSession(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		b := newBrowser(t, dsn, lasting)
		if b.sees("/", ","); b.cookie != nil {
			t.Error("who only looks gets a cookie")
		}
		b.sees("/put", ",half")
		first := b.cookie
		b.sees("/begin", "ann,") // nothing of before
		second := b.cookie
		if c := second; first.Value == c.Value || c.Name != "__Host-writ" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
			t.Errorf("the cookie is %+v after %s", c, first.Value)
		}
		b.cookie = first
		b.sees("/", ",")
		b.cookie = second
		b.sees("/", "ann,")
		var who string
		r := httptest.NewRequest(http.MethodGet, "/v1/inbox", nil)
		r.AddCookie(second)
		if ok, err := b.sessions.Read(r, "person", &who); !ok || err != nil || who != "ann" {
			t.Errorf("read %v %q, %v", ok, who, err)
		}
		b.visit("/end")
		b.cookie = second
		b.sees("/", ",")
	})
}

// TestStoredSessionIsNoToken: whoever reads the database cannot use it.
func TestStoredSessionIsNoToken(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		b := newBrowser(t, dsn, lasting)
		b.visit("/begin")
		var stored string
		if err := b.sessions.store.db.QueryRow("SELECT token FROM sessions").Scan(&stored); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(stored, b.cookie.Value) {
			t.Error("the token is stored as it is")
		}
		b.cookie.Value = stored
		b.sees("/", ",")
	})
}

// TestEndedSessionStaysSo: an answer that was under way when its person signed
// out is kept afterwards, and must not begin the session again.
func TestEndedSessionStaysSo(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		b := newBrowser(t, dsn, lasting)
		b.visit("/begin")
		slow, err := b.sessions.manager.Load(t.Context(), b.cookie.Value)
		if err != nil {
			t.Fatal(err)
		}
		old := b.cookie
		b.visit("/end")
		if _, _, err := b.sessions.manager.Commit(slow); err != nil {
			t.Fatal(err)
		}
		b.cookie = old
		b.sees("/", ",")
	})
}

func TestSessionEndsWhenIdleAndAtTheLatest(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		b := newBrowser(t, dsn, lasting)
		now := time.Now()
		b.sessions.store.now = func() time.Time { return now }
		b.visit("/begin")
		now = now.Add(59 * time.Minute)
		b.sees("/", "ann,")
		now = time.Now().Add(61 * time.Minute) // idle since the last visit, by the clock of its end
		b.sees("/", ",")
		b.sees("/begin", "ann,")
		if err := b.sessions.store.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		now = now.Add(4 * time.Hour)
		if err := b.sessions.store.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		var n int
		if err := b.sessions.store.db.QueryRow("SELECT count(*) FROM sessions").Scan(&n); err != nil || n != 0 {
			t.Errorf("%d sessions are kept, %v", n, err)
		}
	})
}

// TestLifeIsAbsolute: use does not prolong it.
func TestLifeIsAbsolute(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		b := newBrowser(t, dsn, Config{Idle: time.Hour, Life: 300 * time.Millisecond})
		if b.sees("/begin", "ann,"); b.cookie.Name != "writ" || b.cookie.Secure {
			t.Errorf("the cookie of a server in development is %+v", b.cookie)
		}
		for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			b.visit("/")
		}
		b.sees("/", ",")
	})
}

func TestCounterThatGoesBack(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		b := newBrowser(t, dsn, lasting)
		for i, step := range []struct {
			n    uint32
			back bool
		}{{0, false}, {0, false}, {5, false}, {6, false}, {6, true}, {3, true}, {7, false}, {0, true}} {
			back, err := b.sessions.Counted(t.Context(), "key-1", step.n)
			if err != nil || back != step.back {
				t.Errorf("step %d: %v %v", i, back, err)
			}
		}
		if back, err := b.sessions.Counted(t.Context(), "key-2", 1); back || err != nil {
			t.Errorf("another key: %v %v", back, err)
		}
		if again := newBrowser(t, dsn, lasting); again.visit("/begin") != "ann," {
			t.Error("a second server on the database has no sessions")
		}
	})
}
