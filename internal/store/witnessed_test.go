package store

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/writhq/writ"
)

// TestWitnessedOnlyGrows: an older checkpoint that comes late replaces nothing,
// and one that this ledger does not have is not kept.
func TestWitnessedOnlyGrows(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		if size, note, err := db.Witnessed(t.Context()); size != 0 || note != "" || err != nil {
			t.Fatalf("%d %q %v", size, note, err)
		}
		old, err := db.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		put(t, db, writ.Group{Header: writ.Header{Kind: "group", Name: "late"}})
		head, err := db.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		const cosigned = "— witness.example AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"
		for _, note := range []string{head.Checkpoint, old.Checkpoint, head.Checkpoint + cosigned, old.Checkpoint + cosigned} {
			if err := db.KeepWitnessed(t.Context(), note); err != nil {
				t.Fatal(err)
			}
		}
		if size, note, err := db.Witnessed(t.Context()); size != head.Size || note != head.Checkpoint+cosigned || err != nil {
			t.Fatalf("%d %q %v, want %d", size, note, err, head.Size)
		}
		ahead, err := db.Log.Sign(head.Size+1, [32]byte{1})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.KeepWitnessed(t.Context(), ahead); !errors.Is(err, writ.Conflict) {
			t.Errorf("a checkpoint beyond the ledger: %v", err)
		}
		if err := db.KeepWitnessed(t.Context(), "nonsense"); !errors.Is(err, writ.Invalid) {
			t.Errorf("no checkpoint at all: %v", err)
		}
	})
}

// TestVerifyHoldsTheLedgerAgainstWhatWasWitnessed: a tail that is dropped with
// all that the ledger says of itself still contradicts it.
func TestVerifyHoldsTheLedgerAgainstWhatWasWitnessed(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "writ.db"))
	begin(t, db)
	head, err := db.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := db.KeepWitnessed(t.Context(), head.Checkpoint); err != nil {
		t.Fatal(err)
	}
	fork, err := db.Log.Sign(head.Size, [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	broken(t, db, do("UPDATE witnessed SET note = '%s'", fork), 1, "forked")
	ahead, err := db.Log.Sign(head.Size+3, [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	broken(t, db, do("UPDATE witnessed SET size = size + 3, note = '%s'", ahead), head.Size, "truncated")
}
