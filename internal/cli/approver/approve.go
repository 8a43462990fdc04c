package approver

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/client"
	"github.com/writhq/writ/internal/cli"
)

func (s session) approveCmd() *cobra.Command {
	var digest, sshKey string
	var yes bool
	cmd := &cobra.Command{
		Use:   "approve ID",
		Short: "Say yes to the exact terms of a request",
		Long: `Show all terms of a request and say yes to exactly these: the approval is of
their digest, which this program computes itself from what it shows.

On a terminal it asks. --yes approves whatever the terms are now; --digest
approves only if they are still those with this digest, for example those that
'writ show' printed before.

Where policy wants more than a session, the yes is signed with an SSH key that
you enrolled with 'writ key add'. Without --ssh-key that is the one of your keys
that ssh-agent holds.`,
		Example: `  writ approve req-01k8z3k4m5n6p7q8r9s0t1v2w3
  writ approve req-01k8z3k4m5n6p7q8r9s0t1v2w3 --digest sha256:9f86d0…
  writ approve req-01k8z3k4m5n6p7q8r9s0t1v2w3 --ssh-key ~/.ssh/id_ed25519`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cli.Nth(s.IDs(writ.StatusPending)),
		RunE: s.Run(func(ctx context.Context, c *client.Client, args []string) error {
			return s.approve(ctx, c, writ.ID(args[0]), assenting{writ.Digest(digest), sshKey, yes})
		}),
	}
	cmd.Flags().StringVar(&sshKey, "ssh-key", "", "sign with the SSH key of this `FILE`: a private key, or the public one of a\nkey that ssh-agent holds")
	cmd.Flags().StringVar(&digest, "digest", "", "approve only the terms with this `DIGEST`")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// assenting is how somebody says yes.
type assenting struct {
	meant  writ.Digest // empty: whatever the terms are
	sshKey string      // file
	yes    bool        // nobody is asked
}

func (s session) approve(ctx context.Context, c *client.Client, id writ.ID, how assenting) error {
	d, err := c.Show(ctx, id)
	if err != nil {
		return err
	}
	digest, err := s.card(d)
	switch {
	case err != nil:
		return err
	case how.meant != "" && how.meant != digest:
		return writ.Errorf(writ.Stale, "the terms of %s are %s, not the %s you named; read them again", id, digest, how.meant)
	case how.meant == "" && !how.yes && d.Status == writ.StatusPending:
		if err := s.Confirm(ctx, "approve exactly these terms?", "approving needs a yes, and there is no terminal to ask at; give --digest, or --yes"); err != nil {
			return err
		}
	}
	e, err := s.evidence(ctx, c, d, digest, how.sshKey)
	if err != nil {
		return err
	}
	r, err := c.ApproveWith(ctx, id, digest, e)
	if err != nil {
		return err
	}
	return s.Answer(func() error { s.Out.Request(r); return nil })
}

// card shows what an approver signs: the request, why, and all terms. It
// returns the digest of what it showed, which must be the one that the server
// says.
func (s session) card(d client.Dossier) (writ.Digest, error) {
	out := s.Out
	if s.Machine() {
		out = s.Err
	}
	terms := cli.Part(s.Last(), "terms")
	digest, err := cli.DigestOf(terms)
	if err != nil {
		return "", err
	}
	if digest != d.Digest {
		return "", writ.Errorf(writ.Stale, "the server says that the terms of %s are %s, but what it shows is %s; do not approve it, and tell whoever runs the server", d.ID, d.Digest, digest)
	}
	out.Request(d.Request)
	if why := d.Texts["why"]; why != "" {
		out.Say("\n%v", out.Bold("Why"))
		out.Quote(2, why)
	}
	if err := out.Terms(terms, digest); err != nil {
		return "", err
	}
	out.Say("")
	return digest, nil
}
