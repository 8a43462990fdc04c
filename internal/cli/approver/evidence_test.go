package approver

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/writhq/writ"
	"github.com/writhq/writ/assent"
	"github.com/writhq/writ/internal/cli"
	"github.com/writhq/writ/internal/term"
)

// A liar shows harmless terms and wants a signature over others.
type liar struct {
	key   writ.Key
	shown string      // terms
	wants writ.Digest // of others
	sent  writ.Evidence
}

func (l *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	write := func(v any) { _ = json.NewEncoder(w).Encode(v) }
	switch _, verb, _ := strings.Cut(r.URL.Path, "/req-1/"); {
	case r.URL.Path == "/v1/keys":
		write(map[string]any{"keys": []writ.Key{l.key}})
	case verb == "challenge":
		other, _ := writ.Challenge([]byte("0123456789abcdef"), l.wants, writ.Yes)
		write(map[string]any{"nonce": []byte("0123456789abcdef"), "challenge": other[:], "digest": l.wants, "keys": []writ.Key{l.key}})
	case verb == "approve":
		var in struct{ Evidence writ.Evidence }
		_ = json.NewDecoder(r.Body).Decode(&in) // one that cannot be read is none
		l.sent = in.Evidence
		fallthrough
	default:
		io.WriteString(w, l.shown)
	}
}

// T1, T2: what is signed is what was shown, whatever the server asks for.
func TestNothingIsSignedThatIsNotShown(t *testing.T) {
	const terms = `{"v":1,"scope":{"table":"orders"}}`
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := ssh.NewPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key")
	l := &liar{
		shown: `{"id":"req-1","status":"pending","digest":"` + digest(t, terms) + `","terms":` + terms + `}`,
		wants: writ.Digest(digest(t, `{"v":1,"scope":{"table":"everything"}}`)),
	}
	if l.key, err = assent.SSHKey(string(ssh.MarshalAuthorizedKey(pub))); err != nil {
		t.Fatal(err)
	}
	l.key.UID = "key-1"
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(l)
	defer server.Close()
	t.Setenv("WRIT_SERVER", server.URL)
	t.Setenv("WRIT_TOKEN", "token")
	common := cli.New()
	common.Out = &term.Screen{W: &bytes.Buffer{}, Width: 80, Now: time.Now}
	c, err := common.Client()
	if err != nil {
		t.Fatal(err)
	}
	if err := (session{common}).approve(t.Context(), c, "req-1", assenting{yes: true, sshKey: file}); err != nil {
		t.Fatal(err)
	}
	if err := assent.Verify(l.sent, l.key, writ.Digest(digest(t, terms)), writ.Yes); err != nil {
		t.Errorf("what was shown is not what was signed: %v", err)
	}
	if err := assent.Verify(l.sent, l.key, l.wants, writ.Yes); !errors.Is(err, writ.Forbidden) {
		t.Errorf("what was not shown was signed: %v", err)
	}
}
