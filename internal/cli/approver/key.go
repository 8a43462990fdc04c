package approver

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/assent"
	"github.com/writhq/writ/client"
	"github.com/writhq/writ/internal/cli"
	"github.com/writhq/writ/internal/cli/approver/sign"
)

func (s session) keyCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Enrol, list and remove the keys you approve with",
		Long: `Enrol, list and remove the keys that you sign approvals with. Policy says which
approvals need one. A key is yours alone: nobody can enrol one for you.`,
		Example: "  writ key add --ssh ~/.ssh/id_ed25519.pub\n  writ key list\n  writ key remove ssh-0123456789abcdef",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(s.keyAddCmd(), s.keyListCmd(), s.keyRemoveCmd())
	return cmd
}

func (s session) keyAddCmd() *cobra.Command {
	var file, title string
	cmd := &cobra.Command{
		Use:   "add --ssh FILE",
		Short: "Enrol an SSH key of yours",
		Long: `Enrol an SSH key of yours, and show with a signature that you have it: ssh-agent
signs if it holds the key, else the private key beside the public one. Ed25519,
ECDSA and RSA of 2048 bits or more count, and so do security keys (ed25519-sk,
ecdsa-sk), which have to be in ssh-agent and are touched each time.`,
		Example: "  writ key add --ssh ~/.ssh/id_ed25519.pub\n  writ key add --ssh ~/.ssh/id_ed25519_sk.pub --title 'blue security key'",
		Args:    cobra.NoArgs,
		RunE: s.Run(func(ctx context.Context, c *client.Client, _ []string) error {
			if file == "" {
				return writ.Errorf(writ.Invalid, "say which key with --ssh FILE; 'ssh-keygen -t ed25519' makes one")
			}
			return s.keyAdd(ctx, c, file, title)
		}),
	}
	cmd.Flags().StringVar(&file, "ssh", "", "`FILE` of the public key, or of the private one")
	cmd.Flags().StringVar(&title, "title", "", "`TEXT` that you know it by (default: the comment of the public key)")
	return cmd
}

func (s session) keyAdd(ctx context.Context, c *client.Client, file, title string) (err error) {
	signer, err := sign.Open(file, s.passphrase(ctx))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, signer.Close()) }()
	who, err := c.Whoami(ctx)
	if err != nil {
		return err
	}
	given, err := c.EnrolChallenge(ctx)
	if err != nil {
		return err
	}
	challenge, err := writ.EnrolChallenge(given.Nonce, who) // made here: the server could ask for a signature of anything
	if err != nil {
		return err
	}
	proof, err := s.sign(signer, assent.EnrolNamespace, challenge)
	if err != nil {
		return err
	}
	if title == "" {
		title = signer.Title
	}
	k, err := c.Enrol(ctx, client.Enrolment{Method: writ.BySSH, Public: signer.Public, Title: title, Nonce: given.Nonce, Proof: proof})
	if err != nil {
		return err
	}
	return s.Answer(func() error {
		s.Out.Say("%v is a key of %s now", s.Out.Bold(k.Name), k.Identity)
		return nil
	})
}

// passphrase asks for the one of a key file.
func (s session) passphrase(ctx context.Context) func(prompt string) (string, error) {
	return func(prompt string) (string, error) {
		if !s.Asks() {
			return "", writ.Errorf(writ.Invalid, "the key is encrypted, and there is no terminal to ask for its passphrase; load it with 'ssh-add'")
		}
		return s.Err.Secret(ctx, s.In, prompt)
	}
}

// sign signs a challenge, and says so where somebody has to do something.
func (s session) sign(signer *sign.Signer, namespace string, challenge [32]byte) ([]byte, error) {
	if signer.Touch() {
		s.Err.Say("touch the security key that holds %s", signer.Name)
	}
	return signer.Proof(namespace, challenge[:])
}

func (s session) keyListCmd() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List your keys",
		Long:    "List the keys that you can sign approvals with.",
		Example: "  writ key list\n  writ key list -o json | jq -r '.keys[].name'",
		Args:    cobra.NoArgs,
		RunE: s.Run(func(ctx context.Context, c *client.Client, _ []string) error {
			keys, err := c.Keys(ctx)
			if err != nil {
				return err
			}
			return s.Answer(func() error {
				for _, k := range keys {
					kind, _, _ := strings.Cut(k.Public, " ")
					s.Out.Say("%v  %s  enrolled %s  %s", s.Out.Bold(k.Name), kind, s.Out.When(k.Enrolled), k.Title)
				}
				if len(keys) == 0 {
					s.Err.Say("you have no keys; 'writ key add --ssh FILE' enrols one")
				}
				return nil
			})
		}),
	}
}

func (s session) keyRemoveCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "remove NAME",
		Short: "Take a key away",
		Long: `Take a key away: nothing that is signed with it counts from now on. Approvals that
it made stay what they are. Your own keys you can always remove; whoever may revoke
or administer can remove anybody's, for example one that was stolen.`,
		Example:           "  writ key remove ssh-0123456789abcdef",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cli.Nth(s.Documents("key")),
		RunE: s.Run(func(ctx context.Context, c *client.Client, args []string) error {
			if err := c.Disenrol(ctx, args[0]); err != nil {
				return err
			}
			return s.Answer(func() error { s.Out.Say("%s is gone", args[0]); return nil })
		}),
	}
}
