package command

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/client"
	"github.com/writhq/writ/internal/cli"
	"github.com/writhq/writ/internal/cli/command/credential"
	"github.com/writhq/writ/internal/seal"
)

func (s session) claimCmd() *cobra.Command {
	var o claimOptions
	cmd := &cobra.Command{
		Use:   "claim ID",
		Short: "Take the credential of a request, once",
		Long: `Take the credential of a request. It is given once: whoever loses it releases
the request and asks again. One that is sealed to a recipient is opened with
--identity, the file that age-keygen made; without it, it is given sealed.`,
		Example: `  eval "$(writ claim req-01k8z3k4m5n6p7q8r9s0t1v2w3 --env)"
  writ claim req-01k8z3k4m5n6p7q8r9s0t1v2w3 --out /run/deploy
  writ claim req-01k8z3k4m5n6p7q8r9s0t1v2w3 --identity key.txt -o json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cli.Nth(s.IDs(writ.StatusActive)),
		RunE: s.Run(func(ctx context.Context, c *client.Client, args []string) error {
			return s.claim(ctx, c, writ.ID(args[0]), o)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&o.identity, "identity", "", "`FILE` with the age identity that opens a sealed credential")
	f.BoolVar(&o.env, "env", false, "print KEY='value' lines for a shell")
	f.StringVar(&o.out, "out", "", "write files, for their owner only, into `DIR`, which is new or empty")
	cmd.MarkFlagsMutuallyExclusive("env", "out")
	return cmd
}

type claimOptions struct {
	identity, out string
	env           bool
}

// claim checks all that can be wrong before it takes what is given only once.
func (s session) claim(ctx context.Context, c *client.Client, id writ.ID, o claimOptions) error {
	key, err := o.key()
	if err != nil {
		return err
	}
	d, err := c.Show(ctx, id)
	if err != nil {
		return err
	}
	sealed := d.Terms.Recipient != ""
	switch {
	case sealed && key == nil && o.env:
		return writ.Errorf(writ.Invalid, "the credential of %s is sealed to %s; open it with --identity", id, d.Terms.Recipient)
	case sealed && key != nil && key.Recipient().String() != d.Terms.Recipient:
		return writ.Errorf(writ.Invalid, "the credential of %s is sealed to %s, and %s opens %s; give the other identity", id, d.Terms.Recipient, o.identity, key.Recipient())
	}
	if o.out != "" {
		if err := credential.Prepare(o.out); err != nil {
			return err
		}
	}
	got, err := c.Claim(ctx, id)
	if err != nil {
		return err
	}
	opened := key != nil && got.Credential == nil
	if opened {
		plain, err := seal.Open(got.Sealed, key)
		if err != nil {
			return err
		}
		got.Sealed, got.Credential = nil, &plain
	}
	return s.give(got, opened, o)
}

func (o claimOptions) key() (*age.X25519Identity, error) {
	if o.identity == "" {
		return nil, nil
	}
	return credential.Key(o.identity)
}

// give hands the credential over in the way that was asked for.
func (s session) give(got client.Claimed, opened bool, o claimOptions) error {
	switch {
	case o.out != "":
		return s.save(o.out, got)
	case s.Machine() && opened:
		return s.Encode(got)
	case s.Machine():
		return s.JSON(s.Last())
	case got.Credential == nil:
		text, err := credential.Armored(got.Sealed)
		if err != nil {
			return err
		}
		return s.Text(text)
	case o.env:
		return s.Text(credential.Lines(*got.Credential))
	}
	if s.Out.TTY {
		s.Err.Say("%v it is shown once; keep it now", s.Err.Pending("warning:"))
	}
	s.Out.Credential(*got.Credential)
	return nil
}

func (s session) save(dir string, got client.Claimed) error {
	files := credential.Files(got)
	if err := credential.Write(dir, files); err != nil {
		return fmt.Errorf("%w; the credential is lost: release %s and ask again", err, got.Request)
	}
	names := slices.Sorted(maps.Keys(files))
	if s.Machine() {
		return s.Encode(map[string]any{"request": got.Request, "directory": dir, "files": names})
	}
	s.Out.Say("wrote %s to %s", strings.Join(names, ", "), dir)
	return nil
}
