//go:build !unix

package server

import (
	"fmt"
	"os/exec"
	"runtime"
)

// An account is never needed here: nothing is started.
type account struct{}

func unprivileged(...string) (*account, error) {
	return nil, fmt.Errorf("%s: %w", runtime.GOOS, ErrMissing)
}

func runAs(*exec.Cmd, *account) {}

func own(string, *account) error { return nil }
