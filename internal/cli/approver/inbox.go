package approver

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/writhq/writ/client"
)

func (s session) inboxCmd() *cobra.Command {
	return &cobra.Command{
		Use:     "inbox",
		Short:   "List what waits for your decision, the most urgent first",
		Long:    "List the requests that wait for your decision, the most urgent first.",
		Example: "  writ inbox\n  writ inbox -o json | jq -r '.requests[].id'",
		Args:    cobra.NoArgs,
		RunE: s.Run(func(ctx context.Context, c *client.Client, _ []string) error {
			page, err := c.Inbox(ctx)
			if err != nil {
				return err
			}
			return s.Answer(func() error {
				s.Out.Requests(page.Requests)
				if len(page.Requests) == 0 {
					s.Err.Say("nothing waits for you")
					return nil
				}
				s.Err.Say("\n'writ approve ID' shows all terms and asks; 'writ deny ID' says no")
				return nil
			})
		}),
	}
}
