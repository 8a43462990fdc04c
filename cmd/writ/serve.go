package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"

	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/cmd/writ/server"
	"github.com/writhq/writ/internal/config"
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
	s, err := server.Open(ctx, parts(cfg, server.NewLogger(cfg.Log), nil))
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "writ %s serves %s\n", version(), cfg.URL)
	return errors.Join(s.Run(ctx, ln), s.Close())
}

// parts is what a server of this program stands on. The sample organisation of a
// development server has this orders database, or its own if that is nil.
func parts(cfg config.Config, log *slog.Logger, ordersDB []byte) server.Config {
	return server.Config{
		Config: cfg, Version: version(), Connectors: connectors, Logger: log,
		Sample: func() ([]json.RawMessage, error) { return sampleDocuments(ordersDB) },
	}
}
