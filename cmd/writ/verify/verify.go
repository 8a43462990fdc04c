// Package verify is the command that checks a ledger, and all that is derived
// from it, without a server.
package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/evidence"
	"github.com/writhq/writ/internal/keyring"
	"github.com/writhq/writ/internal/store"
	"github.com/writhq/writ/internal/store/signature"
	"github.com/writhq/writ/internal/term"
	"github.com/writhq/writ/ledger"
)

// where says which database a command works on, without a server.
type where struct{ data, db string }

// Flags adds the flags that say which database a command works on, without a
// server.
func Flags(cmd *cobra.Command, data, db *string) {
	f := cmd.Flags()
	f.StringVar(data, "data", "", "directory of the embedded database")
	f.StringVar(db, "db", "", "postgres://… instead of the embedded database")
	cmd.MarkFlagsOneRequired("data", "db")
}

func (w where) dsn() string {
	if w.db != "" {
		return w.db
	}
	return filepath.Join(w.data, "writ.db")
}

// Command checks everything that is stored.
func Command() *cobra.Command {
	var w where
	var logKey string
	var others vouched
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check the ledger and everything derived from it",
		Long: `Read a database once, without a server, and check all of it: every hash, tile
and checkpoint, every signed writ and approval, that each event may follow the one before,
that nothing was granted without its approvals, and that every table is what the
events say. The exit code is not 0 if anything does not hold, and the first
position that does not is named.

The ledger is held against --log-key, else against the key in DATA/writ.keys.
Without either it is held against the key that the ledger names itself, which
finds damage but not a ledger that was made anew: keep the key that this command
prints, and checkpoints, elsewhere. --policy with a log line is such a place.

With --policy (c2sp.org/tlog-policy) the witnesses in it are asked for the newest
checkpoint that they cosigned. The ledger must continue each of them, and one
must be cosigned by the quorum: so also a database that was rolled back, with all
that it says of itself, is found. --checkpoint does that with what you kept.`,
		Example: `  writ verify --data /var/lib/writ
  writ verify --data /var/lib/writ --policy policy.txt
  writ verify --db postgres://db/writ --log-key 'writ-ledger-…' --checkpoint march.txt`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd, w, logKey, &others)
		},
	}
	Flags(cmd, &w.data, &w.db)
	cmd.Flags().StringVar(&logKey, "log-key", "", "verifier key of the ledger, from elsewhere than its database")
	cmd.Flags().StringVar(&others.file, "policy", "", "file that says which witnesses must have cosigned")
	cmd.Flags().BoolVar(&others.offline, "offline", false, "ask no witness; hold the ledger against what is here")
	cmd.Flags().StringArrayVar(&others.kept, "checkpoint", nil, "file with a checkpoint that was kept elsewhere; may be repeated")
	return cmd
}

// A Verified says what was checked and held.
type Verified struct {
	Holds      bool   `json:"holds"`
	Events     int64  `json:"events"`
	LogKey     string `json:"logKey"`
	KeyFrom    string `json:"keyFrom"` // option, key file, policy, or ledger
	WritKey    string `json:"writKey"` // base64 Ed25519 public key of writs
	Checkpoint string `json:"checkpoint"`

	Witnessed *Witnessed `json:"witnessed,omitempty"` // with a policy
}

func run(cmd *cobra.Command, w where, logKey string, others *vouched) error {
	ctx := cmd.Context()
	db, err := store.Open(ctx, store.Config{DSN: w.dsn(), ReadOnly: true})
	if err != nil {
		return err
	}
	defer db.Close()
	keys, from, err := w.trusted(logKey)
	if err != nil {
		return err
	}
	if err := others.read(); err != nil {
		return err
	}
	out, err := Ledger(ctx, db, Against{keys, from, others}, Progress("verifying"))
	if err != nil {
		return err
	}
	if format, _ := cmd.Flags().GetString("output"); format == "json" {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(out)
	}
	say := func(format string, args ...any) { fmt.Fprintf(cmd.OutOrStdout(), format+"\n", args...) }
	say("%d events: every hash, signature, writ and table holds", out.Events)
	say("key, from the %s: %s", out.KeyFrom, out.LogKey)
	say("key of writs: %s", out.WritKey)
	if out.Witnessed != nil {
		say("%s", out.Witnessed)
	}
	if out.KeyFrom == "ledger" {
		say("The ledger named its key itself. Keep the key elsewhere and pass it as --log-key to tell a ledger that was made anew.")
	}
	return nil
}

// trusted returns the key to hold the ledger against, and where it is from.
func (w where) trusted(logKey string) (store.Keys, string, error) {
	if logKey != "" {
		return store.Keys{LogKey: logKey}, "option", nil
	}
	path := filepath.Join(w.data, "writ.keys")
	if _, err := os.Stat(path); w.data == "" || errors.Is(err, fs.ErrNotExist) {
		return store.Keys{}, "", nil
	}
	k, err := keyring.Open(path)
	if err != nil {
		return store.Keys{}, "", err
	}
	signer, err := ledger.NewSigner(k.Origin, k.Log.Seed())
	if err != nil {
		return store.Keys{}, "", err
	}
	return store.Keys{LogKey: signer.VerifierKey()}, "key file", nil
}

// Against is what a ledger is held against.
type Against struct {
	Keys   store.Keys // without a LogKey, the one that the ledger names
	From   string     // where LogKey is from
	others *vouched   // may be nil
}

// Ledger checks an open database, also one in use. Progress may be nil.
func Ledger(ctx context.Context, db *store.DB, a Against, progress func(done, total int64)) (Verified, error) {
	keys, from, others := a.Keys, a.From, a.others
	if others == nil {
		others = &vouched{}
	}
	entries, err := db.Events(ctx, writ.LedgerStream)
	if err != nil {
		return Verified{}, err
	}
	if len(entries) == 0 {
		return Verified{}, store.Broken{Pos: 0, What: "the ledger does not begin with the keys that sign it"}
	}
	opened, ok := entries[0].Event.Body.(writ.Opened)
	public, err := evidence.WritKey(opened)
	if !ok || err != nil {
		return Verified{}, store.Broken{Pos: 0, What: "the ledger names no key that signs its writs"}
	}
	if keys.LogKey == "" {
		keys.LogKey, from = opened.LogKey, "ledger"
	}
	out := Verified{Holds: true, WritKey: opened.WritKey, LogKey: keys.LogKey, KeyFrom: from}
	if named, err := others.names(keys.LogKey); err != nil {
		return Verified{}, err
	} else if named {
		out.KeyFrom = "policy"
	}
	if err := others.collect(ctx, db, keys.LogKey); err != nil {
		return Verified{}, err
	}
	keys.Kept = others.notes
	granted, signed := signature.Orders(public), signature.Check(ctx, db)
	keys.Check = func(pos int64, e writ.Event, r writ.Request) error {
		return errors.Join(granted(pos, e, r), signed(pos, e, r))
	}
	if err := db.Verify(ctx, keys, progress); err != nil {
		return Verified{}, err
	}
	if others.asks {
		c, err := others.enough(keys.LogKey)
		if err != nil {
			return Verified{}, err
		}
		out.Witnessed = &Witnessed{c.Size, c.By}
	}
	head, err := db.Head(ctx)
	out.Events, out.Checkpoint = head.Size, head.Checkpoint
	return out, err
}

// Progress shows on a terminal how far something is; nowhere else.
func Progress(what string) func(done, total int64) {
	if !term.IsTerminal(os.Stderr) {
		return nil
	}
	var shown time.Time
	return func(done, total int64) {
		if time.Since(shown) < 100*time.Millisecond && done < total || total == 0 {
			return
		}
		shown = time.Now()
		fmt.Fprintf(os.Stderr, "\r%s %3d %%", what, 100*min(done, total)/total)
		if done >= total {
			io.WriteString(os.Stderr, "\r\033[K")
		}
	}
}
