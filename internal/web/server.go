// Package web serves the API over HTTP: one table of routes, from which the
// OpenAPI document is made, and one adapter for all of them.
package web

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/door"
)

// Config is what a server stands on.
type Config struct {
	Door    *door.Door
	Who     func(ctx context.Context, token string) (writ.Party, error)      // whom a bearer token speaks for
	Session func(*http.Request) (who writ.Party, since time.Time, err error) // who is signed in in the browser that sends a request, if anybody; nil: nobody is
	Origin  string                                                           // of the server's own pages: no other page may act for who is signed in
	Ready   func(context.Context) error                                      // why the server cannot serve now
	Version string
	Mounts  map[string]http.Handler // further handlers, by pattern of http.ServeMux
	Logger  *slog.Logger
}

type server struct{ Config }

// New returns the handler of all of it.
func New(c Config) http.Handler {
	s := &server{c}
	mux := http.NewServeMux()
	api := humago.New(mux, s.openAPI())
	s.routes(api)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.HandleFunc("/", s.unknown)
	for pattern, h := range c.Mounts {
		mux.Handle(pattern, h)
	}
	return http.MaxBytesHandler(s.guarded(s.sessions(mux)), maxBody)
}

const maxBody = 4 << 20 // a whole organisation's documents in one call

func (s *server) openAPI() huma.Config {
	c := huma.DefaultConfig("Writ", s.Version)
	c.DocsPath, c.SchemasPath, c.CreateHooks = "", "", nil
	c.Info.Description = "How a non-human identity gets access to a real system, and how that access ends."
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"bearer": {Type: "http", Scheme: "bearer", BearerFormat: "JWT"}}
	huma.NewError = newProblem // its own repeats rejected values, which may be secrets
	return c
}

// guarded sets what holds for every answer, and turns a panic into a problem.
func (s *server) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cache-Control", "no-store")
		defer func() {
			if p := recover(); p != nil {
				s.Logger.ErrorContext(r.Context(), "panic", "path", r.URL.Path, "panic", p)
				write(w, &Problem{Type: "urn:writ:problem:internal", Title: "internal error", Status: http.StatusInternalServerError})
			}
		}()
		next.ServeHTTP(w, r)
	})
}

func (s *server) ready(w http.ResponseWriter, r *http.Request) {
	if err := s.Ready(r.Context()); err != nil {
		write(w, s.problem(r.Context(), err))
		return
	}
	w.Write([]byte("ready\n"))
}

func (s *server) unknown(w http.ResponseWriter, r *http.Request) {
	write(w, s.problem(r.Context(), writ.Errorf(writ.NotFound, "there is nothing at %s %s; /openapi.json lists what there is", r.Method, r.URL.Path)))
}
