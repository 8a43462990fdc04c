package store

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// spent returns the processor time used so far by this process, and by the
// server of its database where that is another.
func spent(t testing.TB, db *DB) (own, server time.Duration) {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	own = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	if !db.data.Shared {
		return own, 0
	}
	rows, err := db.data.Read.Query("SELECT pid FROM pg_stat_activity WHERE datname = current_database() OR datname IS NULL")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var pid int
		if err := rows.Scan(&pid); err != nil {
			t.Fatal(err)
		}
		server += ticks(pid)
	}
	return own, server
}

// ticks returns the processor time of a process, proc(5).
func ticks(pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if err != nil || len(fields) < 13 {
		return 0 // it has ended
	}
	var user, system int64
	fmt.Sscan(fields[11], &user)
	fmt.Sscan(fields[12], &system)
	return time.Duration(user+system) * 10 * time.Millisecond
}
