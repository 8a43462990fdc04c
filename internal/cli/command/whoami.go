package command

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/writhq/writ/client"
)

func (s session) whoamiCmd() *cobra.Command {
	return &cobra.Command{
		Use:     "whoami",
		Short:   "Say whom your token speaks for",
		Long:    "Say which server is called, and which identity the token speaks for there.",
		Example: "  writ whoami\n  writ whoami -o json | jq -r .name",
		Args:    cobra.NoArgs,
		RunE: s.Run(func(ctx context.Context, c *client.Client, _ []string) error {
			who, err := c.Whoami(ctx)
			if err != nil {
				return err
			}
			return s.Answer(func() error { s.Out.Say("%v at %s", s.Out.Bold(string(who.Name)), c.Server); return nil })
		}),
	}
}
