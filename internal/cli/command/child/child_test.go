//go:build unix

package child

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// TestExitCodeIsTheCommandsOwn, or the one a shell would give.
func TestExitCodeIsTheCommandsOwn(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args  []string
		code  int
		fails bool
	}{
		{[]string{"true"}, 0, false},
		{[]string{"sh", "-c", "exit 42"}, 42, false},
		{[]string{"sh", "-c", "kill -9 $$"}, 137, false},
		{[]string{"sh", "-c", "kill -SEGV $$"}, 139, false},
		{[]string{"no-such-command-anywhere"}, NotFound, true},
		{[]string{"/no/such/file"}, NotFound, true},
		{[]string{plain}, NotExecutable, true},
		{[]string{t.TempDir()}, NotExecutable, true},
	} {
		code, err := Run(exec.Command(test.args[0], test.args[1:]...), nil, nil)
		if code != test.code || (err != nil) != test.fails {
			t.Errorf("%v: got %d, %v", test.args, code, err)
		}
	}
}

const patient = `trap 'echo got INT' INT; trap 'echo got HUP' HUP; trap 'echo got QUIT' QUIT; trap 'echo got TERM; exit 7' TERM
echo ready; while :; do sleep 0.01; done`

// start runs a shell script and returns its lines and, in the end, its exit code.
func start(t *testing.T, script string, end <-chan struct{}) (expect func(want string), code <-chan int) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	cmd := exec.Command("sh", "-c", script)
	cmd.Stdout = w
	out := make(chan int, 1)
	signals, stop := Catch()
	t.Cleanup(stop)
	go func() {
		c, _ := Run(cmd, signals, end)
		w.Close()
		out <- c
	}()
	lines := bufio.NewScanner(r)
	return func(want string) {
		t.Helper()
		if !lines.Scan() || lines.Text() != want {
			t.Fatalf("got %q, want %q", lines.Text(), want)
		}
	}, out
}

// TestSignalsReachTheCommand and do not end this program before it.
func TestSignalsReachTheCommand(t *testing.T) {
	expect, code := start(t, patient, nil)
	expect("ready")
	for name, s := range map[string]syscall.Signal{"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT} {
		if typed(s) {
			continue // from a terminal, only that would deliver it
		}
		if err := syscall.Kill(os.Getpid(), s); err != nil {
			t.Fatal(err)
		}
		expect("got " + name)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	expect("got TERM")
	if c := <-code; c != 7 {
		t.Errorf("exit code %d, want 7", c)
	}
}

// TestEndAsksOnce: a command that will not end yet is not pressed further.
func TestEndAsksOnce(t *testing.T) {
	end := make(chan struct{})
	expect, code := start(t, `n=0; trap 'n=$((n+1))' TERM; echo ready
while [ $n = 0 ]; do sleep 0.01; done; sleep 0.2; echo $n`, end)
	expect("ready")
	close(end)
	expect("1")
	if c := <-code; c != 0 {
		t.Errorf("exit code %d, want 0", c)
	}
}
