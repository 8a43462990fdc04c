package command

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/client"
	"github.com/writhq/writ/internal/cli"
)

func (s session) showCmd() *cobra.Command {
	var bare bool
	cmd := &cobra.Command{
		Use:     "show ID",
		Short:   "Show one request: terms, policy, access, life",
		Long:    "Show all that is known of one request: its exact terms, what policy\nsaid, who approved, what was seen in the target, and every event of its life.\n\n--writ prints the signed writ alone, a JWS; 'writ inspect' explains it.",
		Example: "  writ show req-01k8z3k4m5n6p7q8r9s0t1v2w3\n  writ show req-01k8z3k4m5n6p7q8r9s0t1v2w3 -o json | jq .status\n  writ show req-01k8z3k4m5n6p7q8r9s0t1v2w3 --writ >writ.jws",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: cli.Nth(s.IDs()),
		RunE: s.Run(func(ctx context.Context, c *client.Client, args []string) error {
			d, err := c.Show(ctx, writ.ID(args[0]))
			if err != nil {
				return err
			}
			if bare && d.Writ == "" {
				return writ.Errorf(writ.Conflict, "%s is %s, and no writ was signed for it; one is when its grant begins", d.ID, d.Status)
			}
			if bare {
				return s.Text(d.Writ + "\n")
			}
			return s.Answer(func() error { return s.Out.Dossier(d, cli.Part(s.Last(), "terms")) })
		}),
	}
	cmd.Flags().BoolVar(&bare, "writ", false, "print the signed writ alone")
	return cmd
}
