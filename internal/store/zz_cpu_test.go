package store

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

func selfCPU() float64 {
	var u syscall.Rusage
	syscall.Getrusage(0, &u)
	return float64(u.Utime.Sec+u.Stime.Sec)*1e6 + float64(u.Utime.Usec+u.Stime.Usec)
}

func pgCPU(t testing.TB, db *DB) float64 {
	if !db.data.Shared {
		return 0
	}
	rows, err := db.data.Read.Query("SELECT pid FROM pg_stat_activity WHERE datname = current_database() OR backend_type in ('walwriter','checkpointer','background writer')")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var sum float64
	for rows.Next() {
		var pid int
		rows.Scan(&pid)
		data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		_, rest, _ := strings.Cut(string(data), ") ")
		f := strings.Fields(rest)
		var ut, st float64
		fmt.Sscan(f[11], &ut)
		fmt.Sscan(f[12], &st)
		sum += (ut + st) * 1e4
	}
	return sum
}
