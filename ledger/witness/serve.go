package witness

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
)

// Path returns where below its URL a witness serves the newest checkpoint that
// it cosigned of a log.
func Path(origin string) string {
	sum := sha256.Sum256([]byte(origin))
	return hex.EncodeToString(sum[:]) + "/checkpoint"
}

// Handler serves a witness: POST /add-checkpoint, GET /<origin hash>/checkpoint,
// and GET /healthz. An error that is no Refusal is logged and answered with 500,
// without its text. The caller bounds how long a request may take to arrive.
func (w *Witness) Handler(log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", func(rw http.ResponseWriter, r *http.Request) { w.add(rw, r, log) })
	for origin := range w.logs {
		mux.HandleFunc("GET /"+Path(origin), func(rw http.ResponseWriter, r *http.Request) { w.latest(rw, r, origin, log) })
	}
	mux.HandleFunc("GET /healthz", func(rw http.ResponseWriter, _ *http.Request) { io.WriteString(rw, "ok\n") })
	return mux
}

func (w *Witness) add(rw http.ResponseWriter, r *http.Request, log *slog.Logger) {
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxRequest))
	if err != nil {
		fail(rw, r, refuse(400, "the request cannot be read, or is longer than %d bytes", maxRequest), log)
		return
	}
	request, err := ParseRequest(string(body))
	if err != nil {
		fail(rw, r, refuse(400, "%v", err), log)
		return
	}
	lines, err := w.Add(r.Context(), request)
	if err != nil {
		fail(rw, r, err, log)
		return
	}
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(rw, lines)
}

func (w *Witness) latest(rw http.ResponseWriter, r *http.Request, origin string, log *slog.Logger) {
	note, err := w.Latest(r.Context(), origin)
	if err == nil && note == "" {
		err = refuse(404, "no checkpoint of %q was cosigned yet", origin)
	}
	if err != nil {
		fail(rw, r, err, log)
		return
	}
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	rw.Header().Set("Cache-Control", "no-store")
	io.WriteString(rw, note)
}

// fail answers with a refusal, and logs one that may show that a log misbehaves.
func fail(rw http.ResponseWriter, r *http.Request, err error, log *slog.Logger) {
	refusal, ok := errors.AsType[Refusal](err)
	switch {
	case errors.Is(err, Moved):
		refusal = Refusal{Status: http.StatusServiceUnavailable, Why: err.Error()}
	case !ok:
		log.ErrorContext(r.Context(), "a request could not be answered", "err", err)
		refusal = Refusal{Status: http.StatusInternalServerError, Why: "internal error"}
	case refusal.Status == http.StatusUnprocessableEntity:
		log.ErrorContext(r.Context(), "ALARM: a log asked to cosign what does not continue it", "err", err)
	}
	if refusal.Status == http.StatusConflict {
		rw.Header().Set("Content-Type", "text/x.tlog.size")
		rw.WriteHeader(refusal.Status)
		fmt.Fprintf(rw, "%d\n", refusal.Size)
		return
	}
	http.Error(rw, refusal.Why, refusal.Status)
}
