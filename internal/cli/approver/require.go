package approver

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/client"
	"github.com/writhq/writ/internal/cli"
)

func (s session) requireCmd() *cobra.Command {
	var digest string
	cmd := &cobra.Command{
		Use:   "require ID PERSON",
		Short: "Ask for one more person's approval",
		Long: `Ask for the approval of one more person, who decides after all others. You say
yes or no yourself all the same.`,
		Example: "  writ require req-01k8z3k4m5n6p7q8r9s0t1v2w3 human/max",
		Args:    cobra.ExactArgs(2), ValidArgsFunction: cli.Nth(s.IDs(writ.StatusPending), s.Documents("identity")),
		RunE: s.Run(func(ctx context.Context, c *client.Client, args []string) error {
			id := writ.ID(args[0])
			d, err := seen(ctx, c, id, digest)
			if err != nil {
				return err
			}
			r, err := c.Require(ctx, id, d, writ.Ref(args[1]))
			if err != nil {
				return err
			}
			return s.Answer(func() error { s.Out.Request(r); return nil })
		}),
	}
	cmd.Flags().StringVar(&digest, "digest", "", "only for the terms with this `DIGEST`")
	return cmd
}
