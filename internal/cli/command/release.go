package command

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/client"
	"github.com/writhq/writ/internal/cli"
)

func (s session) releaseCmd() *cobra.Command {
	return &cobra.Command{
		Use:     "release ID",
		Short:   "End access that is no longer needed",
		Long:    "End access that is no longer needed, before its time. It is taken away in\nthe target, and seen to be gone.",
		Example: `  writ release req-01k8z3k4m5n6p7q8r9s0t1v2w3`,
		Args:    cobra.ExactArgs(1), ValidArgsFunction: cli.Nth(s.IDs(writ.StatusActive, writ.StatusGranting, writ.StatusAuthorized)),
		RunE: s.Run(func(ctx context.Context, c *client.Client, args []string) error {
			r, err := c.Release(ctx, writ.ID(args[0]))
			if err != nil {
				return err
			}
			return s.Answer(func() error { s.Out.Request(r); return nil })
		}),
	}
}
