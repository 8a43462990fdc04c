package cli

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/client"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 500, time.UTC)

// read parses a command line as `writ request` does.
func read(t *testing.T, args ...string) (client.Ask, error) {
	t.Helper()
	var a Asking
	var ask client.Ask
	s := New()
	cmd := &cobra.Command{Use: "ask", Args: cobra.ExactArgs(1), SilenceErrors: true, SilenceUsage: true,
		RunE: func(_ *cobra.Command, args []string) (err error) {
			ask, err = a.Read(args[0], noon)
			return err
		}}
	a.Flags(s, cmd)
	cmd.SetArgs(args)
	return ask, cmd.Execute()
}

// TestAskIsReadAsItIsMeant.
func TestAskIsReadAsItIsMeant(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key.pub")
	if err := os.WriteFile(key, []byte("ssh-ed25519 AAAA\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := read(t, "db/deploy", "--for", "1h30m", "--as", "service/x", "--scope", "a=b=c,d", "--scope", "e=",
		"--ends", "incident/INC-7", "--ends", "ticket/a,b", "--why", "because\nof this", "--ticket", "CHG-1",
		"--start-at", "2h", "--start-by", "2026-11-24T13:00:00+01:00", "--public-key", key)
	if err != nil {
		t.Fatal(err)
	}
	want := client.Ask{
		Subject: "service/x", Entitlement: "db/deploy", Scope: map[string]string{"a": "b=c,d", "e": ""}, For: writ.Of(90 * time.Minute),
		StartAt: noon.Add(2 * time.Hour).Truncate(time.Second), StartBy: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC),
		Ends: []string{"incident/INC-7", "ticket/a,b"}, Why: "because\nof this", Ticket: "CHG-1", PublicKey: "ssh-ed25519 AAAA\n",
	}
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })); d != "" {
		t.Error(d)
	}
}

// TestWhatIsNoAskIsRefused, with the flag's name.
func TestWhatIsNoAskIsRefused(t *testing.T) {
	for _, args := range []string{
		"--for 90", "--for 1.5h", "--for -1h", "--scope x", "--scope =x", "--start-at tomorrow", "--start-by 12:00", "--public-key /no/such/file",
	} {
		flag, _, _ := strings.Cut(args, " ")
		_, err := read(t, append([]string{"db/deploy"}, strings.Fields(args)...)...)
		if err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("%s: %v", args, err)
		}
	}
	if _, err := read(t, "db/deploy", "--scope", "a=b", "--scope", "a=c"); !errors.Is(err, writ.Invalid) {
		t.Errorf("a name twice: %v", err)
	}
}
