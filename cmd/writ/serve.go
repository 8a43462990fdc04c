package main

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

	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/config"
	"github.com/writhq/writ/internal/document"
)

// serveCmd starts a server.
func serveCmd() *cobra.Command {
	var file string
	var flags config.Config
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Start a server",
		Long: `Start a server: API, work and ledger in one process.

With --dev the server is its own issuer, on this machine only, and starts with
a sample organisation: anybody on this machine can be anybody in it.
Otherwise --config names a file; docs/reference/config.md explains it.`,
		Example: `  writ serve --dev --data /tmp/writ
  writ serve --config /etc/writ.yaml
  writ serve --config /etc/writ.yaml --db postgres://writ@db/writ`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg := config.Config{}
			if file != "" {
				var err error
				if cfg, err = config.Read(file); err != nil {
					return writ.Errorf(writ.Invalid, "%v", err)
				}
			}
			return serve(cmd.Context(), overlay(cfg, flags))
		},
	}
	f := cmd.Flags()
	f.StringVar(&file, "config", "", "configuration file")
	f.BoolVar(&flags.Dev, "dev", false, "be one's own issuer, with a sample organisation, on this machine only")
	f.StringVar(&flags.Data, "data", "", "directory of the embedded database, keys and secrets")
	f.StringVar(&flags.Listen, "listen", "", "address to listen at (default 127.0.0.1:7480)")
	f.StringVar(&flags.DB, "db", "", "postgres://… instead of the embedded database")
	f.StringVar(&flags.Keys, "keys", "", "key file (default DATA/writ.keys); replicas share one")
	f.StringVar(&flags.Log, "log", "", "log as text or json (default text with --dev, else json)")
	return cmd
}

// overlay lets flags win over the file.
func overlay(c, flags config.Config) config.Config {
	for _, f := range []struct {
		to   *string
		from string
	}{{&c.Data, flags.Data}, {&c.Listen, flags.Listen}, {&c.DB, flags.DB}, {&c.Keys, flags.Keys}, {&c.Log, flags.Log}} {
		if f.from != "" {
			*f.to = f.from
		}
	}
	c.Dev = flags.Dev
	if c.Dev && c.Log == "" {
		c.Log = "text"
	}
	return c
}

func serve(ctx context.Context, cfg config.Config) error {
	cfg, err := cfg.Complete()
	if err != nil {
		return writ.Errorf(writ.Invalid, "%v", err)
	}
	ln, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return writ.Errorf(writ.Unavailable, "%v; choose another address with --listen", err)
	}
	defer ln.Close()
	if host, port, err := net.SplitHostPort(cfg.Listen); err == nil && port == "0" {
		_, port, _ = net.SplitHostPort(ln.Addr().String())
		cfg.Listen = net.JoinHostPort(host, port)
		cfg.URL = "http://" + cfg.Listen
	}
	log := newLogger(cfg.Log)
	s, err := openServer(ctx, cfg, log, nil)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "writ %s serves %s\n", version(), cfg.URL)
	return errors.Join(s.Run(ctx, ln), s.Close())
}

func newLogger(format string) *slog.Logger {
	if format == "text" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, nil))
}

// Run serves and works until ctx ends, and then until what is under way has ended.
func (s *server) Run(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h := &http.Server{
		Handler: s.handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: 90 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelInfo),
	}
	var working sync.WaitGroup
	defer working.Wait()
	if !s.cfg.Worker.Off {
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

func (s *server) listen(h *http.Server, ln net.Listener) error {
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
