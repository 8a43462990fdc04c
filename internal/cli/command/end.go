package command

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/writhq/writ/client"
	"github.com/writhq/writ/internal/cli"
)

func (s session) endCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "end CONDITION",
		Short: "Say that an end condition has come true",
		Long: `Say that an end condition has come true, for example that an incident is
resolved. All access whose terms name it ends, and what still waits for a
decision is refused.`,
		Example: `  writ end incident/INC-7`,
		Args:    cobra.ExactArgs(1), ValidArgsFunction: cli.Nth(),
		RunE: s.Run(func(ctx context.Context, c *client.Client, args []string) error {
			page, err := c.Meet(ctx, args[0])
			if err != nil {
				return err
			}
			return s.Answer(func() error {
				s.Out.Requests(page.Requests)
				if len(page.Requests) == 0 {
					s.Err.Say("nothing ends with %s", args[0])
				}
				return nil
			})
		}),
	}
}
