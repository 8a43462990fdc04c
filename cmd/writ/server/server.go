// Package server puts the parts of a running Writ together.
package server

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/writhq/writ"
	"github.com/writhq/writ/cmd/writ/verify"
	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/connector/issuer"
	"github.com/writhq/writ/internal/auth"
	"github.com/writhq/writ/internal/config"
	"github.com/writhq/writ/internal/door"
	"github.com/writhq/writ/internal/keyring"
	"github.com/writhq/writ/internal/page"
	"github.com/writhq/writ/internal/store"
	"github.com/writhq/writ/internal/web"
	asker "github.com/writhq/writ/internal/witness"
	"github.com/writhq/writ/internal/worker"
	"github.com/writhq/writ/ledger"
	"github.com/writhq/writ/policy"
)

// Config is what a Server stands on. The configuration is complete, with the
// address at which the server listens already.
type Config struct {
	config.Config
	Version    string                                           // of the program
	Connectors func(*issuer.Issuer) map[string]connector.Driver // that this program knows
	Sample     func() ([]json.RawMessage, error)                // first documents of a development server
	Logger     *slog.Logger
}

// A Server is every part of a running Writ, wired. Parts are closed in the
// opposite order of their opening.
type Server struct {
	Store *store.DB
	Door  *door.Door

	cfg     Config
	keys    *keyring.Keys
	issuer  *issuer.Issuer
	drivers map[string]connector.Driver
	targets *worker.Targets
	worker  *worker.Worker
	witness *asker.Asker // nil if none is configured
	callers *auth.Authenticator
	pages   *page.Pages
	metrics *prometheus.Registry
	handler http.Handler
	log     *slog.Logger
	close   []func() error
}

// Open opens all parts.
func Open(ctx context.Context, c Config) (*Server, error) {
	s := &Server{cfg: c, log: c.Logger}
	return s.open(ctx, s.openKeys, s.openStore, s.openWitness, s.openIssuer, s.openWorker, s.openDoor, s.openLedger, s.openWeb)
}

// OpenStore opens nothing but the ledger.
func OpenStore(ctx context.Context, c Config) (*Server, error) {
	s := &Server{cfg: c, log: c.Logger}
	return s.open(ctx, s.openKeys, s.openStore)
}

// open opens parts in their order, all or none.
func (s *Server) open(ctx context.Context, parts ...func(context.Context) error) (*Server, error) {
	for _, open := range parts {
		if err := open(ctx); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

func (s *Server) openKeys(context.Context) (err error) {
	if s.cfg.Data != "" {
		if err := os.MkdirAll(s.cfg.Data, 0o700); err != nil {
			return fmt.Errorf("data directory: %w", err)
		}
	}
	if s.keys, err = keyring.Open(s.cfg.Keys); err == nil && !s.keys.Serves() {
		err = writ.Errorf(writ.Invalid, "%s is the key file of a provisioner; a server has one of its own, which 'writ provisioner init' left to it", s.cfg.Keys)
	}
	return err
}

func (s *Server) openStore(ctx context.Context) error {
	signer, err := ledger.NewSigner(s.keys.Origin, s.keys.Log.Seed())
	if err != nil {
		return err
	}
	s.Store, err = store.Open(ctx, store.Config{DSN: s.cfg.DB, Log: signer, Logger: s.log})
	if err == nil {
		s.close = append(s.close, s.Store.Close)
		s.metrics = newRegistry(s.Store)
	}
	return err
}

// openIssuer opens the built-in issuer on a database of its own: what it holds
// can then be read back as from any other system.
func (s *Server) openIssuer(ctx context.Context) error {
	if !s.keys.Grants() { // it is the provisioner's
		s.drivers = s.cfg.Connectors(nil)
		return nil
	}
	driver, dsn := "pgx", s.cfg.DB
	if s.cfg.Embedded() {
		driver, dsn = "sqlite", "file:"+filepath.Join(s.cfg.Data, "issuer.db")+
			"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(10000)&_txlock=immediate"
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	s.close = append(s.close, db.Close)
	s.issuer, err = issuer.Open(ctx, issuer.Config{
		DB: db, Keys: s.keys.Issuer, URL: s.cfg.URL + "/issuer", Sole: s.cfg.Embedded(), Caller: s.verifier, Log: s.log,
	})
	if err != nil {
		return err
	}
	s.close = append(s.close, s.issuer.Close)
	s.drivers = s.cfg.Connectors(s.issuer)
	return nil
}

func (s *Server) openWorker(context.Context) error {
	switch {
	case !s.keys.Grants() && s.cfg.Embedded():
		return writ.Errorf(writ.Invalid, "%s holds no key of writs, so a provisioner has to carry out what is decided here, and it cannot use the database %s; use PostgreSQL for both", s.cfg.Keys, s.cfg.DB)
	case s.cfg.Worker.Off:
		return nil
	case !s.keys.Grants():
		return writ.Errorf(writ.Invalid, "%s holds no key of writs, which 'writ provisioner init' moved to the provisioner; set worker: {off: true} here and start 'writ provisioner'", s.cfg.Keys)
	}
	pins, err := readPins(s.cfg.Pins)
	if err != nil {
		return err
	}
	signer, err := keyring.NewSigner(s.keys.Writ)
	if err != nil {
		return err
	}
	s.targets = worker.NewTargets(s.drivers, s.cfg.Secret)
	s.targets.Pins = pins
	s.close = append(s.close, s.targets.Close)
	s.worker = worker.New(worker.Config{
		Store: s.Store, Judge: policy.NewJudge(), Targets: s.targets, Signer: signer, Seal: s.keys.Recipient.String(),
		Parallel: s.cfg.Worker.Parallel, Lease: s.cfg.Worker.Lease, ClaimFor: s.cfg.Worker.ClaimFor,
		Metrics: worker.NewMetrics(s.metrics), Logger: s.log, Safe: s.safe, Witnessed: s.witnessed, Pins: pins,
	})
	return nil
}

func (s *Server) openDoor(context.Context) error {
	c := door.Config{
		Store: s.Store, Judge: policy.NewJudge(), Drivers: s.drivers, Claims: s.keys.Claims, Safe: s.safe, Logger: s.log,
		Origin: s.cfg.URL, Signer: func(ctx context.Context, idToken string) (json.RawMessage, error) {
			return s.callers.Signer(ctx, idToken)
		},
	}
	if s.targets != nil {
		c.Target = s.targets.Check
	}
	s.Door = door.New(c)
	s.metrics.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "writ_signatures_refused_total", Help: "Signatures of approvals and enrolments that do not hold.",
	}, func() float64 { return float64(s.Door.RefusedSignatures()) }))
	return nil
}

// openLedger makes sure that the ledger names the keys that sign for it, and
// gives an empty one its first documents.
func (s *Server) openLedger(ctx context.Context) error {
	_, err := s.Store.Update(ctx, store.Change{Decide: func(_ writ.Request, f writ.Facts) ([]writ.Event, error) {
		return []writ.Event{{Stream: writ.LedgerStream, Seq: 1, At: f.Now, Actor: writ.System, Body: writ.Opened{
			Origin: s.keys.Origin, LogKey: s.Store.Log.VerifierKey(), WritKey: s.writKey(),
		}}}, nil
	}})
	if err != nil && !errors.Is(err, writ.Conflict) { // a conflict: it was opened before
		return err
	}
	if err := s.ours(ctx); err != nil {
		return err
	}
	if err := s.seed(ctx); err != nil {
		return err
	}
	return s.Door.Check()
}

func (s *Server) writKey() string { return base64.StdEncoding.EncodeToString(s.keys.Public) }

// ours refuses a ledger that was begun with other keys.
func (s *Server) ours(ctx context.Context) error {
	entries, err := s.Store.Events(ctx, writ.LedgerStream)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		return writ.Errorf(writ.Unavailable, "the ledger is empty; start the server first")
	}
	if first, ok := entries[0].Event.Body.(writ.Opened); !ok || first.WritKey != s.writKey() {
		return fmt.Errorf("the key file %s belongs to another ledger; restore the one that was made with this database", s.cfg.Keys)
	}
	return nil
}

func (s *Server) seed(ctx context.Context) error {
	if len(s.Store.Directory().All()) > 0 {
		return nil
	}
	var docs []json.RawMessage
	var err error
	switch {
	case s.cfg.Documents != "":
		docs, err = readDocuments(s.cfg.Documents)
	case s.cfg.Dev:
		docs, err = s.cfg.Sample()
	}
	if err != nil || len(docs) == 0 {
		return err
	}
	changes, err := s.Door.Put(ctx, door.System, door.Put{Documents: docs})
	s.log.InfoContext(ctx, "first documents applied", "count", len(changes))
	return err
}

// known is whose tokens are accepted.
func (s *Server) known() auth.Config {
	who := auth.Config{Directory: s.Store.Directory, Logger: s.log, URL: s.cfg.URL, Secret: s.cfg.Secret}
	for _, i := range s.cfg.Issuers {
		who.Issuers = append(who.Issuers, auth.Issuer{
			URL: i.URL, Audience: i.Audience, Algorithms: i.Algorithms, MaxAge: i.MaxAge, Typ: i.Typ, Client: auth.Client(i.Client),
		})
	}
	return who
}

func (s *Server) openWeb(ctx context.Context) error {
	who := s.known()
	mounts := map[string]http.Handler{
		"/ledger/":     http.StripPrefix("/ledger", s.auditOnly(ledger.Handler(s.source()))),
		"GET /metrics": promhttp.HandlerFor(s.metrics, promhttp.HandlerOpts{}),
	}
	if s.issuer != nil {
		mounts["/issuer/"] = s.issuing()
	}
	if s.cfg.Dev {
		dev, err := auth.NewDev(s.keys.Dev, s.cfg.URL, s.Store.Directory)
		if err != nil {
			return err
		}
		who.Dev = dev
		mounts["/dev/"], mounts["/.well-known/openid-configuration"] = dev.Handler(), dev.Handler()
	}
	var err error
	if s.callers, err = auth.New(who); err != nil {
		return err
	}
	s.pages, err = page.Open(ctx, page.Config{
		Door: s.Door, Auth: s.callers, Origin: s.cfg.URL, DSN: s.cfg.SessionDB(), Idle: s.cfg.Sessions.Idle, Life: s.cfg.Sessions.Life, Logger: s.log,
	})
	if err != nil {
		return err
	}
	s.close = append(s.close, s.pages.Close)
	maps.Copy(mounts, s.pages.Routes())
	s.handler = web.New(web.Config{
		Door: s.Door, Version: s.cfg.Version, Mounts: mounts, Logger: s.log, Ready: s.ready, Session: s.pages.Session, Origin: s.cfg.URL,
		Who: func(ctx context.Context, token string) (writ.Party, error) {
			c, err := s.callers.Token(ctx, token)
			return c.Party, err
		},
	})
	return nil
}

func (s *Server) issuing() http.Handler {
	return http.StripPrefix("/issuer", s.confirming(s.issuer.Handler()))
}

// verifier is who asks the issuer about a key.
func (s *Server) verifier(r *http.Request) (string, error) {
	c, err := s.callers.Caller(r)
	return string(c.Party.Name), err
}

// auditOnly serves checkpoints and hashes to everybody, and records, which say
// who asked for what, to those who may audit.
func (s *Server) auditOnly(log http.Handler) http.Handler {
	judge := policy.NewJudge()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/tile/entries/") {
			c, err := s.callers.Caller(r)
			if err == nil && !judge.Authority(s.Store.Directory(), c.Party.Name).Audit {
				err = writ.Errorf(writ.Forbidden, "%s may not read the ledger's records; policy names who audits", c.Party.Name)
			}
			if err != nil {
				web.Fail(w, r, s.log, err)
				return
			}
		}
		log.ServeHTTP(w, r)
	})
}

// readyIn is how long the database may take to answer before the server counts
// as not ready.
const readyIn = 2 * time.Second

// Close closes all parts.
func (s *Server) Close() error {
	var errs []error
	for _, c := range slices.Backward(s.close) {
		errs = append(errs, c())
	}
	s.close = nil
	return errors.Join(errs...)
}

// Verify is what `writ verify` does, on a database that is in use.
func (s *Server) Verify(ctx context.Context) (int64, error) {
	out, err := verify.Ledger(ctx, s.Store, verify.Against{Keys: store.Keys{LogKey: s.Store.Log.VerifierKey()}, From: "key file"}, nil)
	return out.Events, err
}
