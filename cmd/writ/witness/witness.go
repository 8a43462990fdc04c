// Package witness is the command that starts a witness.
package witness

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/witness/state"
	"github.com/writhq/writ/ledger/witness"
)

// witnessing is how a witness is started.
type witnessing struct {
	data, listen, name string
	logs               []string
	cert, key          string
	print              bool
	version            string
}

// Command starts a witness, of this version of the program.
func Command(version string) *cobra.Command {
	w := witnessing{version: version}
	cmd := &cobra.Command{
		Use:   "witness",
		Short: "Vouch that other people's ledgers only grow",
		Long: `Start a witness (c2sp.org/tlog-witness): it remembers the newest checkpoint that
it cosigned of each log, and cosigns none that does not continue it. Run it
where the operator of the log has no say: another machine, account and backup.

Its key is made at the first start, in DATA/witness.keys; --print-key shows the
verifier keys that others need. DATA/witness.db must never be restored from a
backup: a witness that forgets is none.`,
		Example: `  writ witness --data /var/lib/witness --name witness.example.org --print-key
  writ witness --data /var/lib/witness --listen 0.0.0.0:7481 \
    --tls-cert cert.pem --tls-key key.pem --log 'writ-ledger-…+…+…'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd, w) },
	}
	f := cmd.Flags()
	f.StringVar(&w.data, "data", "", "directory of keys and cosigned checkpoints")
	f.StringVar(&w.listen, "listen", "127.0.0.1:7481", "address to listen at")
	f.StringVar(&w.name, "name", "", "name of the witness, given once: its URL without scheme (default made up)")
	f.StringArrayVar(&w.logs, "log", nil, "verifier key of a log to cosign, as 'writ verify' shows it; may be repeated")
	f.StringVar(&w.cert, "tls-cert", "", "PEM certificate to serve https with")
	f.StringVar(&w.key, "tls-key", "", "PEM key of the certificate")
	f.BoolVar(&w.print, "print-key", false, "print the verifier keys, Ed25519 and ML-DSA-44, and end")
	_ = cmd.MarkFlagRequired("data") // only a flag that is not there fails
	cmd.MarkFlagsRequiredTogether("tls-cert", "tls-key")
	return cmd
}

func run(cmd *cobra.Command, w witnessing) error {
	if err := os.MkdirAll(w.data, 0o700); err != nil {
		return writ.Errorf(writ.Invalid, "data directory: %v", err)
	}
	if w.name == "" {
		w.name = "writ-witness-" + rand.Text()[:12]
	}
	keys, err := state.OpenKeys(w.data, w.name)
	if err != nil {
		return err
	}
	if w.print {
		for _, k := range keys.Public {
			fmt.Fprintln(cmd.OutOrStdout(), k)
		}
		return nil
	}
	signers, err := witness.NewSigners(keys.Secret)
	if err != nil {
		return err
	}
	db, err := state.Open(cmd.Context(), w.data)
	if err != nil {
		return err
	}
	one, err := witness.New(db, signers, w.logs)
	if err != nil {
		return errors.Join(writ.Errorf(writ.Invalid, "%v", err), db.Close())
	}
	return errors.Join(w.serve(cmd.Context(), one), db.Close())
}

// serve answers until ctx ends. Limits are short: a request is small, and all
// that it waits for is one write to the disk.
func (w witnessing) serve(ctx context.Context, one *witness.Witness) error {
	ln, err := net.Listen("tcp", w.listen)
	if err != nil {
		return writ.Errorf(writ.Unavailable, "%v; choose another address with --listen", err)
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	h := &http.Server{
		Handler: one.Handler(log), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelInfo),
	}
	stopped := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(stopped)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = h.Shutdown(ctx) // what outlasts it is cut
	})
	scheme, serve := "http", h.Serve
	if w.cert != "" {
		scheme, serve = "https", func(ln net.Listener) error { return h.ServeTLS(ln, w.cert, w.key) }
	}
	fmt.Fprintf(os.Stderr, "writ %s witnesses at %s://%s\n", w.version, scheme, ln.Addr())
	if err := serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-stopped
	return nil
}
