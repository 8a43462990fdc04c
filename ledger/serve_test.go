package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/writhq/writ/ledger"
)

// client reads a served log with nothing of this package: paths as the standard
// writes them, checkpoints by transparency-dev/formats, tiles by x/mod/sumdb.
type client struct {
	t   testing.TB
	url string
}

func (c client) get(path string) []byte {
	c.t.Helper()
	resp, err := http.Get(c.url + path)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		c.t.Fatalf("GET %s: %s %s %v", path, resp.Status, body, err)
	}
	return body
}

func (c client) Height() int                     { return 8 }
func (c client) SaveTiles([]tlog.Tile, [][]byte) {}
func (c client) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, t := range tiles {
		all = append(all, c.get(strings.Replace("/"+t.Path(), "/tile/8/", "/tile/", 1)))
	}
	return all, nil
}

// tree opens the served checkpoint.
func (c client) tree(vkey string) tlog.Tree {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		c.t.Fatal(err)
	}
	checkpoint, _, _, err := log.ParseCheckpoint(c.get("/checkpoint"), origin, verifier)
	if err != nil {
		c.t.Fatal(err)
	}
	return tlog.Tree{N: int64(checkpoint.Size), Hash: tlog.Hash(checkpoint.Hash)}
}

// entries reads a bundle byte by byte as the standard says.
func (c client) entries(n, width int64) []string {
	path := fmt.Sprintf("/tile/entries/%03d", n)
	if width < 256 {
		path += fmt.Sprintf(".p/%d", width)
	}
	var records []string
	for b := c.get(path); len(b) > 0; {
		size := int(b[0])<<8 | int(b[1])
		records = append(records, string(b[2:2+size]))
		b = b[2+size:]
	}
	return records
}

// TestClientWalksTheServedLog recomputes the root from served entries with
// transparency-dev/merkle, and reads every leaf hash through authenticated tiles.
func TestClientWalksTheServedLog(t *testing.T) {
	for _, size := range []int64{0, 1, 256, 700, 66_000} {
		j := newJournal(t, int(size))
		srv := httptest.NewServer(ledger.Handler(j))
		c := client{t, srv.URL}
		tree := c.tree(j.signer.VerifierKey())
		if tree.N != size {
			t.Fatalf("checkpoint has size %d, want %d", tree.N, size)
		}
		walk := (&compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}).NewEmptyRange(0)
		tiles := tlog.TileHashReader(tree, c)
		for n := int64(0); n*256 < size; n++ {
			var indexes []int64
			records := c.entries(n, min(size-n*256, 256))
			for i, record := range records {
				if err := walk.Append(rfc6962.DefaultHasher.HashLeaf([]byte(record)), nil); err != nil {
					t.Fatal(err)
				}
				indexes = append(indexes, tlog.StoredHashIndex(0, n*256+int64(i)))
			}
			hashes, err := tiles.ReadHashes(indexes)
			if err != nil {
				t.Fatal(err)
			}
			for i, record := range records {
				if hashes[i] != tlog.RecordHash([]byte(record)) {
					t.Fatalf("entry %d of bundle %d is not the leaf of its tile", i, n)
				}
			}
		}
		root, err := walk.GetRootHash(nil)
		if size == 0 {
			root = rfc6962.DefaultHasher.EmptyRoot()
		}
		if err != nil || tlog.Hash(root) != tree.Hash {
			t.Fatalf("root of the %d served entries is %x, signed is %s (%v)", size, root, tree.Hash, err)
		}
		srv.Close()
	}
}

const immutable = "max-age=31536000, immutable"

// pages are what is asked of a log of 700 records.
var pages = []struct {
	method, path string
	status       int
	cache        string
	length       int // of the body, where known
}{
	{"GET", "/checkpoint", 200, "max-age=2", 0},
	{"GET", "/tile/0/000", 200, immutable, 8192},
	{"GET", "/tile/0/000.p/7", 200, immutable, 7 * 32},
	{"GET", "/tile/0/002.p/188", 200, immutable, 188 * 32},
	{"GET", "/tile/0/002.p/1", 200, immutable, 32},
	{"GET", "/tile/1/000.p/2", 200, immutable, 64},
	{"HEAD", "/tile/0/000", 200, immutable, 0},
	{"GET", "/tile/entries/000", 200, immutable, 0},
	{"GET", "/tile/entries/002.p/2", 200, immutable, 2 * (2 + len("record 512"))},
	{"GET", "/tile/0/002.p/189", 404, "no-store", 0},
	{"GET", "/tile/0/002", 404, "no-store", 0},
	{"GET", "/tile/0/003.p/1", 404, "no-store", 0},
	{"GET", "/tile/1/000", 404, "no-store", 0},
	{"GET", "/tile/1/000.p/3", 404, "no-store", 0},
	{"GET", "/tile/2/000.p/1", 404, "no-store", 0},
	{"GET", "/tile/63/000", 404, "no-store", 0},
	{"GET", "/tile/0/x009/x223/x372/x036/x854/x775/807", 404, "no-store", 0},
	{"GET", "/tile/entries/002.p/189", 404, "no-store", 0},
	{"GET", "/tile/entries/003.p/1", 404, "no-store", 0},
	{"GET", "/", 404, "no-store", 0},
	{"GET", "/checkpoint/", 404, "no-store", 0},
	{"GET", "/tile/data/000", 400, "no-store", 0},
	{"GET", "/tile/0/0", 400, "no-store", 0},
	{"GET", "/tile/0/000.p/256", 400, "no-store", 0},
	{"GET", "/tile/0/../../checkpoint", 400, "no-store", 0},
	{"GET", "/tile/", 400, "no-store", 0},
	{"POST", "/checkpoint", 405, "no-store", 0},
	{"DELETE", "/tile/0/000", 405, "no-store", 0},
}

func TestServedPages(t *testing.T) {
	j := newJournal(t, 700)
	// a commit after the checkpoint that is served: wider tiles are stored
	_, tiles, err := j.edge.Append(numbered(700, 900))
	if err != nil {
		t.Fatal(err)
	}
	for _, tile := range tiles {
		j.tiles[place{tile.Level, tile.N}] = tile.Hashes
	}
	for _, test := range pages {
		rec := httptest.NewRecorder()
		ledger.Handler(j).ServeHTTP(rec, httptest.NewRequest(test.method, test.path, nil))
		if rec.Code != test.status || rec.Header().Get("Cache-Control") != test.cache {
			t.Errorf("%s %s: %d, cache %q, %s", test.method, test.path, rec.Code, rec.Header().Get("Cache-Control"), rec.Body)
		}
		if test.length > 0 && rec.Body.Len() != test.length {
			t.Errorf("%s %s: %d bytes, want %d", test.method, test.path, rec.Body.Len(), test.length)
		}
		kind := "application/octet-stream"
		if test.path == "/checkpoint" || test.status != 200 {
			kind = "text/plain; charset=utf-8"
		}
		if got := rec.Header(); got.Get("Content-Type") != kind || got.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s: headers %v", test.method, test.path, got)
		}
		if test.method == "HEAD" && (rec.Body.Len() > 0 || rec.Header().Get("Content-Length") != "8192") {
			t.Errorf("HEAD has a body of %d bytes, length %s", rec.Body.Len(), rec.Header().Get("Content-Length"))
		}
	}
}

func TestEntriesAreCompressedOnRequest(t *testing.T) {
	j := newJournal(t, 300)
	srv := httptest.NewServer(ledger.Handler(j))
	defer srv.Close()
	plain := client{t, srv.URL}.get("/tile/entries/000") // the client asks for gzip and unpacks it
	for accept, want := range map[string]string{"gzip": "gzip", "": "", "br": ""} {
		req := httptest.NewRequest("GET", "/tile/entries/000", nil)
		req.Header.Set("Accept-Encoding", accept)
		rec := httptest.NewRecorder()
		ledger.Handler(j).ServeHTTP(rec, req)
		if got := rec.Header(); got.Get("Content-Encoding") != want || got.Get("Vary") != "Accept-Encoding" {
			t.Errorf("accept %q: %v", accept, got)
		}
		if want == "" && rec.Body.String() != string(plain) || want == "gzip" && rec.Body.Len() >= len(plain) {
			t.Errorf("accept %q: %d bytes, plain are %d", accept, rec.Body.Len(), len(plain))
		}
	}
}

// faultySource is a log of which one part cannot be read, or is wrong.
type faultySource struct {
	*journal
	note    string
	noteErr error
	err     error
	short   bool
}

func (s faultySource) Checkpoint(ctx context.Context) (string, error) {
	if s.note != "" {
		return s.note, nil
	}
	note, _ := s.journal.Checkpoint(ctx)
	return note, s.noteErr
}

func (s faultySource) Tile(ctx context.Context, level int, n int64) ([]byte, error) {
	if s.short {
		return nil, s.err
	}
	hashes, _ := s.journal.Tile(ctx, level, n)
	return hashes, s.err
}

func (s faultySource) Entries(ctx context.Context, from, to int64) ([][]byte, error) {
	if s.short {
		to--
	}
	records, _ := s.journal.Entries(ctx, from, to)
	return records, s.err
}

func TestFaultySourceIsNotServed(t *testing.T) {
	j := newJournal(t, 300)
	secret := errors.New("password of the database is wrong")
	tooLong := newJournal(t, 300)
	tooLong.records[5] = make([]byte, ledger.MaxRecord+1)
	var logged bytes.Buffer
	was := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&logged, nil)))
	t.Cleanup(func() { slog.SetDefault(was) })
	for _, test := range []struct {
		path   string
		source ledger.Source
	}{
		{"/checkpoint", faultySource{journal: j, noteErr: secret}},
		{"/tile/0/000", faultySource{journal: j, noteErr: secret}},
		{"/tile/0/000", faultySource{journal: j, note: "not a checkpoint"}},
		{"/tile/0/000", faultySource{journal: j, err: secret}},
		{"/tile/0/000", faultySource{journal: j, short: true}},
		{"/tile/entries/000", faultySource{journal: j, err: secret}},
		{"/tile/entries/000", faultySource{journal: j, short: true}},
		{"/tile/entries/000", tooLong},
	} {
		rec := httptest.NewRecorder()
		ledger.Handler(test.source).ServeHTTP(rec, httptest.NewRequest("GET", test.path, nil))
		if !strings.Contains(logged.String(), "path="+test.path) {
			t.Errorf("%s: logged %q", test.path, &logged)
		}
		logged.Reset()
		if rec.Code != 500 || rec.Header().Get("Cache-Control") != "no-store" || strings.Contains(rec.Body.String(), "password") {
			t.Errorf("%s of %+v: %d %q %s", test.path, test.source, rec.Code, rec.Header().Get("Cache-Control"), rec.Body)
		}
	}
}
