// Package provisioner is the command that starts a provisioner: the part of Writ
// that touches targets, apart from the part that everybody talks to.
package provisioner

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/cmd/writ/server"
	"github.com/writhq/writ/internal/config"
	"github.com/writhq/writ/internal/keyring"
)

// Command starts a provisioner, which stands on these parts.
func Command(parts func(config.Config, *slog.Logger) server.Config) *cobra.Command {
	var file, listen string
	cmd := &cobra.Command{
		Use:   "provisioner",
		Short: "Start the part that touches targets, apart from the server",
		Long: `Start the part of Writ that makes access exist and ends it, as a process of its
own: with its own key file and database role, and alone with the secrets of
targets. It serves no API. It reads the ledger itself and grants nothing that
was not approved with keys pinned in its configuration, so whoever takes over
the server cannot grant themselves access.

docs/howto/provisioner.md says how to set it up.`,
		Example: `  writ provisioner init --keys /var/lib/writ/writ.keys --out provisioner.keys
  writ provisioner --config /etc/writ-provisioner.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Read(file)
			if err == nil {
				if listen != "" {
					cfg.Listen = listen
				}
				cfg, err = cfg.CompleteProvisioner()
			}
			if err != nil {
				return writ.Errorf(writ.Invalid, "%v", err)
			}
			return server.Serve(cmd.Context(), parts(cfg, server.NewLogger(cfg.Log)), server.OpenProvisioner)
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file")
	cmd.Flags().StringVar(&listen, "listen", "", "address to listen at (default 127.0.0.1:7482)")
	_ = cmd.MarkFlagRequired("config") // only a flag that is not there fails
	cmd.AddCommand(initCmd())
	return cmd
}

func initCmd() *cobra.Command {
	var keys, out string
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Split the server's key file, so that a provisioner can run apart",
		Long: `Move the key of writs and the keys of the built-in issuer from the server's key
file to a new one, for the provisioner. The server keeps the keys that open
credentials and only the public part of the key of writs. Both keep the log's
key. Stop the server first. Nothing is written over; a run that was interrupted
is finished by the next one.`,
		Example: `  writ provisioner init --keys /var/lib/writ/writ.keys --out provisioner.keys`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := keyring.Split(keys, out); err != nil {
				return writ.Errorf(writ.Invalid, "%v", err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), `%[2]s holds the key of writs and the keys of the issuer now.
Next:
  1. move it to the provisioner's machine, readable by its account alone, and
     delete it here; move the secrets of targets there, too;
  2. set worker: {off: true} in the server's configuration;
  3. delete every older copy of %[1]s, on replicas and in backups:
     who has one can still sign writs. Back up both files anew, apart.
`, keys, out)
			return nil
		},
	}
	cmd.Flags().StringVar(&keys, "keys", "", "the server's key file")
	cmd.Flags().StringVar(&out, "out", "", "file to make for the provisioner")
	_ = cmd.MarkFlagRequired("keys") // only a flag that is not there fails
	_ = cmd.MarkFlagRequired("out")
	return cmd
}
