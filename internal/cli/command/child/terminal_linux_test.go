package child

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestInterruptTypedAtATerminalArrivesOnce: the terminal signals the command
// and this program; the command must not get it from both.
func TestInterruptTypedAtATerminalArrivesOnce(t *testing.T) {
	switch os.Getenv("WRIT_TEST_CHILD") {
	case "run":
		signals, stop := Catch()
		defer stop()
		cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), "WRIT_TEST_CHILD=count")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		code, _ := Run(cmd, signals, nil)
		os.Exit(code)
	case "count":
		count()
	}
	terminal, tty := openTerminal(t)
	cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "WRIT_TEST_CHILD=run")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tty.Close() // so that the terminal ends with the command
	lines := bufio.NewScanner(terminal)
	expect := func(want string) {
		t.Helper()
		if lines.Scan(); lines.Text() != want {
			t.Fatalf("the terminal shows %q, want %q", lines.Text(), want)
		}
	}
	expect("ready")
	for range rounds {
		if _, err := terminal.WriteString("\x03"); err != nil {
			t.Fatal(err)
		}
		expect("^Cinterrupted 1 times")
	}
	if code := CodeOf(cmd.Wait()); code != 9 {
		t.Errorf("exit code %d, want the command's 9", code)
	}
}

// Two signals can arrive as one: many rounds make sure that two are seen.
const rounds = 8

// count says how often each round interrupts it, and ends with 9. A shell would
// not do: it takes two interrupts that come while it waits for one.
func count() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT)
	fmt.Println("ready")
	for range rounds {
		<-signals
		n := 1
		for over := time.After(50 * time.Millisecond); over != nil; {
			select {
			case <-signals:
				n++
			case <-over:
				over = nil
			}
		}
		fmt.Printf("interrupted %d times\n", n)
	}
	os.Exit(9)
}

// openTerminal returns both ends of a new pseudo-terminal (pts(4)).
func openTerminal(t *testing.T) (terminal, tty *os.File) {
	t.Helper()
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("there are no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { terminal.Close() })
	if err := unix.IoctlSetPointerInt(int(terminal.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return terminal, tty
}
