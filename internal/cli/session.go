// Package cli holds what the commands that call a server share: whom they call
// as whom, how they answer and wait, with which exit code they end.
package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/client"
	"github.com/writhq/writ/internal/term"
)

// A Session is one run of the program.
type Session struct {
	In       *os.File
	Out, Err *term.Screen

	server, token, output string // flags

	tape   tape
	parsed bool // the command line is good: what fails from now on is no usage error
}

// New returns the session of this process.
func New() *Session {
	return &Session{
		In: os.Stdin, Out: term.New(os.Stdout), Err: term.New(os.Stderr),
		tape: tape{next: http.DefaultTransport},
	}
}

const defaultServer = "http://127.0.0.1:7480"

// Bind adds the flags that every command has, and what is checked before each.
// All commands have been added to root.
func (s *Session) Bind(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVar(&s.server, "server", "", "base `URL` of the server (default WRIT_SERVER,\nelse "+defaultServer+")")
	f.StringVar(&s.token, "token", "", "bearer `TOKEN` (default WRIT_TOKEN, else the stored login);\nothers on this machine can see what is on a command line")
	f.StringVarP(&s.output, "output", "o", "text", "`FORMAT`: text for people, json as the API gives it;\nget knows yaml too")
	Complete(root, "output", Fixed("text", "json", "yaml"))
	s.bind(root)
}

func (s *Session) bind(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		s.bind(sub)
	}
	run := cmd.RunE
	if run == nil {
		return
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s.parsed = true
		known := []string{"text", "json"}
		if cmd.Name() == "get" {
			known = append(known, "yaml")
		}
		if !slices.Contains(known, s.output) {
			return writ.Errorf(writ.Invalid, "-o %q is not one of %s", s.output, strings.Join(known, ", "))
		}
		return run(cmd, args)
	}
}

// url returns the address of the server.
func (s *Session) url() (string, error) {
	server := strings.TrimRight(cmp.Or(s.server, os.Getenv("WRIT_SERVER"), defaultServer), "/")
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", writ.Errorf(writ.Invalid, "server %q is not a URL; write it as https://HOST:PORT", server)
	}
	return server, nil
}

// Anonymous returns a client without a token.
func (s *Session) Anonymous() (*client.Client, error) {
	server, err := s.url()
	if err != nil {
		return nil, err
	}
	c := client.New(server, "")
	c.HTTP.Transport = &s.tape
	return c, nil
}

// Client returns a client that speaks for whoever runs the program.
func (s *Session) Client() (*client.Client, error) {
	c, err := s.Anonymous()
	if err != nil {
		return nil, err
	}
	if c.Token = cmp.Or(s.token, os.Getenv("WRIT_TOKEN")); c.Token != "" {
		return c, nil
	}
	store, err := UserLogins()
	if err != nil {
		return nil, err
	}
	l, err := store.Load(c.Server, time.Now())
	c.Token = l.Token
	return c, err
}

// Machine reports whether a program reads the answer.
func (s *Session) Machine() bool { return s.output == "json" }

// YAML reports whether the answer is to be YAML.
func (s *Session) YAML() bool { return s.output == "yaml" }

// Asks reports whether there is a person to ask.
func (s *Session) Asks() bool { return term.IsTerminal(s.In) }

// Confirm asks for a yes. Without somebody to ask, missing says what to do.
func (s *Session) Confirm(ctx context.Context, question, missing string) error {
	if !s.Asks() {
		return writ.Errorf(writ.Invalid, "%s", missing)
	}
	yes, err := s.Err.Confirm(ctx, s.In, question)
	if err == nil && !yes {
		err = writ.Errorf(Interrupted, "not done; nothing has changed")
	}
	return err
}

// Answer gives what the server answered last, as it is, or in words.
func (s *Session) Answer(words func() error) error {
	if s.Machine() {
		return s.JSON(s.Last())
	}
	return words()
}

// Text prints text for programs, as it is.
func (s *Session) Text(text string) error {
	_, err := io.WriteString(s.Out.W, text)
	return err
}

// JSON prints a JSON value as it is.
func (s *Session) JSON(data []byte) error {
	return s.Text(strings.TrimRight(string(data), "\n") + "\n")
}

// Encode prints a value as JSON.
func (s *Session) Encode(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.JSON(data)
}

// Last returns what the server answered last, as it sent it.
func (s *Session) Last() json.RawMessage { return s.tape.last() }

// A tape keeps the last answer as the server sent it: what is printed for
// programs, and what is approved, must not depend on what this program knows.
type tape struct {
	next http.RoundTripper
	mu   sync.Mutex
	good []byte
	bad  []byte
}

const maxTape = 64 << 20

// RoundTrip calls, and keeps the answer's body.
func (t *tape) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxTape))
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return nil, fmt.Errorf("the answer broke off: %w", err)
	}
	res.Body = io.NopCloser(bytes.NewReader(data))
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.bad = nil; res.StatusCode < 300 {
		t.good = data
	} else {
		t.bad = data
	}
	return res, nil
}

// last returns the last good answer.
func (t *tape) last() json.RawMessage {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.good
}

// problem returns the last answer, if it was a refusal.
func (t *tape) problem() json.RawMessage {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.bad
}

// Run makes a cobra function of one that needs a client.
func (s *Session) Run(f func(ctx context.Context, c *client.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := s.Client()
		if err != nil {
			return err
		}
		return f(cmd.Context(), c, args)
	}
}
