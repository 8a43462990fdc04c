package approver

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gowebpki/jcs"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/cli"
	"github.com/writhq/writ/internal/term"
)

// A stranger is a server that is not honest, or newer than this program: it
// shows terms and a digest as it likes, and keeps what it is sent.
type stranger struct {
	terms, digest string
	approved      string
}

func (s *stranger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		s.approved = r.Header.Get("If-Match")
	}
	io.WriteString(w, `{"id":"req-1","status":"pending","digest":"`+s.digest+`","terms":`+s.terms+`,"texts":{"why":"because"}}`)
}

// approve approves req-1 at the server, and returns what was shown.
func approve(t *testing.T, s *stranger) (string, error) {
	t.Helper()
	server := httptest.NewServer(s)
	defer server.Close()
	t.Setenv("WRIT_SERVER", server.URL)
	t.Setenv("WRIT_TOKEN", "token")
	common, out := cli.New(), &bytes.Buffer{}
	common.In = os.Stdin
	common.Out = &term.Screen{W: out, Width: 80, Now: time.Now}
	c, err := common.Client()
	if err != nil {
		t.Fatal(err)
	}
	err = session{common}.approve(t.Context(), c, "req-1", assenting{yes: true})
	return out.String(), err
}

func digest(t *testing.T, terms string) string {
	t.Helper()
	canonical, err := jcs.Transform([]byte(terms))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(append([]byte("writ/terms/v1\n"), canonical...))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// TestNothingIsApprovedThatIsNotShown: a server that shows other terms than
// those whose digest it wants approved gets no approval.
func TestNothingIsApprovedThatIsNotShown(t *testing.T) {
	const harmless = `{"v":1,"scope":{"table":"orders"}}`
	s := &stranger{terms: harmless, digest: digest(t, `{"v":1,"scope":{"table":"everything"}}`)}
	if _, err := approve(t, s); !errors.Is(err, writ.Stale) || s.approved != "" {
		t.Errorf("approved %s: %v", s.approved, err)
	}
	s = &stranger{terms: `{"v":1,"v":2}`, digest: digest(t, `{"v":2}`)}
	if _, err := approve(t, s); !errors.Is(err, writ.Stale) || s.approved != "" {
		t.Errorf("approved %s, whose terms can be read in two ways: %v", s.approved, err)
	}
	s = &stranger{terms: harmless, digest: digest(t, harmless)}
	if _, err := approve(t, s); err != nil || s.approved != `"`+s.digest+`"` {
		t.Errorf("approved %s: %v", s.approved, err)
	}
}

// TestUnknownTermsAreShown: what a later server adds is on the card, and in the
// digest.
func TestUnknownTermsAreShown(t *testing.T) {
	const terms = `{"v":2,"subject":{"name":"service/x","delegates":["agent/y"]},"power":{"sudo":true,"\u202enote":"a\nb"},"none":null}`
	s := &stranger{terms: terms, digest: digest(t, terms)}
	shown, err := approve(t, s)
	if err != nil || s.approved != `"`+s.digest+`"` {
		t.Fatalf("approved %s: %v", s.approved, err)
	}
	for _, leaf := range []string{"subject.delegates[0]  agent/y", "power.sudo            true", `power["\u202enote"]   "a\nb"`, "none                  null"} {
		if !strings.Contains(shown, leaf) {
			t.Errorf("%q is not on the card:\n%s", leaf, shown)
		}
	}
}
