package projection

import (
	"context"
	"database/sql"
	"maps"
	"sync/atomic"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store/database"
)

// A Snapshot is the documents at one position of the ledger. It never changes.
type Snapshot struct {
	Docs      int64 // position after the newest event in it
	Directory *writ.Directory
	seqs      map[string]int
}

// NewSnapshot returns the snapshot without documents.
func NewSnapshot() *Snapshot {
	return &Snapshot{Directory: writ.NewDirectory(), seqs: map[string]int{}}
}

// Seq returns the number of the last event of a document, also of a removed one.
func (s *Snapshot) Seq(stream string) int { return s.seqs[stream] }

// Next returns the snapshot at docs, a later position as a rule, by the
// documents changed since.
func (s *Snapshot) Next(ctx context.Context, q database.Querier, docs int64) (*Snapshot, error) {
	if s.Docs == docs {
		return s, nil
	}
	if s.Docs > docs { // an older copy of the database was put in its place
		s = NewSnapshot()
	}
	var events []writ.Event
	text := "SELECT e.record FROM documents d JOIN events e ON e.pos = d.pos WHERE d.pos >= $1 ORDER BY d.pos"
	err := database.Scan(ctx, q, text, []any{s.Docs}, func(scan database.Scanner) error {
		var record sql.RawBytes
		if err := scan(&record); err != nil {
			return err
		}
		e, err := writ.Decode(record)
		events = append(events, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.With(docs, events...)
}

// With returns the snapshot with events of documents, as it is at docs.
func (s *Snapshot) With(docs int64, events ...writ.Event) (*Snapshot, error) {
	dir, err := s.Directory.With(events...)
	if err != nil {
		return nil, err
	}
	seqs := maps.Clone(s.seqs)
	for _, e := range events {
		seqs[e.Stream] = e.Seq
	}
	return &Snapshot{docs, dir, seqs}, nil
}

// Newest is the newest snapshot that is known. It is safe for concurrent use.
type Newest struct{ atomic.Pointer[Snapshot] }

// Refresh brings it up to what q sees.
func (n *Newest) Refresh(ctx context.Context, q database.Querier) error {
	s := n.Load()
	if s == nil {
		s = NewSnapshot()
	}
	var docs int64
	err := database.ScanOne(ctx, q, "SELECT docs FROM head", nil, &docs)
	if err == nil {
		s, err = s.Next(ctx, q, docs)
	}
	if err == nil {
		n.Show(s)
	}
	return err
}

// Show makes s the newest, unless a newer one is.
func (n *Newest) Show(s *Snapshot) {
	for {
		old := n.Load()
		if old != nil && old.Docs >= s.Docs || n.CompareAndSwap(old, s) {
			return
		}
	}
}
