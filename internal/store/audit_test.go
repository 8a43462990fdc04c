package store

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/audit"
	"github.com/writhq/writ/evidence"
	"github.com/writhq/writ/ledger"
)

var _ interface {
	evidence.Source
	audit.Ledger
} = (*DB)(nil)

// committing puts a hash on record, decided on the ledger's stream as it was.
func committing(digit string, stream []Entry) Change {
	var events []writ.Event
	for _, e := range stream {
		events = append(events, e.Event)
	}
	return Change{Decide: func(_ writ.Request, f writ.Facts) ([]writ.Event, error) {
		f.Actor, f.Authority.Audit = writ.System, true
		return writ.DecideCommit(writ.CommitNonce{Hash: writ.Digest("sha256:" + strings.Repeat(digit, 64))}, events, f)
	}}
}

// TestLedgersOwnStream takes events of the ledger itself one after the other,
// whoever decides them, and holds their history.
func TestLedgersOwnStream(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		stream := func() []Entry {
			t.Helper()
			out, err := db.Events(t.Context(), writ.LedgerStream)
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		old := stream()
		if _, err := db.Update(t.Context(), committing("a", old)); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Update(t.Context(), committing("b", old)); !errors.Is(err, writ.Conflict) {
			t.Errorf("decided on a stream that has gone on: %v", err)
		}
		now := stream()
		_, errs := together(t, db, committing("c", now), committing("d", now))
		if errs[0] != nil || !errors.Is(errs[1], writ.Conflict) {
			t.Errorf("two at once: %v", errs)
		}
		if now = stream(); len(now) != 3 || now[2].Event.Seq != 3 {
			t.Errorf("the stream is %v", now)
		}
		if err := db.Rebuild(t.Context(), nil); err != nil {
			t.Error(err)
		}
	})
}

// TestKeptCheckpoints finds the one before and the one after a place or a time.
func TestKeptCheckpoints(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		start := time.Now()
		submit(t, db, 1)
		kept := func(size int64, at time.Time, after bool) (n int64) {
			t.Helper()
			note, err := db.Kept(t.Context(), size, at, after)
			if err != nil {
				t.Fatal(err)
			}
			if note == "" {
				return -1
			}
			c, err := ledger.OpenCheckpoint(note, db.Log.VerifierKey())
			if err != nil {
				t.Fatal(err)
			}
			return c.Size
		}
		for _, d := range []struct {
			size  int64
			at    time.Time
			after bool
			want  int64
		}{
			{1 << 40, start.Add(time.Hour), false, 1}, // kept once a minute: the first alone
			{0, start.Add(time.Hour), false, -1},
			{1 << 40, start.Add(-time.Hour), false, -1},
			{1, time.UnixMicro(0), true, 1},
			{2, time.UnixMicro(0), true, -1},
			{0, start.Add(time.Hour), true, -1},
		} {
			if got := kept(d.size, d.at, d.after); got != d.want {
				t.Errorf("%d records, %s, after %t: the checkpoint of %d, want %d", d.size, d.at.Sub(start), d.after, got, d.want)
			}
		}
	})
}

// TestStreams names the documents of one kind, also those that are no more.
func TestStreams(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		streams, err := db.Streams(t.Context(), "target")
		if err != nil || len(streams) != 2 {
			t.Errorf("targets: %v, %v", streams, err)
		}
		for _, s := range streams {
			if !strings.HasPrefix(s, "target:") {
				t.Errorf("%s is no target", s)
			}
		}
	})
}
