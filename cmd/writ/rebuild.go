package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/cmd/writ/server"
	"github.com/writhq/writ/cmd/writ/verify"
	"github.com/writhq/writ/internal/config"
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
	s, err := server.OpenStore(cmd.Context(), parts(cfg, server.NewLogger("text"), nil))
	if err != nil {
		return err
	}
	if err := s.Store.Rebuild(cmd.Context(), verify.Progress("rebuilding")); err != nil {
		return errors.Join(err, s.Close())
	}
	head, err := s.Store.Head(cmd.Context())
	fmt.Fprintf(cmd.OutOrStdout(), "made again from %d events\n", head.Size)
	return errors.Join(err, s.Close())
}
