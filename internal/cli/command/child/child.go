// Package child runs a command in the place of this program: it gets the same
// terminal and the same signals, and its end is this program's end.
package child

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// The exit codes of a command that did not run, as shells give them; one that a
// signal ended has Signaled plus the signal's number.
const (
	NotExecutable = 126
	NotFound      = 127
	Signaled      = 128
)

// forwarded are the signals that ask a command to end or to look again.
var forwarded = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT}

// Catch takes the signals that Run passes on, from now on until stop. What this
// program was started to ignore (nohup), it goes on ignoring.
func Catch() (signals chan os.Signal, stop func()) {
	signals = make(chan os.Signal, 16)
	for _, s := range forwarded {
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	return signals, func() { signal.Stop(signals) }
}

// Run starts a command and returns its exit code once it has ended. Signals
// are passed on. When end is closed the command is asked to end, once. The
// error says why it did not start.
//
// An interrupt typed at a terminal reaches the command by itself, because it
// shares this program's process group; passing it on would make it two.
func Run(cmd *exec.Cmd, signals <-chan os.Signal, end <-chan struct{}) (code int, err error) {
	if err := cmd.Start(); err != nil {
		return CodeOf(err), err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			if !typed(s) {
				_ = cmd.Process.Signal(s) // one that has just ended needs none
			}
		case <-end:
			end = nil
			_ = cmd.Process.Signal(syscall.SIGTERM)
		case err := <-done:
			return CodeOf(err), nil
		}
	}
}

// typed reports whether the terminal gave the signal to the command already.
func typed(s os.Signal) bool {
	return (s == syscall.SIGINT || s == syscall.SIGQUIT) && foreground()
}

// CodeOf returns the exit code that a shell would give for an error of
// exec.Cmd: of a command that ended, or that could not start.
func CodeOf(err error) int {
	ended, ok := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		return 0
	case !ok && (errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist)):
		return NotFound
	case !ok:
		return NotExecutable
	}
	if status, ok := ended.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return Signaled + int(status.Signal())
	}
	return ended.ExitCode()
}
