package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// A PostgresConfig says where and how a PostgreSQL server runs. The zero value
// is a throwaway one for tests.
type PostgresConfig struct {
	Dir      string            // data directory, made if needed and kept at Stop; empty: a temporary one, removed at Stop
	Sync     bool              // commit durably (fsync), as in production; for benchmarks and data that matters
	Settings map[string]string // further server settings: "log_statement" to "all"
}

// A Postgres is a running PostgreSQL server that listens on loopback only and
// asks for the password (SCRAM) of everybody.
type Postgres struct {
	DSN      string // of database "postgres", as its superuser
	Port     int    // on 127.0.0.1
	User     string // the superuser
	Password string // the superuser's
	Version  int    // major version

	process *process
}

// StartPostgres starts a PostgreSQL server and returns once it serves. It takes
// about two seconds with a new directory. The context bounds the start only.
// Without PostgreSQL on the machine the error is ErrMissing.
func StartPostgres(ctx context.Context, c PostgresConfig) (*Postgres, error) {
	p, err := startPostgres(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("postgresql: %w", err)
	}
	return p, nil
}

func startPostgres(ctx context.Context, c PostgresConfig) (*Postgres, error) {
	bin, version, err := postgresBin()
	if err != nil {
		return nil, err
	}
	who, err := unprivileged("postgres", "nobody")
	if err != nil {
		return nil, err
	}
	s := spec{path: filepath.Join(bin, "postgres"), env: []string{"LC_ALL=C", "TZ=UTC"}, account: who, dir: c.Dir, quit: syscall.SIGINT}
	if c.Dir == "" { // made by us, below a place everybody can enter
		s.throwaway, s.quit = true, syscall.SIGQUIT
		s.dir, err = os.MkdirTemp("", "writ-postgres-")
	} else {
		s.dir, err = filepath.Abs(c.Dir)
		err = errors.Join(err, os.MkdirAll(s.dir, 0o700))
	}
	if err != nil {
		return nil, err
	}
	p := &Postgres{User: "postgres", Version: version}
	if err = own(s.dir, who); err == nil {
		err = p.prepare(ctx, bin, s)
	}
	if err == nil {
		err = p.serve(ctx, s, c)
	}
	if err != nil && s.throwaway {
		_ = os.RemoveAll(s.dir)
	}
	return p, err
}

// postgresBin returns the folder of the server's programs and their major
// version: those in PATH, else the newest that Debian installed.
func postgresBin() (bin string, version int, err error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if path, lookErr := exec.LookPath("initdb"); lookErr == nil {
		path, err = filepath.EvalSymlinks(path) // the server lies beside the real one
		found = []string{path}
	}
	if err != nil {
		return "", 0, err
	}
	for _, path := range found {
		out, err := exec.Command(filepath.Join(filepath.Dir(path), "postgres"), "--version").Output()
		m := regexp.MustCompile(`\(PostgreSQL\) (\d+)`).FindSubmatch(out)
		if err != nil || m == nil {
			continue
		}
		if n, _ := strconv.Atoi(string(m[1])); n > version {
			bin, version = filepath.Dir(path), n
		}
	}
	if version == 0 {
		return "", 0, fmt.Errorf("initdb and postgres are neither in PATH nor in /usr/lib/postgresql/*/bin; install package postgresql: %w", ErrMissing)
	}
	return bin, version, nil
}

// prepare makes the data directory, unless it is there from an earlier run.
func (p *Postgres) prepare(ctx context.Context, bin string, s spec) error {
	secret := filepath.Join(s.dir, "superuser")
	if _, err := os.Stat(filepath.Join(s.dir, "data", "PG_VERSION")); err == nil {
		known, err := os.ReadFile(secret)
		p.Password = string(known)
		return err
	}
	p.Password = rand.Text()
	if err := os.WriteFile(secret, []byte(p.Password), 0o600); err != nil {
		return err
	}
	if err := own(secret, s.account); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "--pgdata", filepath.Join(s.dir, "data"), "--pwfile", secret,
		"--username", p.User, "--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale", "--no-sync")
	cmd.Dir, cmd.Env = s.dir, s.env
	runAs(cmd, s.account)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb in %s: %w: %s", s.dir, err, tail(out))
	}
	return nil
}

// serve starts the server on a free port; a port taken in between is tried anew.
func (p *Postgres) serve(ctx context.Context, s spec, c PostgresConfig) (err error) {
	for range 3 {
		if p.Port, err = freePort(); err != nil {
			return err
		}
		run := s
		run.args = p.args(s.dir, c)
		if p.process, err = start(run); err != nil {
			return err
		}
		p.DSN = p.dsn("postgres")
		if err = p.ready(ctx); err == nil {
			return nil
		}
		words := p.process.lastWords()
		p.process.spec.throwaway = false // the directory serves the next try
		p.process.stop()
		err = fmt.Errorf("%w: %s", err, words)
		if !strings.Contains(words, "Address already in use") {
			break
		}
	}
	return err
}

func (p *Postgres) args(dir string, c PostgresConfig) []string {
	settings := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"unix_socket_directories": dir,
		"shared_buffers":          "32MB",
		"timezone":                "UTC",
	}
	if !c.Sync {
		for _, durable := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
			settings[durable] = "off"
		}
	}
	for name, value := range c.Settings {
		settings[name] = value
	}
	args := []string{"-D", filepath.Join(dir, "data"), "-p", strconv.Itoa(p.Port)}
	for name, value := range settings {
		args = append(args, "-c", name+"="+value)
	}
	return args
}

// ready waits until the server answers.
func (p *Postgres) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, p.DSN)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-p.process.gone:
			return errors.New("the server ended at once")
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer on port %d: %w", p.Port, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (p *Postgres) dsn(database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(p.User, p.Password), Host: "127.0.0.1:" + strconv.Itoa(p.Port),
		Path: "/" + database, RawQuery: "sslmode=disable"}
	return u.String()
}

// CreateDatabase makes an empty database and returns its DSN.
func (p *Postgres) CreateDatabase(ctx context.Context, name string) (dsn string, err error) {
	return p.dsn(name), p.exec(ctx, "create database "+pgx.Identifier{name}.Sanitize())
}

// DropDatabase removes a database and cuts whoever is connected to it.
func (p *Postgres) DropDatabase(ctx context.Context, name string) error {
	return p.exec(ctx, "drop database if exists "+pgx.Identifier{name}.Sanitize()+" with (force)")
}

func (p *Postgres) exec(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, p.DSN)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, sql)
	return err
}

// Stop ends the server: at once where its directory is temporary, else after it
// wrote everything down. A second call does nothing.
func (p *Postgres) Stop() { p.process.stop() }
