package approver

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/client"
	"github.com/writhq/writ/internal/cli"
)

func (s session) delegationCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delegation",
		Short: "Name who decides in your place while you are away",
		Long: `Name who decides in your place while you are away: in the stages that ask you,
until a day, and never for a request of theirs or yours. Their approval says that it
was given in your place.`,
		Example: "  writ delegation add human/max --until 14d\n  writ delegation list\n  writ delegation remove sue-to-max",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(s.delegationAddCmd(), s.delegationListCmd(), s.delegationRemoveCmd())
	return cmd
}

func (s session) delegationAddCmd() *cobra.Command {
	var starts, until string
	cmd := &cobra.Command{
		Use:   "add PERSON --until MOMENT",
		Short: "Let somebody decide in your place",
		Long: `Let somebody decide in your place until a moment, 90 days away at most. Naming
the same person again replaces what you said before.`,
		Example: "  writ delegation add human/max --until 14d\n  writ delegation add human/max --starts 2026-12-20T00:00:00Z --until 2027-01-05T00:00:00Z",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: cli.Nth(s.Documents("identity")),
		RunE: s.Run(func(ctx context.Context, c *client.Client, args []string) (err error) {
			a := client.Absence{To: writ.Ref(args[0])}
			if a.Starts, err = cli.Moment("--starts", starts, time.Now()); err != nil {
				return err
			}
			if a.Until, err = cli.Moment("--until", until, time.Now()); err != nil {
				return err
			}
			d, err := c.Delegate(ctx, a)
			if err != nil {
				return err
			}
			return s.Answer(func() error {
				s.Out.Say("%s decides in the place of %s from %s until %s", d.To, d.From, s.Out.When(d.Starts), s.Out.When(d.Until))
				return nil
			})
		}),
	}
	cmd.Flags().StringVar(&starts, "starts", "", "from this `MOMENT` on, or a duration from now (default: now)")
	cmd.Flags().StringVar(&until, "until", "", "until this `MOMENT`, or a duration from now")
	return cmd
}

func (s session) delegationListCmd() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List who decides in whose place",
		Long:    "List the delegations that you made or that name you, also those that are over.",
		Example: "  writ delegation list",
		Args:    cobra.NoArgs,
		RunE: s.Run(func(ctx context.Context, c *client.Client, _ []string) error {
			all, err := c.Delegations(ctx)
			if err != nil {
				return err
			}
			return s.Answer(func() error {
				for _, d := range all {
					s.Out.Say("%v  %s decides in the place of %s from %s until %s", s.Out.Bold(d.Name), d.To, d.From, s.Out.When(d.Starts), s.Out.When(d.Until))
				}
				if len(all) == 0 {
					s.Err.Say("nobody decides in your place, and you in nobody's; 'writ delegation add PERSON --until 14d' changes that")
				}
				return nil
			})
		}),
	}
}

func (s session) delegationRemoveCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "remove NAME",
		Short: "Decide yourself again",
		Long: `End a delegation. Approvals that were given in your place stay what they are.
Whoever may revoke or administer can end anybody's.`,
		Example: "  writ delegation remove sue-to-max",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: cli.Nth(s.Documents("delegation")),
		RunE: s.Run(func(ctx context.Context, c *client.Client, args []string) error {
			if err := c.Return(ctx, args[0]); err != nil {
				return err
			}
			return s.Answer(func() error { s.Out.Say("%s is over", args[0]); return nil })
		}),
	}
}
