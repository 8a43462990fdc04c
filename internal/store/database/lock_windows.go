package database

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/writhq/writ"
)

// A fileLock is the lock on a SQLite database. The system lets go of it when the
// process ends, however it ends.
type fileLock struct{ handle syscall.Handle }

const sharingViolation syscall.Errno = 32

// lockFile takes the database for this process alone: SQLite would let two
// write, but each would decide on what it remembers.
func lockFile(path string) (*fileLock, error) {
	name, err := syscall.UTF16PtrFromString(path + ".lock")
	if err != nil {
		return nil, fmt.Errorf("sqlite: %q: %w", path, err)
	}
	const alone = 0 // shared with nobody
	h, err := syscall.CreateFile(name, syscall.GENERIC_WRITE, alone, nil, syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, sharingViolation) {
		return nil, writ.Errorf(writ.Unavailable, "sqlite: %s is in use by another process; stop that one first, or use PostgreSQL to run several", path)
	}
	if err != nil {
		return nil, writ.Errorf(writ.Unavailable, "sqlite: %s cannot be locked: %v; make its folder, and let this user write there", path, err)
	}
	return &fileLock{h}, nil
}

func (l *fileLock) release() error {
	if l == nil {
		return nil
	}
	return syscall.CloseHandle(l.handle)
}
