package server

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/auth"
	"github.com/writhq/writ/internal/config"
	"github.com/writhq/writ/internal/page"
	"github.com/writhq/writ/internal/page/session"
	"github.com/writhq/writ/internal/web"
)

// client is what the server is at an issuer, if anything.
func (s *Server) client(c config.Client) *auth.Client {
	if c.ID == "" {
		return nil
	}
	out := &auth.Client{ID: c.ID, Scopes: c.Scopes}
	if c.Secret != "" {
		out.Secret = func() (string, error) {
			secret, err := s.cfg.Secret(c.Secret)
			return secret.Reveal(), err
		}
	}
	return out
}

// openPages opens the sessions, in a database of their own where the ledger's
// has one writer, and adds the pages to what is served.
func (s *Server) openPages(ctx context.Context, mounts map[string]http.Handler) error {
	driver, dsn := "pgx", s.cfg.DB
	if s.cfg.Embedded() {
		driver, dsn = "sqlite", "file:"+filepath.Join(s.cfg.Data, "sessions.db")+
			"?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(10000)&_txlock=immediate"
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return fmt.Errorf("sessions: %w", err)
	}
	db.SetMaxOpenConns(sessionConns)
	s.close = append(s.close, db.Close)
	s.sessions, err = session.Open(ctx, session.Config{
		DB: db, Secure: strings.HasPrefix(s.cfg.URL, "https:"), Idle: s.cfg.Sessions.Idle, Life: s.cfg.Sessions.Life, Log: s.log,
	})
	if err != nil {
		return err
	}
	pages, err := page.New(page.Config{
		Door: s.Door, Auth: s.callers, Sessions: s.sessions, People: s.people, Origin: s.cfg.URL, Logger: s.log,
	})
	if err != nil {
		return err
	}
	maps.Copy(mounts, pages.Routes())
	return nil
}

// sessionConns is how many connections sessions use at most.
const sessionConns = 4

// people are whom somebody can sign in as, in dev mode.
func (s *Server) people() (out []writ.Ref) {
	for name, i := range s.Store.Directory().Identities {
		if i.Human() && i.Active() {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// session is the browser session that a call brings.
func (s *Server) session(r *http.Request) (*web.Session, error) {
	var who auth.Person
	ok, err := s.sessions.Read(r, page.Person, &who)
	if err != nil || !ok {
		return nil, err
	}
	i, err := s.callers.Still(who)
	if err != nil {
		return nil, err
	}
	return &web.Session{Party: i.Party(), At: who.At}, nil
}
