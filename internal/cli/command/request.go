package command

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/client"
	"github.com/writhq/writ/internal/cli"
)

func (s session) requestCmd() *cobra.Command {
	var a cli.Asking
	var o requestOptions
	cmd := &cobra.Command{
		Use:   "request ENTITLEMENT",
		Short: "Ask for access",
		Long: `Ask for access of an identity to an entitlement. Policy answers at once; then
people may have to approve exactly what is asked for.

--wait tells what happens until access is there (exit code 0) or will not come.
Ctrl-C ends the waiting, not the request. With the same --idempotency-key the
same request is made once, however often the command runs.`,
		Example: `  writ request orders-db/deploy --for 1h --as service/ci-deployer --why "release 42"
  writ request billing-api/client --for 30d --as service/partner-sync \
    --scope service=invoices --ticket CHG-1234 --why "monthly invoice export" --wait
  writ request orders-db/deploy --for 1h --dry-run`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cli.Nth(s.Documents("entitlement")),
		RunE: s.Run(func(ctx context.Context, c *client.Client, args []string) error {
			ask, err := a.Read(args[0], time.Now())
			if err != nil {
				return err
			}
			if o.dry {
				return s.preview(ctx, c, ask)
			}
			return s.request(ctx, c, ask, o)
		}),
	}
	a.Flags(s.Session, cmd)
	f := cmd.Flags()
	f.StringVar(&a.Recipient, "recipient", "", "age `KEY` (age1…) that the credential is sealed to")
	f.StringVar(&o.key, "idempotency-key", "", "`KEY` that makes the command safe to repeat")
	f.BoolVar(&o.dry, "dry-run", false, "say what policy says, who would be asked and what is missing, and ask nobody")
	f.BoolVar(&o.wait, "wait", false, "wait until access is there or will not come")
	f.Var((*cli.Span)(&o.timeout), "timeout", "wait no longer than this (default: until it is decided)")
	return cmd
}

type requestOptions struct {
	key       string
	dry, wait bool
	timeout   writ.Duration
}

func (s session) request(ctx context.Context, c *client.Client, ask client.Ask, o requestOptions) error {
	r, err := c.Submit(ctx, ask, o.key)
	if err != nil {
		return err
	}
	if o.wait {
		r, err = s.await(ctx, c, r, o.timeout)
	}
	if answer := s.Answer(func() error { s.Out.Request(r); return nil }); err == nil {
		err = answer
	}
	return err
}

// await waits until access is there, and says why it is not if it will not be.
func (s session) await(ctx context.Context, c *client.Client, r writ.Request, limit writ.Duration) (writ.Request, error) {
	ctx, cancel := cli.Within(ctx, limit, writ.Errorf(cli.Late, "waited %s for %s; it goes on without you: 'writ show %s' says where it stands", limit, r.ID, r.ID))
	defer cancel()
	d, err := s.Follow(ctx, c, r.ID, 0, cli.Settled)
	if d.ID != "" {
		r = d.Request
	}
	if errors.Is(err, cli.Interrupted) {
		return r, writ.Errorf(cli.Interrupted, "interrupted, and %s goes on without you; take it back with 'writ withdraw %s'", r.ID, r.ID)
	}
	if err != nil {
		return r, err
	}
	return r, cli.Outcome(d)
}

func (s session) preview(ctx context.Context, c *client.Client, ask client.Ask) error {
	p, err := c.Preview(ctx, ask)
	if err != nil {
		return err
	}
	err = s.Answer(func() error {
		if err := s.Out.Preview(p, cli.Part(s.Last(), "terms")); err != nil {
			return err
		}
		s.Out.Rules(p.Explanation.Rules)
		return nil
	})
	if err == nil && !p.Verdict.Allowed {
		err = writ.Errorf(writ.Forbidden, "policy would refuse this: %s", p.Verdict.Why())
	}
	return err
}
