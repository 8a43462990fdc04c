//go:build unix

package server

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// An account is somebody other than root to run a system as.
type account struct {
	name     string
	uid, gid int
}

// unprivileged returns the first of names that exists, or nil where we are not
// root and so run everything as ourselves.
func unprivileged(names ...string) (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range names {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.Atoi(u.Uid)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.Atoi(u.Gid)
		return &account{name, uid, gid}, err
	}
	return nil, fmt.Errorf("none of the users %q exists, and root may not run it: %w", names, ErrMissing)
}

// runAs makes cmd run as a, out of reach of a terminal's interrupt, which is for
// us to handle.
func runAs(cmd *exec.Cmd, a *account) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if a != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
}

// own gives dir to a, who must be able to reach it.
func own(dir string, a *account) error {
	if a == nil {
		return nil
	}
	for parent := filepath.Dir(dir); ; parent = filepath.Dir(parent) {
		info, err := os.Stat(parent)
		if err != nil {
			return err
		}
		if info.Mode()&0o001 == 0 && int(info.Sys().(*syscall.Stat_t).Uid) != a.uid {
			return fmt.Errorf("user %s cannot enter %s; choose another directory or run chmod o+x on it", a.name, parent)
		}
		if parent == filepath.Dir(parent) {
			return os.Chown(dir, a.uid, a.gid)
		}
	}
}
