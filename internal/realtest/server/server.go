// Package server starts real systems as throwaway child processes on loopback:
// for tests, through package realtest, and for "writ demo". One file holds one
// system. Whatever it starts ends with the process that started it, also when
// that process is killed.
package server

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// ErrMissing marks that the programs of a system are not on this machine.
var ErrMissing = errors.New("not installed")

// A process is one running system and the directory it lives in.
type process struct {
	cmd    *exec.Cmd
	keeper *exec.Cmd
	spec   spec
	gone   chan struct{} // closed once cmd has ended and was reaped
	once   sync.Once
}

// A spec says how to run a system.
type spec struct {
	path      string
	args      []string
	env       []string // all of it: nothing is inherited
	account   *account // who runs it; nil: whoever we are
	dir       string   // where it works and logs
	throwaway bool     // dir goes when the process goes
	quit      syscall.Signal
}

// start runs s and a keeper that ends it should we die first.
func start(s spec) (*process, error) {
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p := &process{spec: s, gone: make(chan struct{}), cmd: exec.Command(s.path, s.args...)}
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = s.dir, s.env, log, log
	runAs(p.cmd, s.account)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s does not start: %w", s.path, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in its log
		close(p.gone)
	}()
	if err := p.keep(); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// keeping waits for the end of its input, which is the end of us, whatever ended
// us; a parent-death signal would come when the thread that started the child
// ends, knows Linux only, and would leave the directory behind.
const keeping = `cat >/dev/null
kill -s "$3" "$1" 2>/dev/null
i=0
while kill -0 "$1" 2>/dev/null && [ $i -lt 50 ]; do sleep 0.1; i=$((i+1)); done
kill -s KILL "$1" 2>/dev/null
[ -z "$2" ] || rm -rf -- "$2"`

func (p *process) keep() error {
	dir := ""
	if p.spec.throwaway {
		dir = p.spec.dir
	}
	signal := strconv.Itoa(int(p.spec.quit))
	p.keeper = exec.Command("/bin/sh", "-c", keeping, "keeper", strconv.Itoa(p.cmd.Process.Pid), dir, signal)
	runAs(p.keeper, nil)
	if _, err := p.keeper.StdinPipe(); err != nil {
		return err
	}
	return p.keeper.Start()
}

// stop ends the process and, where it is throwaway, its directory.
func (p *process) stop() {
	p.once.Do(func() {
		if p.keeper != nil && p.keeper.Process != nil { // first: it must not signal a number that is not ours any more
			_ = p.keeper.Process.Kill()
			_ = p.keeper.Wait()
		}
		_ = p.cmd.Process.Signal(p.spec.quit)
		select {
		case <-p.gone:
		case <-time.After(10 * time.Second):
			_ = p.cmd.Process.Kill()
			<-p.gone
		}
		if p.spec.throwaway {
			_ = os.RemoveAll(p.spec.dir)
		}
	})
}

// lastWords returns the end of what the process logged.
func (p *process) lastWords() string {
	log, err := os.ReadFile(filepath.Join(p.spec.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return tail(log)
}

func tail(out []byte) string {
	out = bytes.TrimSpace(out)
	return string(out[max(0, len(out)-1000):])
}

// freePort returns a loopback port nobody listened on a moment ago.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
