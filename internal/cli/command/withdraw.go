package command

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/client"
	"github.com/writhq/writ/internal/cli"
)

func (s session) withdrawCmd() *cobra.Command {
	return &cobra.Command{
		Use:     "withdraw ID",
		Short:   "Take back a request that is not decided yet",
		Long:    "Take back a request that is not decided yet. To end access that exists, release it.",
		Example: `  writ withdraw req-01k8z3k4m5n6p7q8r9s0t1v2w3`,
		Args:    cobra.ExactArgs(1), ValidArgsFunction: cli.Nth(s.IDs(writ.StatusPending)),
		RunE: s.Run(func(ctx context.Context, c *client.Client, args []string) error {
			r, err := c.Withdraw(ctx, writ.ID(args[0]))
			if err != nil {
				return err
			}
			return s.Answer(func() error { s.Out.Request(r); return nil })
		}),
	}
}
