package approver

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/client"
	"github.com/writhq/writ/internal/cli"
)

func (s session) narrowCmd() *cobra.Command {
	var to client.Less
	var digest, startBy string
	var scope []string
	cmd := &cobra.Command{
		Use:   "narrow ID",
		Short: "Give less than was asked for",
		Long: `Give less than was asked for, before you approve it: for a shorter time, to be
started sooner, with more that ends it, or for a scope value that the present one
covers. Approvals that were given stay: they were of more. Whoever comes next
approves the narrower terms.`,
		Example: `  writ narrow req-01k8z3k4m5n6p7q8r9s0t1v2w3 --for 4h --ends incident/INC-7
  writ narrow req-01k8z3k4m5n6p7q8r9s0t1v2w3 --scope schema=app`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: cli.Nth(s.IDs(writ.StatusPending)),
		RunE: s.Run(func(ctx context.Context, c *client.Client, args []string) (err error) {
			if to.Scope, err = cli.Scope(scope); err != nil {
				return err
			}
			if to.StartBy, err = cli.Moment("--start-by", startBy, time.Now()); err != nil {
				return err
			}
			id := writ.ID(args[0])
			d, err := seen(ctx, c, id, digest)
			if err != nil {
				return err
			}
			r, err := c.Narrow(ctx, id, d, to)
			if err != nil {
				return err
			}
			terms := cli.Part(s.Last(), "terms")
			return s.Answer(func() error { s.Out.Request(r); return s.Out.Terms(terms, r.Digest) })
		}),
	}
	f := cmd.Flags()
	f.Var((*cli.Span)(&to.For), "for", "how long access lasts from its start")
	f.StringArrayVar(&scope, "scope", nil, "scope parameter, as `NAME=VALUE`; can be repeated")
	f.StringArrayVar(&to.Ends, "ends", nil, "what ends access sooner, as `KIND/NAME`; can be repeated")
	f.StringVar(&startBy, "start-by", "", "latest start, as a `MOMENT` or a duration from now")
	f.StringVar(&digest, "digest", "", "narrow only the terms with this `DIGEST`")
	return cmd
}
