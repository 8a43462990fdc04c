package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/cmd/writ/verify"
	"github.com/writhq/writ/internal/config"
	"github.com/writhq/writ/internal/store"
)

// rebuildCmd makes every derived table again.
func rebuildCmd() *cobra.Command {
	at := config.Config{Dev: true} // nobody calls, so no issuer is needed
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Make every derived table again from the ledger",
		Long: `Make every table that is derived from the ledger's events again: requests, due
work, inboxes, documents. What is not derived (free texts, credentials that wait
to be claimed, the issuer's own tables) stays as it is. The server must be
stopped. Run 'writ verify' afterwards.`,
		Example: `  writ rebuild --data /var/lib/writ`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := at.Complete()
			if err != nil {
				return writ.Errorf(writ.Invalid, "%v", err)
			}
			return rebuild(cmd, cfg)
		},
	}
	verify.Flags(cmd, &at.Data, &at.DB)
	cmd.Flags().StringVar(&at.Keys, "keys", "", "key file (default DATA/writ.keys)")
	return cmd
}

func rebuild(cmd *cobra.Command, cfg config.Config) error {
	s := &server{cfg: cfg, log: newLogger("text")}
	if err := s.openStore(cmd.Context()); err != nil {
		return errors.Join(err, s.Close())
	}
	if err := s.store.Rebuild(cmd.Context(), verify.Progress("rebuilding")); err != nil {
		return errors.Join(err, s.Close())
	}
	head, err := s.store.Head(cmd.Context())
	fmt.Fprintf(cmd.OutOrStdout(), "made again from %d events\n", head.Size)
	return errors.Join(err, s.Close())
}

// verify is for the demo: the same check on a database that is in use.
func (s *server) verify(ctx context.Context) (int64, error) {
	out, err := verify.Ledger(ctx, s.store, verify.Against{Keys: store.Keys{LogKey: s.store.Log.VerifierKey()}, From: "key file"}, nil)
	return out.Events, err
}
