package command

import (
	"context"
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/client"
	"github.com/writhq/writ/internal/cli"
)

func (s session) revokeCmd() *cobra.Command {
	var o revokeOptions
	cmd := &cobra.Command{
		Use:   "revoke [ID]",
		Short: "Take access away: of one request, or all of an identity",
		Long: `Take access away, or refuse it before it was given. With --identity it is
everything that the identity has or asks for.

--wait waits until all of it was seen to be gone in the targets.`,
		Example: `  writ revoke req-01k8z3k4m5n6p7q8r9s0t1v2w3 --why "key found in a log"
  writ revoke --identity agent/triage-bot --why "acts strangely" --yes --wait`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: cli.Nth(s.IDs(writ.StatusActive, writ.StatusGranting, writ.StatusAuthorized, writ.StatusPending)),
		RunE: s.Run(func(ctx context.Context, c *client.Client, args []string) error {
			if (len(args) == 1) == (o.identity != "") {
				return writ.Errorf(writ.Invalid, "revoke takes either the ID of a request or --identity NAME; 'writ list' shows requests")
			}
			if o.identity != "" {
				return s.revokeIdentity(ctx, c, o)
			}
			return s.revoke(ctx, c, writ.ID(args[0]), o)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&o.identity, "identity", "", "revoke everything of this `IDENTITY`")
	f.StringVar(&o.why, "why", "", "`TEXT` for the record")
	f.BoolVar(&o.yes, "yes", false, "do not ask for the identity's name again")
	f.BoolVar(&o.wait, "wait", false, "wait until the access was seen to be gone")
	f.Var((*cli.Span)(&o.timeout), "timeout", "wait no longer than this (default: as long as it takes)")
	cli.Complete(cmd, "identity", s.Documents("identity"))
	return cmd
}

type revokeOptions struct {
	identity, why string
	yes, wait     bool
	timeout       writ.Duration
}

func stillThere(what any, limit writ.Duration) error {
	return writ.Errorf(cli.Late, "access of %v is not known to be gone after %s; it is tried until it is: 'writ list --status revoking' says what is left", what, limit)
}

func gone(r writ.Request) bool { return !r.Status.Live() }

func (s session) revoke(ctx context.Context, c *client.Client, id writ.ID, o revokeOptions) error {
	r, err := c.Revoke(ctx, id, o.why)
	if err != nil {
		return err
	}
	if o.wait {
		ctx, cancel := cli.Within(ctx, o.timeout, stillThere(id, o.timeout))
		defer cancel()
		d, err := s.Follow(ctx, c, id, r.Seq, gone)
		if err != nil {
			return err
		}
		r = d.Request
	}
	return s.Answer(func() error { s.Out.Request(r); return nil })
}

func (s session) revokeIdentity(ctx context.Context, c *client.Client, o revokeOptions) error {
	name := writ.Ref(o.identity)
	if !o.yes {
		if err := s.confirmName(ctx, c, name); err != nil {
			return err
		}
	}
	page, err := c.RevokeIdentity(ctx, name, o.why)
	if err == nil && o.wait {
		return s.untilGone(ctx, c, name, page, o.timeout)
	}
	if err != nil {
		return s.left(ctx, c, name, err)
	}
	return s.Answer(func() error {
		s.Out.Requests(page.Requests)
		if len(page.Requests) == 0 {
			s.Err.Say("%s has no access and asks for none", name)
		}
		return nil
	})
}

// confirmName shows what would end, and wants the name typed.
func (s session) confirmName(ctx context.Context, c *client.Client, name writ.Ref) error {
	if !s.Asks() {
		return writ.Errorf(writ.Invalid, "revoking everything of %s needs a yes, and there is no terminal to ask at; give --yes", name)
	}
	live, err := s.live(ctx, c, name)
	if err != nil {
		return err
	}
	s.Err.Requests(live)
	s.Err.Say("\nAll access of %v ends: %d requests.", s.Err.Bold(string(name)), len(live))
	typed, err := s.Err.Ask(ctx, s.In, "Type its name to go on: ")
	if err == nil && typed != string(name) {
		err = writ.Errorf(cli.Interrupted, "that is not %s; nothing was revoked", name)
	}
	return err
}

// live returns every request of an identity that holds access or asks for it,
// status by status in the order of life, so that one that moves on meanwhile is
// not missed.
func (s session) live(ctx context.Context, c *client.Client, name writ.Ref) (out []writ.Request, err error) {
	for _, status := range []writ.Status{
		writ.StatusPending, writ.StatusAuthorized, writ.StatusGranting, writ.StatusActive, writ.StatusRevoking,
	} {
		f := client.Filter{Subject: name, Status: []writ.Status{status}, Limit: 200}
		for more := true; more; more = f.Before != "" {
			page, err := c.List(ctx, f)
			if err != nil {
				return out, err
			}
			out, f.Before = append(out, page.Requests...), page.Next
		}
	}
	return out, nil
}

// left tells people what was not revoked when something went wrong.
func (s session) left(ctx context.Context, c *client.Client, name writ.Ref, wrong error) error {
	if s.Machine() {
		return wrong
	}
	if live, err := s.live(ctx, c, name); err == nil && len(live) > 0 {
		s.Err.Say("still live:")
		s.Err.Requests(live)
		s.Err.Say("")
	}
	return wrong
}

// untilGone follows every request to its proven end, also those that were
// being taken away already or came into being meanwhile.
func (s session) untilGone(ctx context.Context, c *client.Client, name writ.Ref, page client.Page, limit writ.Duration) error {
	ctx, cancel := cli.Within(ctx, limit, stillThere(name, limit))
	defer cancel()
	dossiers := []json.RawMessage{}
	waiting := page.Requests
	for n := 0; len(waiting) > 0; n++ {
		for _, r := range waiting {
			d, err := s.Follow(ctx, c, r.ID, r.Seq, gone)
			if err != nil {
				return err
			}
			dossiers = append(dossiers, s.Last())
			if !s.Machine() {
				s.Out.Request(d.Request)
			}
		}
		var err error
		if waiting, err = s.live(ctx, c, name); err != nil {
			return err
		}
	}
	if s.Machine() {
		return s.Encode(map[string]any{"requests": dossiers})
	}
	s.Err.Say("%v: no access of %s is left", s.Err.Good("done"), name)
	return nil
}
