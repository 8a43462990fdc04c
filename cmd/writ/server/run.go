package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/document"
)

// NewLogger returns a logger to standard error, as text or JSON.
func NewLogger(format string) *slog.Logger {
	if format == "text" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, nil))
}

// Serve listens, opens a server or a provisioner, and runs it until ctx ends.
func Serve(ctx context.Context, c Config, open func(context.Context, Config) (*Server, error)) error {
	ln, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return writ.Errorf(writ.Unavailable, "%v; choose another address with --listen", err)
	}
	defer ln.Close()
	if host, port, err := net.SplitHostPort(c.Listen); err == nil && port == "0" {
		_, port, _ = net.SplitHostPort(ln.Addr().String())
		c.Listen = net.JoinHostPort(host, port)
		c.URL = "http://" + c.Listen
	}
	s, err := open(ctx, c)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "writ %s serves %s\n", c.Version, c.URL)
	return errors.Join(s.Run(ctx, ln), s.Close())
}

// Run serves and works until ctx ends, and then until what is under way has ended.
func (s *Server) Run(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h := &http.Server{
		Handler: s.handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: 90 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelInfo),
	}
	var working sync.WaitGroup
	defer working.Wait()
	if s.pages != nil {
		working.Go(func() { s.pages.Sweep(ctx) })
	}
	if s.worker != nil {
		working.Go(func() { s.worker.Run(ctx) })
	}
	if s.witness != nil {
		working.Go(func() { s.witness.Run(ctx) })
	}
	working.Go(func() {
		<-ctx.Done()
		end, stop := context.WithTimeout(context.WithoutCancel(ctx), stopIn)
		defer stop()
		_ = h.Shutdown(end) // long polls that outlast it are cut
	})
	err := s.listen(h, ln)
	cancel()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// stopIn is how long answers that are under way may take when the server stops.
const stopIn = 5 * time.Second

func (s *Server) listen(h *http.Server, ln net.Listener) error {
	if s.cfg.TLS.Cert != "" {
		return h.ServeTLS(ln, s.cfg.TLS.Cert, s.cfg.TLS.Key)
	}
	return h.Serve(ln)
}

// readDocuments reads a file, or every document file below a directory.
func readDocuments(path string) ([]json.RawMessage, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, writ.Errorf(writ.Invalid, "documents: %v", err)
	}
	if info.IsDir() {
		return document.ParseFS(os.DirFS(path), ".")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, writ.Errorf(writ.Invalid, "documents: %v", err)
	}
	return document.Parse(path, data)
}
