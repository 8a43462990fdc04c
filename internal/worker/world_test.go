package worker

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"database/sql"
	"encoding/base64"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/writhq/writ"
	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/connector/issuer"
	"github.com/writhq/writ/connector/postgres"
	"github.com/writhq/writ/internal/door"
	"github.com/writhq/writ/internal/keyring"
	"github.com/writhq/writ/internal/store"
	"github.com/writhq/writ/ledger"
	"github.com/writhq/writ/policy"
)

// A setup says where a world is kept. It is also handed to child processes.
type setup struct {
	Dir      string        // of the key file, and of the SQLite files
	DSN      string        // of the store, if that is PostgreSQL
	Target   string        // of the PostgreSQL target, as Writ's own role; empty: there is none
	Lease    time.Duration // as in Config
	Parallel int           // as in Config
	ClaimFor time.Duration // as in Config
}

// faults stand between a world and what it is made of.
type faults struct {
	call func(*call) error // runs before and after each call of a connector
	sign func(Signer) Signer
	log  func(string) // is told each log line
}

// A world is one Writ with everything real: store, keys, door, worker, issuer.
type world struct {
	setup
	store   *store.DB
	keys    *keyring.Keys
	issuer  *issuer.Issuer
	targets *Targets
	door    *door.Door
	worker  *Worker
	metrics *prometheus.Registry
	log     *logbook
	close   []func() error
}

// open opens a world, and fills an empty one with documents.
func open(ctx context.Context, s setup, f faults) (w *world, err error) {
	w = &world{setup: s, metrics: prometheus.NewRegistry(), log: &logbook{tell: f.log}}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Close())
		}
	}()
	if w.keys, err = keyring.Open(filepath.Join(s.Dir, "keys")); err != nil {
		return w, err
	}
	logger := slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if err = w.openStore(ctx, logger); err != nil {
		return w, err
	}
	if err = w.openIssuer(ctx, logger); err != nil {
		return w, err
	}
	drivers := map[string]connector.Driver{
		"issuer":   tapped{issuer.Driver{Issuer: w.issuer}, f.call},
		"postgres": tapped{postgres.Driver{}, f.call},
	}
	w.targets = NewTargets(drivers, secret)
	w.close = append(w.close, w.targets.Close)
	w.door = door.New(door.Config{Store: w.store, Judge: policy.NewJudge(), Drivers: drivers, Claims: w.keys.Claims, Target: w.targets.Check})
	var signer Signer
	if signer, err = keyring.NewSigner(w.keys.Writ); err != nil {
		return w, err
	}
	if f.sign != nil {
		signer = f.sign(signer)
	}
	w.worker = New(Config{
		Store: w.store, Judge: policy.NewJudge(), Targets: w.targets, Signer: signer, Seal: w.keys.Claims.Recipient().String(),
		Parallel: s.Parallel, Lease: s.Lease, ClaimFor: s.ClaimFor, Metrics: NewMetrics(w.metrics), Logger: logger,
	})
	return w, w.begin(ctx)
}

func (w *world) openStore(ctx context.Context, logger *slog.Logger) error {
	signer, err := ledger.NewSigner(w.keys.Origin, w.keys.Log.Seed())
	if err != nil {
		return err
	}
	dsn := w.DSN
	if dsn == "" {
		dsn = filepath.Join(w.Dir, "writ.db")
	}
	if w.store, err = store.Open(ctx, store.Config{DSN: dsn, Log: signer, Logger: logger}); err == nil {
		w.close = append(w.close, w.store.Close)
	}
	return err
}

func (w *world) openIssuer(ctx context.Context, logger *slog.Logger) error {
	driver, dsn := "pgx", w.DSN
	if dsn == "" {
		driver, dsn = "sqlite", "file:"+filepath.Join(w.Dir, "issuer.db")+
			"?_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)&_pragma=busy_timeout(10000)&_txlock=immediate" // no test cuts the power
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return err
	}
	w.close = append(w.close, db.Close)
	w.issuer, err = issuer.Open(ctx, issuer.Config{DB: db, Keys: w.keys.Issuer, URL: "http://127.0.0.1/issuer", Sole: w.DSN == "", Log: logger})
	if err == nil {
		w.close = append(w.close, w.issuer.Close)
	}
	return err
}

// begin begins the ledger, unless that was done before.
func (w *world) begin(ctx context.Context) error {
	_, err := w.store.Update(ctx, store.Change{Decide: func(_ writ.Request, f writ.Facts) ([]writ.Event, error) {
		return []writ.Event{{Stream: writ.LedgerStream, Seq: 1, At: f.Now, Actor: writ.System, Body: writ.Opened{
			Origin: w.keys.Origin, LogKey: w.store.Log.VerifierKey(),
			WritKey: base64.StdEncoding.EncodeToString(w.keys.Writ.Public().(ed25519.PublicKey)),
		}}}, nil
	}})
	if errors.Is(err, writ.Conflict) { // it was begun before
		return nil
	}
	if err != nil {
		return err
	}
	_, err = w.door.Put(ctx, door.System, door.Put{Documents: documents(w.Target)})
	return err
}

// Close closes a world, in the opposite order of its opening.
func (w *world) Close() error {
	var errs []error
	for _, c := range slices.Backward(w.close) {
		errs = append(errs, c())
	}
	w.close = nil
	return errors.Join(errs...)
}

// newWorld opens a world for a test. When that is over, all that the ledger says
// must hold.
func newWorld(t testing.TB, s setup, f faults) *world {
	t.Helper()
	if s.Dir == "" {
		s.Dir = t.TempDir()
	}
	w, err := open(t.Context(), s, f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(w.log)
		}
		if w.close == nil {
			return // the test closed it
		}
		w.verify(t)
		w.shut(t)
	})
	return w
}

// shut closes a world before its test ends.
func (w *world) shut(t testing.TB) {
	t.Helper()
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

// work runs the worker until stop, or to the end of the test.
func (w *world) work(t testing.TB) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() {
		defer close(over)
		w.worker.Run(ctx)
	}()
	stop = sync.OnceFunc(func() { cancel(); <-over })
	t.Cleanup(stop)
	return stop
}

// verify holds the whole ledger against itself.
func (w *world) verify(t testing.TB) {
	t.Helper()
	if err := w.broken(); err != nil {
		t.Errorf("verify: %v", err)
	}
}

func (w *world) broken() error {
	return w.store.Verify(context.Background(), store.Keys{LogKey: w.store.Log.VerifierKey()}, nil)
}

// logbook keeps every log line.
type logbook struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	tell func(string)
}

func (l *logbook) Write(line []byte) (int, error) {
	if l.tell != nil {
		l.tell(string(line))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(line)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// count returns how many lines hold all of these texts.
func (l *logbook) count(texts ...string) (n int) {
	for line := range strings.Lines(l.String()) {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
			n++
		}
	}
	return n
}

const passwordOfWrit = "the-password-of-writ"

// secret resolves the references in the configuration of targets.
func secret(ref string) (connector.Secret, error) {
	if ref != "env:ORDERS" {
		return connector.Secret{}, os.ErrNotExist
	}
	return connector.Conceal(passwordOfWrit), nil
}

// metric returns the value of a counter, or the sum of a histogram.
func (w *world) metric(t testing.TB, name, label string) (sum float64) {
	t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() != name || label != "" && m.GetLabel()[0].GetValue() != label {
				continue
			}
			sum += m.GetCounter().GetValue() + m.GetHistogram().GetSampleSum()
		}
	}
	return sum
}
