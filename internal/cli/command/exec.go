package command

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/client"
	"github.com/writhq/writ/internal/cli"
	"github.com/writhq/writ/internal/cli/command/child"
	"github.com/writhq/writ/internal/cli/command/credential"
	"github.com/writhq/writ/internal/seal"
)

func (s session) execCmd() *cobra.Command {
	var a cli.Asking
	var o execOptions
	cmd := &cobra.Command{
		Use:   "exec ENTITLEMENT [flags] -- COMMAND [ARGUMENT…]",
		Short: "Run a command with access that ends when it does",
		Long: `Ask for access, wait for it, run a command with the credential in its
environment, and end the access when the command ends, however it ends.

The credential is sealed to a key that lives only in this process: nobody else
can open it, and it is never on a command line or in a file, except files that
belong to it, which are in the directory WRIT_CREDENTIAL_DIR while the command
runs. Signals are passed on. If access ends before the command, the command is
told with SIGTERM. The exit code is the command's; see 'writ help exit-codes'.`,
		Example: `  writ exec orders-db/deploy --for 15m --why "release 42" -- make deploy
  writ exec orders-db/deploy --for 1h --as service/ci-deployer --why "fix INC-7" \
    --ends incident/INC-7 -- psql`,
		Args:              cobra.MinimumNArgs(2),
		ValidArgsFunction: cli.Nth(s.Documents("entitlement")),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.ArgsLenAtDash() != 1 {
				return writ.Errorf(writ.Invalid, "exec takes one entitlement before -- and a command after it; see 'writ exec --help'")
			}
			ask, err := a.Read(args[0], time.Now())
			if err != nil {
				return err
			}
			if _, err := exec.LookPath(args[1]); err != nil {
				s.Err.Say("%v %v; nobody was asked for access", s.Err.Bad("writ:"), err)
				return cli.Exit(child.CodeOf(err))
			}
			c, err := s.Client()
			if err != nil {
				return err
			}
			return s.exec(cmd.Context(), c, ask, args[1:], o)
		},
	}
	a.Flags(s.Session, cmd)
	cmd.Flags().BoolVar(&o.keep, "keep-running", false, "let the command run on when access ends before it")
	cmd.Flags().Var((*cli.Span)(&o.timeout), "timeout", "wait for access no longer than this (default: until it is decided)")
	return cmd
}

type execOptions struct {
	keep    bool
	timeout writ.Duration
}

// exec asks, waits, runs, and gives the access back on every way out.
func (s session) exec(ctx context.Context, c *client.Client, ask client.Ask, args []string, o execOptions) error {
	key, err := age.GenerateX25519Identity()
	if err != nil {
		return err
	}
	ask.Recipient = key.Recipient().String()
	r, err := s.submit(ctx, c, ask)
	if err != nil {
		return err
	}
	defer func() { s.giveBack(c, r) }()
	waiting, cancel := cli.Within(ctx, o.timeout, writ.Errorf(cli.Late, "waited %s for %s; the command did not run", o.timeout, r.ID))
	d, err := s.Follow(waiting, c, r.ID, 0, cli.Settled)
	cancel()
	if d.ID != "" {
		r = d.Request
	}
	if errors.Is(err, cli.Interrupted) {
		return writ.Errorf(cli.Interrupted, "interrupted; the command did not run")
	}
	if err = cmp.Or(err, cli.Outcome(d)); err != nil {
		return err
	}
	secret, err := take(ctx, c, r, key)
	if err != nil {
		return err
	}
	s.Err.Say("%s: access ends %s", r.ID, s.Err.When(r.Until))
	signals, stop := child.Catch()
	defer stop()
	if ctx.Err() != nil { // a signal that came before is for us, one that comes now for the command
		return cli.Stopped(ctx)
	}
	over := make(chan struct{})
	watching, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	go s.watch(watching, c, r, o.keep, over)
	return s.runCommand(secret, args, signals, over)
}

// submit asks once, however often it has to be repeated.
func (s session) submit(ctx context.Context, c *client.Client, ask client.Ask) (r writ.Request, err error) {
	once := rand.Text()
	for try := range 4 {
		if r, err = c.Submit(ctx, ask, once); !errors.Is(err, writ.Unavailable) {
			return r, err
		}
		if !cli.Sleep(ctx, time.Second<<try) {
			return r, cli.Stopped(ctx)
		}
	}
	return r, err
}

// take claims and opens the credential. An entitlement that issues none is
// access of the identity itself.
func take(ctx context.Context, c *client.Client, r writ.Request, key *age.X25519Identity) (client.Credential, error) {
	if r.Terms.Entitlement.Credential == writ.SharedCredential {
		return client.Credential{}, nil
	}
	got, err := c.Claim(ctx, r.ID)
	if err != nil {
		return client.Credential{}, err
	}
	return seal.Open(got.Sealed, key)
}

// runCommand runs the command with the credential in its environment.
func (s session) runCommand(c client.Credential, args []string, signals <-chan os.Signal, over <-chan struct{}) error {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), credential.Environ(c)...)
	if len(c.Files) > 0 {
		dir, err := credential.Temp(c.Files)
		defer os.RemoveAll(dir)
		if err != nil {
			return err
		}
		cmd.Env = append(cmd.Env, "WRIT_CREDENTIAL_DIR="+dir)
	}
	code, err := child.Run(cmd, signals, over)
	if err != nil {
		s.Err.Say("%v %v", s.Err.Bad("writ:"), err)
	}
	if code == 0 {
		return nil
	}
	return cli.Exit(code)
}

// watch closes over when access has ended: because the server says so, or
// because its time is up, whether the server can be asked or not.
func (s session) watch(ctx context.Context, c *client.Client, r writ.Request, keep bool, over chan<- struct{}) {
	why := "its time is up"
	until, cancel := context.WithDeadline(ctx, r.Until)
	defer cancel()
	for r.Status == writ.StatusActive && until.Err() == nil {
		d, err := c.Wait(until, r.ID, r.Seq, cli.Poll)
		if err != nil {
			cli.Sleep(until, 5*time.Second)
			continue
		}
		if r = d.Request; r.End != nil && r.End.Cause != writ.Expired {
			why = strings.TrimSpace(string(r.End.Cause) + " " + r.End.Detail)
		}
	}
	if ctx.Err() != nil {
		return
	}
	if keep {
		s.Err.Say("%s: access has ended (%s); the command runs on", r.ID, why)
		return
	}
	s.Err.Say("%s: access has ended (%s); the command is asked to end", r.ID, why)
	close(over)
}

// releaseFor bounds how long the server is told again that access is not
// needed any more. It ends by itself at its time in any case.
const releaseFor = 8 * time.Second

// giveBack ends what was asked for, whatever became of it and of this program.
func (s session) giveBack(c *client.Client, r writ.Request) {
	ctx, cancel := context.WithTimeout(context.Background(), releaseFor)
	defer cancel()
	for {
		now, err := c.Release(ctx, r.ID)
		if errors.Is(err, writ.Conflict) { // it waits for a decision still
			now, err = c.Withdraw(ctx, r.ID)
		}
		if ctx.Err() != nil {
			err = errors.New("the server does not answer")
		}
		switch {
		case err == nil && (now.Status == writ.StatusWithdrawn || now.End != nil && now.End.Cause == writ.Released):
			s.Err.Say("%s: given back, %s", r.ID, now.Status)
			return
		case err == nil:
			return
		case !errors.Is(err, writ.Unavailable) && !errors.Is(err, writ.Conflict), !cli.Sleep(ctx, 500*time.Millisecond):
			s.Err.Say("%v %s could not be given back (%v); 'writ release %s' does it. %s", s.Err.Pending("warning:"), r.ID, err, r.ID, byItself(r))
			return
		}
	}
}

// byItself says how a request ends when nobody ends it. Its credential is
// sealed to a key that is gone with this process.
func byItself(r writ.Request) string {
	if r.Until.IsZero() {
		return "Undecided, it lapses at " + r.LapseAt.UTC().Format(time.RFC3339) + "."
	}
	return "Access ends by itself at " + r.Until.UTC().Format(time.RFC3339) + "."
}
