package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/writhq/writ"
)

// childDSN names a database to a copy of the test binary that hammers it.
const childDSN = "WRIT_STORE_CHILD"

func TestMain(m *testing.M) {
	if dsn := os.Getenv(childDSN); dsn != "" {
		if err := hammer(dsn); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m,
		// The server that all tests share runs until the binary ends.
		goleak.IgnoreAnyFunction("github.com/writhq/writ/internal/realtest/server.start.func1"))
}

// hammer makes decisions until it is killed, or until nothing is left to do
// for a second. It says on standard output what was acknowledged: a line for
// each change, and one for each task it claimed.
func hammer(dsn string) error {
	seed, err := logSeed()
	if err != nil {
		return err
	}
	db, err := Open(context.Background(), Config{DSN: dsn, Log: seed})
	if err != nil {
		return err
	}
	var out sync.Mutex
	say := func(format string, args ...any) {
		out.Lock()
		defer out.Unlock()
		fmt.Printf(format+"\n", args...)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { hammerOne(db, say) })
	}
	wg.Wait()
	return db.Close()
}

func hammerOne(db *DB, say func(string, ...any)) {
	ctx := context.Background()
	do := func(c Change) {
		if r, err := db.Update(ctx, c); err == nil {
			say("told %s %d", r.ID, r.Seq)
		} else if !errors.Is(err, writ.Conflict) && !errors.Is(err, writ.Forbidden) {
			say("error %v", err)
		}
	}
	for last := time.Now(); time.Since(last) < time.Second; {
		pending, err := db.List(ctx, Query{Status: []writ.Status{writ.StatusPending}, Limit: 1000})
		if err != nil {
			say("error %v", err)
		}
		for _, n := range rand.Perm(len(pending))[:min(len(pending), 8)] {
			last = time.Now()
			who := []writ.Ref{"human/bob", "human/cyd", "human/dan", "human/eve"}[rand.IntN(4)]
			do(approving(pending[n].ID, who))
		}
		jobs, err := db.Claim(ctx, 2, time.Minute)
		if err != nil {
			say("error %v", err)
		}
		for _, j := range jobs {
			last = time.Now()
			say("claimed %s %s", j.ID, j.Task)
			if j.Task == writ.DoGrant {
				do(granting(j.ID))
				do(granted(j.ID))
				do(releasing(j.ID, "human/ann"))
				continue
			}
			for _, c := range closing(j.ID)[1:] {
				do(c)
			}
		}
		time.Sleep(time.Millisecond)
	}
}

// A child is a process that hammers a database.
type child struct {
	cmd   *exec.Cmd
	lines chan string // of its output; closed at its end
}

func startChild(t testing.TB, dsn string) *child {
	t.Helper()
	c := &child{exec.Command(os.Args[0]), make(chan string, 100_000)}
	c.cmd.Env = append(os.Environ(), childDSN+"="+dsn)
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			c.lines <- s.Text()
		}
	}()
	t.Cleanup(func() { _ = c.cmd.Process.Kill() }) // one that has ended cannot be
	return c
}

// told is what children were told: the newest event of each request, and how
// often each task was claimed.
type told struct {
	seqs   map[writ.ID]int
	claims map[string]int
	n      int
}

func (w *told) take(t testing.TB, lines <-chan string) {
	t.Helper()
	for line := range lines {
		verb, rest, _ := strings.Cut(line, " ")
		switch id, what, _ := strings.Cut(rest, " "); verb {
		case "told":
			seq, err := strconv.Atoi(what)
			if err != nil {
				t.Fatal(line)
			}
			w.seqs[writ.ID(id)] = max(w.seqs[writ.ID(id)], seq)
			w.n++
		case "claimed":
			w.claims[rest]++
		default:
			t.Error(line)
		}
	}
}

func (w *told) check(t testing.TB, db *DB) {
	t.Helper()
	for id, seq := range w.seqs {
		r, err := db.Get(t.Context(), id)
		if err != nil || r.Seq < seq {
			t.Errorf("event %d of %s was acknowledged and is lost: it has %d, %v", seq, id, r.Seq, err)
		}
	}
}

func TestProcessesShareOneDatabase(t *testing.T) {
	dsn := postgresOnly(t)
	db := openWorld(t, dsn)
	for n := range 60 {
		submit(t, db, n)
	}
	saw := told{map[writ.ID]int{}, map[string]int{}, 0}
	var children []*child
	for range 2 {
		children = append(children, startChild(t, dsn))
	}
	for _, c := range children {
		saw.take(t, c.lines)
		if err := c.cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	saw.check(t, db)
	if n := count(t, db, "SELECT count(*) FROM states WHERE status = 'closed'"); n != 60 {
		t.Errorf("%d requests were closed, want 60", n)
	}
	if len(saw.claims) != 120 {
		t.Errorf("%d tasks were claimed, want 120", len(saw.claims))
	}
	for task, n := range saw.claims {
		if n != 1 {
			t.Errorf("%s was claimed %d times", task, n)
		}
	}
	// What this process remembers is of before; it must not decide on it.
	submit(t, db, 1)
}

func TestKilledProcessLosesNothingItAcknowledged(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		saw := told{map[writ.ID]int{}, map[string]int{}, 0}
		for range 5 {
			for n := range 40 {
				submit(t, db, n)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			c := startChild(t, dsn)
			first := <-c.lines // it works
			time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond)
			if err := c.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = c.cmd.Wait() // says that it was killed
			lines := make(chan string, 1)
			lines <- first
			close(lines)
			saw.take(t, lines)
			saw.take(t, c.lines)
			db = open(t, dsn)
			verify(t, db)
			saw.check(t, db)
		}
		if saw.n == 0 {
			t.Error("nothing was acknowledged; the test says nothing")
		}
	})
}
