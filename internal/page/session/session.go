// Package session remembers in which browsers people are signed in. What it
// keeps has no history worth proving: plain rows, beside the ledger.
package session

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"
)

// Config is what sessions stand on.
type Config struct {
	DSN    string        // postgres://…, or the path of a SQLite file of their own: the ledger's has one writer
	Secure bool          // the server is reached by https, as everywhere but in development
	Idle   time.Duration // a session ends when it was not used for so long
	Life   time.Duration // and at the latest so long after the sign-in
	Log    *slog.Logger
}

// Sessions are all sessions. Its methods are safe for concurrent use.
type Sessions struct {
	manager *scs.SessionManager
	store   *store
	log     *slog.Logger
}

// Open opens the database, and makes its tables if they are not there.
func Open(ctx context.Context, c Config) (*Sessions, error) {
	driver, dsn := "pgx", c.DSN
	if !strings.HasPrefix(dsn, "postgres") {
		driver, dsn = "sqlite", "file:"+dsn+"?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(10000)&_txlock=immediate"
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return nil, fmt.Errorf("sessions: %w", err)
	}
	db.SetMaxOpenConns(4)
	s := &Sessions{manager: scs.New(), store: &store{db: db, now: time.Now}, log: c.Log}
	if err := s.store.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("sessions: %w", err), db.Close())
	}
	m := s.manager
	m.Store, m.IdleTimeout, m.Lifetime, m.HashTokenInStore = s.store, c.Idle, c.Life, true
	m.Cookie.Name, m.Cookie.Secure, m.Cookie.HttpOnly, m.Cookie.SameSite = "writ", c.Secure, true, http.SameSiteLaxMode
	m.Cookie.Path, m.Cookie.Persist = "/", false // it ends with the browser, too
	if c.Secure {
		m.Cookie.Name = "__Host-writ" // RFC 6265bis, section 4.1.3.2: of this host alone
	}
	m.ErrorFunc = func(w http.ResponseWriter, r *http.Request, err error) {
		c.Log.ErrorContext(r.Context(), "session not kept", "err", err)
		http.Error(w, "the session cannot be read or kept now; try again", http.StatusServiceUnavailable)
	}
	return s, nil
}

// Close closes the database.
func (s *Sessions) Close() error { return s.store.db.Close() }

// Handler gives the browser's session to what is below next, and keeps what
// that changes.
func (s *Sessions) Handler(next http.Handler) http.Handler { return s.manager.LoadAndSave(next) }

// Glance gives it to what is below next, too, and keeps nothing of what that
// changes: it does not count as use of the session.
func (s *Sessions) Glance(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := ""
		if cookie, err := r.Cookie(s.manager.Cookie.Name); err == nil {
			token = cookie.Value
		}
		ctx, err := s.manager.Load(r.Context(), token)
		if err != nil {
			s.manager.ErrorFunc(w, r, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// Begin starts a session anew: under another token, without anything that the
// one before held.
func (s *Sessions) Begin(ctx context.Context, name string, value any) error {
	if err := s.manager.Clear(ctx); err != nil {
		return err
	}
	if err := s.manager.RenewToken(ctx); err != nil {
		return err
	}
	return s.Put(ctx, name, value)
}

// End ends the session.
func (s *Sessions) End(ctx context.Context) error { return s.manager.Destroy(ctx) }

// Put keeps a value in the session, as JSON.
func (s *Sessions) Put(ctx context.Context, name string, value any) error {
	data, err := json.Marshal(value)
	if err == nil {
		s.manager.Put(ctx, name, string(data))
	}
	return err
}

// Get reads a value of the session, and reports whether there is one.
func (s *Sessions) Get(ctx context.Context, name string, to any) bool {
	return json.Unmarshal([]byte(s.manager.GetString(ctx, name)), to) == nil
}

// Take reads a value of the session that is good for one use.
func (s *Sessions) Take(ctx context.Context, name string, to any) bool {
	return json.Unmarshal([]byte(s.manager.PopString(ctx, name)), to) == nil
}

// Read reads a value of the session that a request brings, outside Handler. It
// does not count as use of the session.
func (s *Sessions) Read(r *http.Request, name string, to any) (bool, error) {
	cookie, err := r.Cookie(s.manager.Cookie.Name)
	if errors.Is(err, http.ErrNoCookie) {
		return false, nil
	}
	ctx, err := s.manager.Load(r.Context(), cookie.Value)
	if err != nil {
		return false, err
	}
	return s.Get(ctx, name, to), nil
}

// Counted remembers how often a key said it had signed, and reports whether it
// said a higher number before: then there may be two of it.
func (s *Sessions) Counted(ctx context.Context, key string, n uint32) (back bool, err error) {
	return s.store.counted(ctx, key, int64(n))
}

// Sweep forgets sessions that have ended, now and then until ctx ends.
func (s *Sessions) Sweep(ctx context.Context) {
	for ctx.Err() == nil {
		if err := s.store.sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "ended sessions not forgotten", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(sweepEvery):
		}
	}
}

const (
	sweepEvery = 10 * time.Minute
	endedFor   = time.Hour // a session that ended is remembered, so that no slow answer brings it back
)

// schema is one text for SQLite and PostgreSQL. Times are microseconds since 1970.
var schema = []string{
	`CREATE TABLE IF NOT EXISTS sessions (token TEXT PRIMARY KEY, data BYTEA NOT NULL, until BIGINT NOT NULL)`,
	`CREATE INDEX IF NOT EXISTS sessions_until ON sessions (until)`,
	`CREATE TABLE IF NOT EXISTS counters (key TEXT PRIMARY KEY, n BIGINT NOT NULL)`,
}

// A store keeps sessions under the hash of their token: whoever reads the
// database cannot use them.
type store struct {
	db  *sql.DB
	now func() time.Time
}

// open makes the tables, unless they are there: then no right to make any is needed.
func (s *store) open(ctx context.Context) error {
	var n int
	if err := s.db.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM counters LIMIT 1) AS one`).Scan(&n); err == nil {
		return nil // what is made last is there
	}
	for _, text := range schema {
		_, err := s.db.ExecContext(ctx, text)
		if err != nil && !strings.Contains(err.Error(), "already exists") && !strings.Contains(err.Error(), "duplicate key") { // two servers start at once
			return err
		}
	}
	return nil
}

func (s *store) sweep(ctx context.Context) error {
	_, err := s.db.ExecContext(ctx, `DELETE FROM sessions WHERE until <= $1`, s.now().Add(-endedFor).UnixMicro())
	return err
}

func (s *store) counted(ctx context.Context, key string, n int64) (back bool, err error) {
	var was int64
	err = s.db.QueryRowContext(ctx, `SELECT n FROM counters WHERE key = $1`, key).Scan(&was)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, err
	}
	_, err = s.db.ExecContext(ctx, `INSERT INTO counters (key, n) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET n = excluded.n WHERE counters.n < excluded.n`, key, n)
	return was > 0 && n <= was, err // section 6.1.1: either is 0 where nothing is counted
}

// FindCtx implements scs.CtxStore.
func (s *store) FindCtx(ctx context.Context, token string) (data []byte, found bool, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT data FROM sessions WHERE token = $1 AND until > $2`, token, s.now().UnixMicro()).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	return data, err == nil, err
}

// CommitCtx implements scs.CtxStore. A session that has ended stays so: an
// answer that was under way when its person signed out does not begin it again.
func (s *store) CommitCtx(ctx context.Context, token string, data []byte, until time.Time) error {
	_, err := s.db.ExecContext(ctx, `INSERT INTO sessions (token, data, until) VALUES ($1, $2, $3)
		ON CONFLICT (token) DO UPDATE SET data = excluded.data, until = excluded.until WHERE sessions.until > $4`,
		token, data, until.UnixMicro(), s.now().UnixMicro())
	return err
}

// DeleteCtx implements scs.CtxStore.
func (s *store) DeleteCtx(ctx context.Context, token string) error {
	now := s.now().UnixMicro()
	_, err := s.db.ExecContext(ctx, `UPDATE sessions SET data = $1, until = $2 WHERE token = $3 AND until > $2`, []byte{}, now, token)
	return err
}

// Find implements scs.Store.
func (s *store) Find(token string) ([]byte, bool, error) {
	return s.FindCtx(context.Background(), token)
}

// Commit implements scs.Store.
func (s *store) Commit(token string, data []byte, until time.Time) error {
	return s.CommitCtx(context.Background(), token, data, until)
}

// Delete implements scs.Store.
func (s *store) Delete(token string) error { return s.DeleteCtx(context.Background(), token) }
