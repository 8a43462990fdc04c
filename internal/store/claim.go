package store

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store/database"
)

// A Job is a task that is due and that the caller holds until a moment.
type Job struct {
	ID    writ.ID
	Task  writ.Task
	Until time.Time
}

// Claim takes at most n tasks that are due and that nobody holds, the longest
// due first. They are the caller's until the lease ends; a worker that dies
// holds nothing after that, and the task is simply due again. While a call to
// the target is under way (Request.InFlight) an Update leaves the claim as it
// is; any other that changes the request ends it.
func (db *DB) Claim(ctx context.Context, n int, lease time.Duration) ([]Job, error) {
	var any int
	err := db.data.Read.QueryRowContext(ctx, "SELECT count(*) FROM (SELECT 1 FROM states WHERE due <= $1 AND busy <= $1 LIMIT 1) AS due", now().UnixMicro()).Scan(&any)
	if err != nil || any == 0 || n <= 0 {
		return nil, database.Explain(err) // looking costs no commit
	}
	var jobs []Job
	_, err = db.do(&work{ctx: ctx, direct: func(b *batch) (err error) {
		jobs, err = b.claim(n, lease)
		return err
	}})
	if err != nil {
		return nil, err
	}
	return jobs, nil
}

func (b *batch) claim(n int, lease time.Duration) ([]Job, error) {
	type taken struct {
		Job
		due int64
	}
	var all []taken
	until := b.now.Add(lease)
	err := database.Scan(b.ctx, b.conn, `UPDATE states SET busy = $1 WHERE request IN (
		SELECT request FROM states WHERE due <= $2 AND busy <= $2 ORDER BY due LIMIT $3) RETURNING request, task, due`,
		[]any{until.UnixMicro(), b.now.UnixMicro(), n}, func(scan database.Scanner) error {
			t := taken{Job: Job{Until: until}}
			err := scan(&t.ID, &t.Task, &t.due)
			all = append(all, t)
			return err
		})
	b.wrote = b.wrote || len(all) > 0
	slices.SortFunc(all, func(x, y taken) int { return cmp.Compare(x.due, y.due) })
	var jobs []Job
	for _, t := range all {
		jobs = append(jobs, t.Job)
	}
	return jobs, err
}

// Release lets go of a claimed task. It is due again at retry. A task that the
// caller holds no longer is left as it is: another may hold it by now.
func (db *DB) Release(ctx context.Context, job Job, retry time.Time) error {
	_, err := db.do(&work{ctx: ctx, direct: func(b *batch) error {
		b.wrote = true
		b.conn.Exec("UPDATE states SET busy = $1 WHERE request = $2 AND busy = $3", retry.UnixMicro(), string(job.ID), job.Until.UnixMicro())
		return nil
	}})
	if err == nil && !retry.After(now()) {
		db.ring()
	}
	return err
}

// Due delivers whenever something became due in this process. It is for waking
// one who claims; who works for other processes, or for what becomes due by
// the clock, claims from time to time as well.
func (db *DB) Due() <-chan struct{} { return db.due }

func (db *DB) ring() {
	select {
	case db.due <- struct{}{}:
	default: // it rings already
	}
}
