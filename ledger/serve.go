package ledger

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// A Source is a stored log, as Handler serves it.
type Source interface {
	Tiles

	// Checkpoint returns the newest checkpoint, a signed note. All that it
	// covers can be read from the moment it is returned. An empty log has one
	// too, of size 0.
	Checkpoint(ctx context.Context) (string, error)

	// Entries returns the records from, from+1, … to-1: at most TileWidth.
	Entries(ctx context.Context, from, to int64) ([][]byte, error)
}

// Handler serves a log as c2sp.org/tlog-tiles says: GET /checkpoint,
// /tile/<level>/<n> and /tile/entries/<n>, full or partial (.p/<width>), up to
// what the newest checkpoint covers. A path below /tile/ that is none of these
// is answered with 400, a tile that is not there yet with 404. An error of the
// source is logged and answered with 500, without its text.
//
// Whoever mounts it strips the log's prefix and decides who may read: records are
// served as they are.
func Handler(source Source) http.Handler { return server{source} }

type server struct{ source Source }

// A page is an answer, and what a client has to know of it.
type page struct {
	body     []byte
	kind     string // content type
	cache    string
	compress bool
}

// A refusal is what a client gets instead of a page.
type refusal struct {
	status int
	reason string
}

func (r refusal) Error() string { return r.reason }

func (s server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	p, err := s.get(r)
	var refused refusal
	switch {
	case err == nil:
		p.write(w, r)
		return
	case errors.As(err, &refused):
	default:
		slog.ErrorContext(r.Context(), "ledger: serve", "path", r.URL.Path, "err", err)
		refused = refusal{http.StatusInternalServerError, "ledger: cannot be read now; try again later"}
	}
	w.Header().Set("Cache-Control", "no-store")
	if refused.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", "GET, HEAD")
	}
	http.Error(w, refused.reason, refused.status)
}

func (s server) get(r *http.Request) (page, error) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return page{}, refusal{http.StatusMethodNotAllowed, "ledger: can only be read"}
	case path != "checkpoint" && !strings.HasPrefix(path, "tile/"):
		return page{}, refusal{http.StatusNotFound, "ledger: serves checkpoint and tile/ only"}
	}
	note, err := s.source.Checkpoint(r.Context())
	if err != nil {
		return page{}, err
	}
	if path == "checkpoint" {
		return page{[]byte(note), "text/plain; charset=utf-8", "max-age=2", false}, nil
	}
	return s.tile(r.Context(), path, note)
}

func (s server) tile(ctx context.Context, path, note string) (page, error) {
	level, n, width, err := ParsePath(path)
	if err != nil {
		return page{}, refusal{http.StatusBadRequest, err.Error()}
	}
	text, _, _ := strings.Cut(note, "\n\n")
	c, err := parseCheckpoint(text + "\n")
	if err != nil {
		return page{}, err
	}
	if has := widthAt(c.Size, level, n); width > has {
		return page{}, refusal{http.StatusNotFound, fmt.Sprintf("ledger: %s is not there yet: in a log of %d records it has a width of %d", path, c.Size, has)}
	}
	p := page{kind: "application/octet-stream", cache: "max-age=31536000, immutable", compress: level == Entries}
	if level == Entries {
		p.body, err = s.entries(ctx, n*TileWidth, width)
		return p, err
	}
	if p.body, err = s.source.Tile(ctx, level, n); err != nil {
		return page{}, err
	}
	if len(p.body) < width*tlog.HashSize {
		return page{}, fmt.Errorf("ledger: %s: the checkpoint of %d records covers %d hashes, %d bytes are stored", path, c.Size, width, len(p.body))
	}
	p.body = p.body[:width*tlog.HashSize]
	return p, nil
}

func (s server) entries(ctx context.Context, from int64, width int) ([]byte, error) {
	records, err := s.source.Entries(ctx, from, from+int64(width))
	if err != nil {
		return nil, err
	}
	if len(records) != width {
		return nil, fmt.Errorf("ledger: %d records are stored from %d on, not %d", len(records), from, width)
	}
	var bundle []byte
	for _, record := range records {
		if bundle, err = AppendEntry(bundle, record); err != nil {
			return nil, err
		}
	}
	return bundle, nil
}

func (p page) write(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", p.kind)
	h.Set("Cache-Control", p.cache)
	if p.compress {
		h.Set("Vary", "Accept-Encoding")
	}
	if p.compress && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		p.body = zip(p.body)
	}
	h.Set("Content-Length", strconv.Itoa(len(p.body)))
	if r.Method != http.MethodHead {
		w.Write(p.body) // an error is the client's: it has gone
	}
}

func zip(body []byte) []byte {
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	z.Write(body) // a buffer takes everything
	z.Close()
	return buf.Bytes()
}
