package worker

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store"
)

// An errand is what a child process does: the binary of this test, started
// again, is a whole Writ that can be killed.
type errand struct {
	Setup setup
	Do    string   // live: one life of each of What; load: many of them, until it is told or killed
	What  []string // entitlements
	Lives int      // of load: how many at once
	First int      // of load: the machine and account to begin with
	Of    int      // of load: how many machines and accounts
	Kill  string   // where it kills itself: "grant:before:1"; "": nowhere
}

// ownMembership stands for that of the account with the number of the machine.
const ownMembership = "orders/account"

const errandIn = "WRIT_TEST_ERRAND"

func TestMain(m *testing.M) {
	text := os.Getenv(errandIn)
	if text == "" {
		os.Exit(m.Run())
	}
	var e errand
	err := json.Unmarshal([]byte(text), &e)
	if err == nil {
		err = e.run(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (e errand) run(ctx context.Context) error {
	d := &death{at: e.Kill}
	w, err := open(ctx, e.Setup, faults{
		call: func(c *call) error {
			when := "before"
			if c.over {
				when = "after"
			}
			d.near(c.op + ":" + when)
			return nil
		},
		sign: func(s Signer) Signer { return mortal{s, d} },
		log: func(line string) {
			if strings.Contains(line, "a transaction failed") && strings.Contains(line, crashHere) {
				d.near("commit")
			}
		},
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() { // until we are told, or who started us has gone
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	var working sync.WaitGroup
	working.Go(func() { w.worker.Run(ctx) })
	err = e.do(ctx, w)
	cancel()
	working.Wait()
	return errors.Join(err, w.Close())
}

func (e errand) do(ctx context.Context, w *world) error {
	switch e.Do {
	case "live":
		for n, what := range e.What {
			if err := w.live(ctx, machine(n), what); err != nil {
				return err
			}
		}
		return nil
	case "load":
		go w.approveAll(ctx)
		for n := range e.Lives {
			go func() {
				for i := n; ; i += e.Lives {
					m := e.First + i%e.Of
					what := strings.Replace(e.What[i%len(e.What)], ownMembership, membership(m), 1)
					if err := w.live(ctx, machine(m), what); err != nil {
						fmt.Fprintln(os.Stderr, err) // the end of one life only
					}
				}
			}()
		}
	}
	<-ctx.Done()
	return nil
}

// acknowledged tells the parent of a call that was answered.
func acknowledged(r writ.Request) { fmt.Println("ack", r.ID, r.Seq, r.Status) }

// live lives one life to its end.
func (w *world) live(ctx context.Context, who writ.Ref, what string) error {
	r, err := w.ask(ctx, who, what, time.Hour)
	if err != nil {
		return err
	}
	acknowledged(r)
	for _, person := range []writ.Ref{meg, sue} {
		if r.Status != writ.StatusPending {
			break
		}
		next, err := w.door.Approve(ctx, w.as(person), r.ID, r.Digest)
		if errors.Is(err, writ.Conflict) { // somebody else was faster
			break
		}
		if err != nil {
			return err
		}
		r = next
		acknowledged(r)
	}
	if r, err = w.await(r.ID, func(r writ.Request) bool { return r.Status == writ.StatusActive || r.Status == writ.StatusClosed }); err != nil {
		return err
	}
	acknowledged(r)
	if r.Terms.Entitlement.Credential != writ.SharedCredential {
		if _, err := w.door.Claim(ctx, w.as(who), r.ID); err != nil {
			return err
		}
	}
	if r, err = w.door.Release(ctx, w.as(who), r.ID); err != nil {
		return err
	}
	acknowledged(r)
	if r, err = w.await(r.ID, func(r writ.Request) bool { return r.Status == writ.StatusClosed }); err != nil {
		return err
	}
	acknowledged(r)
	return nil
}

// approveAll says yes to all that waits, as everybody who can.
func (w *world) approveAll(ctx context.Context) {
	for ctx.Err() == nil {
		rs, err := w.store.List(ctx, store.Query{Status: []writ.Status{writ.StatusPending}, Limit: 200})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		var all sync.WaitGroup
		for _, r := range rs {
			for _, person := range []writ.Ref{meg, sue, sid} {
				all.Go(func() {
					if got, err := w.door.Approve(ctx, w.as(person), r.ID, r.Digest); err == nil {
						acknowledged(got)
					}
				})
			}
		}
		all.Wait()
		if len(rs) == 0 {
			time.Sleep(2 * time.Millisecond) // between two looks
		}
	}
}

// death comes at a point that is reached for the nth time.
type death struct {
	at string // point:n
	mu sync.Mutex
	n  map[string]int
}

func (d *death) near(point string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.n == nil {
		d.n = map[string]int{}
	}
	d.n[point]++
	if d.at == fmt.Sprintf("%s:%d", point, d.n[point]) {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // it is on its way
	}
}

// mortal is a signer that may not survive.
type mortal struct {
	Signer
	*death
}

func (m mortal) Sign(payload []byte) (string, error) {
	m.near("sign:before")
	jws, err := m.Signer.Sign(payload)
	m.near("sign:after")
	return jws, err
}

func (m mortal) Verify(jws string) ([]byte, error) {
	m.near("verify:before")
	payload, err := m.Signer.Verify(jws)
	m.near("verify:after")
	return payload, err
}

// A child is a process that runs an errand.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	acks  chan ack // closed at its end
	errs  strings.Builder
}

// An ack says that a call was answered when the request had so many events.
type ack struct {
	id     writ.ID
	seq    int
	status writ.Status
}

// start starts a child. It ends with the test at the latest.
func (e errand) start(t testing.TB) *child {
	t.Helper()
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: exec.Command(os.Args[0]), acks: make(chan ack, 1<<16)}
	c.cmd.Env = append(os.Environ(), errandIn+"="+string(text))
	c.cmd.Stderr = &c.errs
	out, err := c.cmd.StdoutPipe()
	if err == nil {
		c.stdin, err = c.cmd.StdinPipe()
	}
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	go c.read(out)
	t.Cleanup(func() {
		if c.cmd.ProcessState == nil {
			c.kill()
			_, _ = c.over()
		}
	})
	return c
}

func (c *child) read(out io.Reader) {
	defer close(c.acks)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var a ack
		if n, _ := fmt.Sscanf(lines.Text(), "ack %s %d %s", &a.id, &a.seq, &a.status); n == 3 {
			c.acks <- a
		}
	}
}

// kill kills it, as an operating system does that is short of memory.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may be dead already
}

// wait returns all that it acknowledged and that nobody read, once it was
// killed, by itself or by us.
func (c *child) wait(t testing.TB) []ack {
	t.Helper()
	all, err := c.over()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || !exit.Sys().(syscall.WaitStatus).Signaled() {
		t.Errorf("the child ended by itself: %v\n%s", err, c.errs.String())
	}
	return all
}

// stop tells it to end, and returns what wait does.
func (c *child) stop(t testing.TB) []ack {
	t.Helper()
	c.stdin.Close()
	all, err := c.over()
	if err != nil {
		t.Errorf("the child did not end well: %v\n%s", err, c.errs.String())
	}
	return all
}

func (c *child) over() (all []ack, err error) {
	for a := range c.acks {
		all = append(all, a)
	}
	return all, c.cmd.Wait()
}

// kept checks that nothing that was acknowledged is lost.
func (w *world) kept(t testing.TB, acks []ack) {
	t.Helper()
	for _, a := range acks {
		if r, err := w.store.Get(context.Background(), a.id); err != nil || r.Seq < a.seq {
			t.Errorf("event %d of %s was acknowledged, and it has %d: %v", a.seq, a.id, r.Seq, err)
		}
	}
}
