package command

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/cli"
)

func (s session) loginCmd() *cobra.Command {
	var as string
	var show bool
	cmd := &cobra.Command{
		Use:   "login",
		Short: "Keep a token, to speak to a server as an identity",
		Long: `Keep a token for a server, in a file that only you can read, so that later
commands speak as the identity it is for. The server says whether it is good.

A server that was started with --dev gives a token for any identity with --as.
Otherwise the token of your identity provider is read from standard input.`,
		Example: `  writ login --as human/ann
  export WRIT_TOKEN=$(writ login --as service/ci-deployer --print)
  my-sso token --audience writ | writ login --server https://writ.example`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := s.login(cmd.Context(), writ.Ref(as))
			if err != nil {
				return err
			}
			if show {
				return s.Text(l.Token + "\n")
			}
			return s.keep(l)
		},
	}
	cmd.Flags().StringVar(&as, "as", "", "`IDENTITY` to be, at a server that was started with --dev")
	cmd.Flags().BoolVar(&show, "print", false, "print the token and keep nothing")
	cli.Complete(cmd, "as", s.Documents("identity"))
	return cmd
}

// login gets a token and finds out whom it is for.
func (s session) login(ctx context.Context, as writ.Ref) (cli.Login, error) {
	c, err := s.Anonymous()
	if err != nil {
		return cli.Login{}, err
	}
	l := cli.Login{Server: c.Server}
	if as != "" {
		got, err := c.DevLogin(ctx, as)
		if errors.Is(err, writ.NotFound) {
			return l, writ.Errorf(writ.NotFound, "%s gives no tokens itself, it was not started with --dev; give it a token of your identity provider on standard input", c.Server)
		}
		l.Identity, l.Token, l.Expires = as, got.Token, got.Expires
		return l, err
	}
	if l.Token, err = s.Err.Secret(ctx, s.In, "token: "); err != nil {
		return l, err
	}
	if l.Token == "" {
		return l, writ.Errorf(writ.Invalid, "there is no token on standard input; say --as IDENTITY at a server that was started with --dev")
	}
	c.Token = l.Token
	who, err := c.Whoami(ctx)
	l.Identity = who.Name
	return l, err
}

func (s session) keep(l cli.Login) error {
	store, err := cli.UserLogins()
	if err != nil {
		return err
	}
	path, err := store.Save(l)
	if err != nil {
		return err
	}
	if s.Machine() {
		return s.Encode(struct {
			Server   string    `json:"server"`
			Identity writ.Ref  `json:"identity"`
			Expires  time.Time `json:"expires,omitzero"`
			File     string    `json:"file"`
		}{l.Server, l.Identity, l.Expires, path})
	}
	s.Out.Say("you are %v at %s", s.Out.Bold(string(l.Identity)), l.Server)
	if !l.Expires.IsZero() {
		s.Out.Say("the token ends %s", s.Out.When(l.Expires))
	}
	s.Out.Say("it is kept in %s, for you only", path)
	return nil
}
