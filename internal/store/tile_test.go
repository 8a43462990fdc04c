package store

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/writhq/writ/ledger"
)

var _ ledger.Source = (*DB)(nil)

func TestLedgerIsServedAndProven(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		for n := range 260 { // more than one tile
			submit(t, db, n)
		}
		r := authorized(t, db, 1)
		entries, err := db.Events(t.Context(), string(r.ID))
		if err != nil {
			t.Fatal(err)
		}
		note, err := db.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		vkey := db.Log.VerifierKey()
		for _, e := range entries {
			p, err := ledger.Prove(t.Context(), db, e.Pos, e.Record, note, vkey)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Verify(e.Record, vkey); err != nil {
				t.Error(err)
			}
		}
		c, err := ledger.OpenCheckpoint(note, vkey)
		if err != nil {
			t.Fatal(err)
		}
		srv := httptest.NewServer(ledger.Handler(db))
		defer srv.Close()
		last := (c.Size - 1) / ledger.TileWidth
		for _, path := range []string{
			"checkpoint", ledger.Path(0, 0, ledger.TileWidth), ledger.Path(1, 0, int(c.Size/ledger.TileWidth)),
			ledger.Path(ledger.Entries, last, int(c.Size-last*ledger.TileWidth)),
		} {
			res, err := http.Get(srv.URL + "/" + path)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || res.StatusCode != http.StatusOK || len(body) == 0 {
				t.Errorf("%s: %s, %d bytes, %v", path, res.Status, len(body), err)
			}
		}
		http.DefaultClient.CloseIdleConnections()
	})
}
