package main

import (
	"context"
	"encoding/json"
	"log/slog"

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
Otherwise --config names a file; docs/reference/config.md explains it. Grants can
be left to a process of its own: see 'writ provisioner'.`,
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
	return server.Serve(ctx, parts(cfg, server.NewLogger(cfg.Log), nil), server.Open)
}

// parts is what a server of this program stands on. The sample organisation of a
// development server has this orders database, or its own if that is nil.
func parts(cfg config.Config, log *slog.Logger, ordersDB []byte) server.Config {
	return server.Config{
		Config: cfg, Version: version(), Connectors: connectors, Logger: log,
		Sample: func() ([]json.RawMessage, error) { return sampleDocuments(ordersDB) },
	}
}

// provisioning is what a provisioner of this program stands on.
func provisioning(cfg config.Config, log *slog.Logger) server.Config { return parts(cfg, log, nil) }
