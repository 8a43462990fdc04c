// Package postgres gives access to PostgreSQL 14 and later, in two kinds:
//
// A password is a login role made for one request, with a random password, that
// is a member of the entitled role until VALID UNTIL. A membership makes an
// account that exists a member of the entitled role.
package postgres

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/writhq/writ/connector"
)

// Driver opens connectors to PostgreSQL servers.
type Driver struct {
	patience time.Duration // see config.pool; zero: half a second
}

// Manifest says what PostgreSQL can do. It ends a password by itself, at VALID
// UNTIL; it knows no end of a membership, whose Observation.Until is zero.
func (Driver) Manifest() connector.Manifest {
	return connector.Manifest{
		Name:         "postgres",
		Summary:      "PostgreSQL: a login role for each grant, or membership in a role",
		Kinds:        []connector.Kind{connector.Password, connector.Membership},
		SelfExpiring: true,
		Readable:     true,
		ListsAll:     true,
		EndsOpen:     true,
	}
}

// A config is the configuration of one target.
type config struct {
	DSN          string `json:"dsn"`          // URL, without a password: "postgres://writ@db.internal:5432/app"
	PasswordFrom string `json:"passwordFrom"` // of Writ's own role: "env:NAME" or "file:/path"
	Host         string `json:"host"`         // where holders connect, if not where Writ does
	Port         uint16 `json:"port"`         // likewise
	Database     string `json:"database"`     // likewise
}

// pool returns how to connect as c says. A call that is given up must not go on at the server: it is cancelled there, and
// its answer awaited for as long as patience lasts.
func (c config) pool(secret func(ref string) (connector.Secret, error), patience time.Duration) (*pgxpool.Config, error) {
	if err := c.checkDSN(); err != nil {
		return nil, err
	}
	p, err := pgxpool.ParseConfig(c.DSN)
	if err != nil {
		return nil, err
	}
	conn := p.ConnConfig
	conn.Password = "" // whatever environment and passfile of this process hold is meant for others
	conn.RuntimeParams["application_name"] = "writ"
	conn.RuntimeParams["standard_conforming_strings"] = "on" // literal relies on it
	if conn.ConnectTimeout == 0 {
		conn.ConnectTimeout = 10 * time.Second
	}
	conn.BuildContextWatcherHandler = func(c *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: c, DeadlineDelay: cmp.Or(patience, time.Second/2)}
	}
	if c.PasswordFrom == "" {
		return p, nil // the server knows Writ by certificate or by its operating system account
	}
	p.BeforeConnect = func(_ context.Context, conn *pgx.ConnConfig) error {
		password, err := secret(c.PasswordFrom) // each time: it may be rotated
		conn.Password = password.Reveal()
		return err
	}
	_, err = secret(c.PasswordFrom)
	return p, err
}

func (c config) checkDSN() error {
	u, err := url.Parse(c.DSN)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return errors.New("dsn is no URL such as postgres://writ@db.internal:5432/app") // and may hold a password: not repeated
	}
	_, inline := u.User.Password()
	if query := u.Query(); inline || query.Has("password") || query.Has("sslpassword") {
		return errors.New("dsn holds a password; take it out and name where it is kept: passwordFrom: env:NAME or file:/path")
	}
	if u.User.Username() == "" && !u.Query().Has("user") {
		return errors.New("dsn names no role to connect as: postgres://writ@…")
	}
	return nil
}

// Open returns the connector of one server. It does not connect yet.
func (d Driver) Open(ctx context.Context, data json.RawMessage, env connector.Env) (connector.Connector, error) {
	var c config
	if err := decode(data, &c); err != nil {
		return nil, fmt.Errorf("postgres: configuration of target %s: %w", env.Target, err)
	}
	settings, err := c.pool(env.Secret, d.patience)
	if err != nil {
		return nil, fmt.Errorf("postgres: configuration of target %s: %w", env.Target, err)
	}
	pool, err := pgxpool.NewWithConfig(ctx, settings)
	if err != nil {
		return nil, fmt.Errorf("postgres: target %s: %w", env.Target, err)
	}
	shown := settings.ConnConfig
	if c.Host == "" {
		c.Host = shown.Host
	}
	if c.Port == 0 {
		c.Port = shown.Port
	}
	if c.Database == "" {
		c.Database = shown.Database
	}
	done := make(chan struct{})
	return &cluster{pool: pool, shown: c, passwords: passwords(done), done: sync.OnceFunc(func() { close(done) })}, nil
}

// A cluster is one PostgreSQL server, in its own word, that Writ has a role on.
type cluster struct {
	pool      *pgxpool.Pool
	shown     config // where holders connect
	passwords <-chan password
	done      func() // no more passwords are needed
	instance  atomic.Pointer[string]
}

// Close closes the connections.
func (c *cluster) Close() error {
	c.done()
	c.pool.Close()
	return nil
}

// decode reads exactly one object with no field that v does not have.
func decode(data json.RawMessage, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there is more after the object")
	}
	return nil
}

// fault makes an error out of what the server or the way to it said, during
// what was being done.
func fault(ctx context.Context, doing string, err error) error {
	var said *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("postgres: %s: %w", doing, ctx.Err())
	case !errors.As(err, &said):
		return fmt.Errorf("postgres: %s: %w", doing, err)
	}
	text := strings.Replace(err.Error(), said.Error(), said.Message, 1)
	for _, more := range []string{said.Detail, said.Hint} {
		if more != "" {
			text += "; " + more
		}
	}
	if said.Code == insufficientPrivilege {
		text += "; see which rights Writ's role needs in docs/reference/connectors/postgres.md"
	}
	if said.Code == dependentObjects {
		text += "; nobody can log in with it any more, but what others gave it only they or a superuser can take: drop owned by it"
	}
	if final(said.Code) {
		return refuse("%s: %s (SQLSTATE %s)", doing, text, said.Code)
	}
	return fmt.Errorf("postgres: %s: %s (SQLSTATE %s)", doing, text, said.Code)
}

// SQLSTATE codes, PostgreSQL documentation appendix A.
const (
	insufficientPrivilege = "42501"
	uniqueViolation       = "23505"
	undefinedObject       = "42704"
	duplicateObject       = "42710"
	dependentObjects      = "2BP01"
)

// final reports whether the server means no, now and later: data exception,
// invalid grant, syntax or access rule. That an object is there or not was looked
// at before, so by then it is a race, and another try will see more.
func final(code string) bool {
	if code == undefinedObject || code == duplicateObject {
		return false
	}
	return slices.Contains([]string{"22", "0L", "42"}, code[:2])
}

// refuse makes an error that another try will not mend.
func refuse(format string, args ...any) error {
	return fmt.Errorf("postgres: "+format+": %w", append(args, connector.ErrRefused)...)
}
