package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/client"
	"github.com/writhq/writ/cmd/writ/server"
	"github.com/writhq/writ/internal/config"
)

// demoCmd plays the main jobs on real systems.
func demoCmd() *cobra.Command {
	var exit bool
	var keep string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Play the main jobs on real systems",
		Long: `Start a server on an embedded database in a temporary folder, with a small
sample organisation, and play two jobs through its API: a pipeline gets into the
orders database after its manager and security approved, and a partner gets an
API key for one service with a change ticket. Each credential is used, expires,
and is shown not to work any more; then the ledger is verified.

The orders database is a real PostgreSQL where its programs are installed; the
demo starts its own on a free port. Without them the built-in issuer stands in.`,
		Example: `  writ demo
  writ demo --exit`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return demo(cmd.Context(), cmd.OutOrStdout(), keep, exit)
		},
	}
	cmd.Flags().BoolVar(&exit, "exit", false, "end after the story; the exit code is not 0 if anything did not hold")
	cmd.Flags().StringVar(&keep, "data", "", "keep state in this empty directory (default: a temporary one)")
	return cmd
}

func demo(ctx context.Context, out io.Writer, dir string, exit bool) (err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "writ-demo-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	} else if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return writ.Errorf(writ.Invalid, "%s is not empty; the demo wants a directory of its own", dir)
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &stage{out: out, dir: dir}
	var serving sync.WaitGroup
	defer serving.Wait()
	defer cancel()
	if err := s.open(ctx, &serving); err != nil {
		return err
	}
	defer s.orders.stop()
	if err := s.play(ctx); err != nil {
		return err
	}
	if exit {
		return nil
	}
	s.say("\nThe server stays up at %s until you press Ctrl-C. In another terminal:", s.url)
	s.say("  export WRIT_SERVER=%s WRIT_TOKEN=$(writ login --as human/ann --server %s --print)", s.url, s.url)
	s.say("  writ list")
	<-ctx.Done()
	return nil
}

// A stage is where the demo plays: a server, the people, and two systems.
type stage struct {
	out    io.Writer
	dir    string
	url    string
	server *server.Server
	orders orders
	step   int
}

// play plays every scene, and fails at the first thing that does not hold.
func (s *stage) play(ctx context.Context) error {
	for _, scene := range []func(context.Context) error{s.deploy, s.partner, s.verify} {
		if err := scene(ctx); err != nil {
			return fmt.Errorf("the demo did not hold: %w", err)
		}
	}
	return nil
}

func (s *stage) open(ctx context.Context, serving *sync.WaitGroup) (err error) {
	s.title("Writ plays two jobs on real systems")
	if s.orders, err = openOrders(ctx, s.dir); err != nil {
		return err
	}
	s.say("%s", s.orders.what)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	cfg, err := config.Config{Dev: true, Data: s.dir, Listen: ln.Addr().String(), Log: "text"}.Complete()
	if err != nil {
		return err
	}
	s.url = cfg.URL
	log := slog.New(slog.NewTextHandler(io.Discard, nil)) // the story says what goes wrong
	if s.server, err = server.Open(ctx, parts(cfg, log, s.orders.documents)); err != nil {
		return err
	}
	serving.Go(func() {
		if err := errors.Join(s.server.Run(ctx, ln), s.server.Close()); err != nil {
			s.say("the server ended: %v", err)
		}
	})
	s.say("A server with an embedded database is up at %s\n", s.url)
	return nil
}

// as returns a client that speaks for an identity.
func (s *stage) as(ctx context.Context, who writ.Ref) (*client.Client, error) {
	c := client.New(s.url, "")
	login, err := c.DevLogin(ctx, who)
	c.Token = login.Token
	return c, err
}

func (s *stage) title(text string) {
	fmt.Fprintf(s.out, "\n%s\n%s\n", text, bytes.Repeat([]byte("─"), len(text)))
}
func (s *stage) say(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

// tell says a numbered step of the story.
func (s *stage) tell(format string, args ...any) {
	s.step++
	fmt.Fprintf(s.out, "%3d. %s\n", s.step, fmt.Sprintf(format, args...))
}

// refusal tells of something that must be refused with this fault, and fails if it is not.
func (s *stage) refusal(what string, err error, want writ.Fault) error {
	if !errors.Is(err, want) {
		return fmt.Errorf("%s should be refused as %s, but: %v", what, want, err)
	}
	s.tell("%s: refused. %q", what, err)
	return nil
}

// ask asks for access and tells who it waits for.
func (s *stage) ask(ctx context.Context, who writ.Ref, a client.Ask) (writ.Request, error) {
	c, err := s.as(ctx, who)
	if err != nil {
		return writ.Request{}, err
	}
	r, err := c.Submit(ctx, a, "")
	if err != nil {
		return r, err
	}
	s.tell("%s asks for %s for %s, %s long: %s", who, a.Entitlement, r.Terms.Subject.Name, a.For, r.ID)
	s.say("     policy route %s; terms %s", r.Terms.Route, r.Digest.Words())
	return r, nil
}

// approve says yes as each of these people.
func (s *stage) approve(ctx context.Context, r writ.Request, people ...writ.Ref) error {
	for _, who := range people {
		c, err := s.as(ctx, who)
		if err != nil {
			return err
		}
		after, err := c.Approve(ctx, r.ID, r.Digest)
		if err != nil {
			return err
		}
		s.tell("%s approves exactly these terms; the request is %s", who, after.Status)
	}
	return nil
}

// reach waits until the request has a status.
func (s *stage) reach(ctx context.Context, who writ.Ref, id writ.ID, want writ.Status) (client.Dossier, error) {
	c, err := s.as(ctx, who)
	if err != nil {
		return client.Dossier{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		d, err := c.Reach(ctx, id, want, 20*time.Second)
		if err != nil {
			return d, fmt.Errorf("%s did not become %s: %w", id, want, err)
		}
		if d.Status == want {
			return c.Show(ctx, id)
		}
		if !d.Status.Live() {
			return d, fmt.Errorf("%s became %s instead of %s: %s", id, d.Status, want, d.Problem)
		}
	}
}
