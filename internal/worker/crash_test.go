package worker

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// crashHere is what a database says that was told to fail at an event. The
// child hears of it, and dies: nothing of that transaction is there, and all
// that came before is.
const crashHere = "the crash is here"

// failAt makes the recording of an event fail, or that of a credential.
func failAt(t testing.TB, s setup, kind string) {
	t.Helper()
	db := database(t, s)
	what := `events WHEN NEW.record LIKE '%"kind":"` + kind + `"%'`
	if kind == "delivery" {
		what = "deliveries"
	}
	if _, err := db.Exec("CREATE TRIGGER crash BEFORE INSERT ON " + what + " BEGIN SELECT RAISE(ABORT, '" + crashHere + "'); END"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func failNoMore(t testing.TB, s setup) {
	t.Helper()
	db := database(t, s)
	if _, err := db.Exec("DROP TRIGGER IF EXISTS crash"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// The points of a life at which a process dies, in order: around everything
// that is asked of a target or of a key, and before everything that is recorded.
var crashPoints = []string{
	"commit:approved", "commit:authorized",
	"sign:before:1", "sign:after:1", "commit:grant-begun", "verify:before:1", "verify:after:1",
	"grant:before:1", "grant:after:1", "observe:before:1", "observe:after:1", "commit:delivery", "commit:granted",
	"commit:claimed", "commit:ended", "commit:revoke-begun",
	"revoke:before:1", "revoke:after:1", "observe:before:2", "observe:after:2", "commit:revoked",
}

const crashLease = 1500 * time.Millisecond

func TestCrashAtEveryStep(t *testing.T) {
	s := newSite(t)
	s.many = true
	w := newWorld(t, setup{Dir: t.TempDir(), Target: s.dsn(s.addr), Lease: crashLease}, faults{})
	w.shut(t)
	type run struct{ point, what string }
	runs := make(chan run)
	var lanes sync.WaitGroup
	for lane := range 6 {
		lanes.Go(func() {
			for r := range runs {
				what := strings.Replace(r.what, "account", account(lane), 1)
				t.Run(r.point+" "+r.what, func(t *testing.T) { crash(t, s, copied(t, w.setup), r.point, what) })
			}
		})
	}
	whats := []string{stagedKey, stagedLogin, "orders/account"}
	for i, point := range crashPoints {
		for k, what := range whats {
			onlySome := (raced || testing.Short()) && (i+k)%len(whats) != 0
			none := what == "orders/account" && strings.Contains("commit:delivery commit:claimed commit:approved", point)
			if !onlySome && !none {
				runs <- run{point, what}
			}
		}
	}
	close(runs)
	lanes.Wait()
	if left := s.access(t); len(left) > 0 {
		t.Errorf("after everything ended PostgreSQL has %v", left)
	}
}

// crash lets a child die at a point, goes on without it, and looks.
func crash(t *testing.T, s *site, in setup, point, what string) {
	e := errand{Setup: in, Do: "live", What: []string{what}, Kill: point}
	if kind, ok := strings.CutPrefix(point, "commit:"); ok {
		failAt(t, in, kind)
		e.Kill = "commit:1"
	}
	acks := e.start(t).wait(t)
	if t.Failed() {
		return
	}
	failNoMore(t, in)
	w := newWorld(t, in, faults{})
	w.work(t)
	w.settle(t)
	w.kept(t, acks)
	w.balance(t, s)
	w.end(t, s)
}

// copied copies the files of a world.
func copied(t testing.TB, s setup) setup {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(s.Dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir+"/keys", 0o600); err != nil {
		t.Fatal(err)
	}
	s.Dir = dir
	return s
}

// TestCrashUnderLoad kills a process again and again, at whatever moment, while
// many requests are under way. Three go on side by side.
func TestCrashUnderLoad(t *testing.T) {
	rounds := 7
	if raced || testing.Short() {
		rounds = 2
	}
	s := newSite(t)
	s.many = true
	var lanes sync.WaitGroup
	for lane := range 3 {
		in := setup{Dir: t.TempDir(), Target: s.dsn(s.addr), Lease: crashLease}
		e := errand{
			Setup: in, Do: "load", What: []string{stagedKey, stagedLogin, someKey, ownMembership, someLogin},
			Lives: 10, First: 4 * lane, Of: 4,
		}
		lanes.Go(func() {
			chance := rand.New(rand.NewPCG(1, uint64(lane)))
			for round := range rounds {
				ok := t.Run(fmt.Sprintf("lane %d, round %d", lane, round), func(t *testing.T) {
					crashUnderLoad(t, s, e, 1+chance.IntN(60), round == rounds-1)
				})
				if !ok {
					return
				}
			}
		})
	}
	lanes.Wait()
	if left := s.access(t); len(left) > 0 {
		t.Errorf("after everything ended PostgreSQL has %v", left)
	}
}

// crashUnderLoad kills a child when it has acknowledged n calls, goes on
// without it, and looks.
func crashUnderLoad(t *testing.T, s *site, e errand, n int, last bool) {
	c := e.start(t)
	var acks []ack
	for range n {
		if a, ok := <-c.acks; ok {
			acks = append(acks, a)
		}
	}
	c.kill()
	acks = append(acks, c.wait(t)...)
	w := newWorld(t, e.Setup, faults{})
	w.work(t)
	w.settle(t)
	w.kept(t, acks)
	w.balance(t, s)
	if last {
		w.end(t, s)
	}
}
