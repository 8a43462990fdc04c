package approver

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/client"
	"github.com/writhq/writ/internal/cli"
)

func (s session) denyCmd() *cobra.Command {
	var digest, why string
	cmd := &cobra.Command{
		Use:     "deny ID",
		Short:   "Say no to a request; it is final",
		Long:    "Say no to a request. It is final: who needs access has to ask again.",
		Example: `  writ deny req-01k8z3k4m5n6p7q8r9s0t1v2w3 --why "use the read replica instead"`,
		Args:    cobra.ExactArgs(1), ValidArgsFunction: cli.Nth(s.IDs(writ.StatusPending)),
		RunE: s.Run(func(ctx context.Context, c *client.Client, args []string) error {
			id := writ.ID(args[0])
			if digest == "" {
				d, err := c.Show(ctx, id)
				if err != nil {
					return err
				}
				digest = string(d.Digest)
			}
			r, err := c.Deny(ctx, id, writ.Digest(digest), why)
			if err != nil {
				return err
			}
			return s.Answer(func() error { s.Out.Request(r); return nil })
		}),
	}
	cmd.Flags().StringVar(&why, "why", "", "`TEXT` for the requester")
	cmd.Flags().StringVar(&digest, "digest", "", "deny only the terms with this `DIGEST`")
	return cmd
}
