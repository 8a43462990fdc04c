package store

import (
	"testing"

	"github.com/writhq/writ"
)

func TestLifeOfARequest(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		r := active(t, db, 1)
		if r.Status != writ.StatusActive {
			t.Fatal(r.Status)
		}
		got, err := db.Get(t.Context(), r.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := diffRequests(r, got); diff != "" {
			t.Error(diff)
		}
		r = must(t, db, closing(r.ID)...)
		if r.Status != writ.StatusClosed {
			t.Fatal(r.Status)
		}
		entries, err := db.Events(t.Context(), string(r.ID))
		if err != nil || len(entries) != r.Seq {
			t.Fatalf("%d events, want %d: %v", len(entries), r.Seq, err)
		}
		verify(t, db)
	})
}
