//go:build unix

package database

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/writhq/writ"
)

// A fileLock is the lock on a SQLite database. The system lets go of it when the
// process ends, however it ends.
type fileLock struct{ f *os.File }

// lockFile takes the database for this process alone: SQLite would let two
// write, but each would decide on what it remembers.
func lockFile(path string) (*fileLock, error) {
	f, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, writ.Errorf(writ.Unavailable, "sqlite: %s cannot be locked: %v; make its folder, and let this user write there", path, err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = writ.Errorf(writ.Unavailable, "sqlite: %s is in use by another process; stop that one first, or use PostgreSQL to run several", path)
	} else if err != nil {
		err = fmt.Errorf("sqlite: %s cannot be locked: %w; keep it on a local disk", path, err)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &fileLock{f}, nil
}

func (l *fileLock) release() error {
	if l == nil {
		return nil
	}
	return l.f.Close()
}
