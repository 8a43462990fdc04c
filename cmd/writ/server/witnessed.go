package server

import (
	"context"
	"net/http"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store"
	"github.com/writhq/writ/internal/web"
	asker "github.com/writhq/writ/internal/witness"
	"github.com/writhq/writ/ledger"
	"github.com/writhq/writ/ledger/witness"
)

// openWitness makes ready to ask the configured witnesses, if there are any.
func (s *Server) openWitness(context.Context) error {
	w := s.cfg.Witness
	if len(w.List) == 0 {
		return nil
	}
	var all []witness.Known
	for _, one := range w.List {
		all = append(all, witness.Known{Name: one.Name, Key: one.Key, URL: one.URL})
	}
	p, err := witness.NewPolicy(w.Quorum, all...)
	if err != nil {
		return writ.Errorf(writ.Invalid, "configuration: %v", err)
	}
	s.witness, err = asker.New(asker.Config{
		Log: s.Store, Key: s.Store.Log.VerifierKey(), Policy: p, Every: w.Every,
		Metrics: asker.NewMetrics(s.metrics), Logger: s.log,
	})
	return err
}

// safe says why nothing may be granted or approved now. Without witnesses
// nobody could know.
func (s *Server) safe() error {
	if s.witness == nil {
		return nil
	}
	return s.witness.Safe()
}

// witnessed returns the size of the newest checkpoint that a quorum of the
// witnesses cosigned; without witnesses that is none.
func (s *Server) witnessed(ctx context.Context) (int64, error) {
	if s.witness == nil {
		return 0, nil
	}
	return s.witness.Witnessed(ctx)
}

// published is the log as others read it, where there are witnesses: up to the
// newest checkpoint that a quorum cosigned, once there is one.
type published struct{ *store.DB }

// Checkpoint implements ledger.Source.
func (p published) Checkpoint(ctx context.Context) (string, error) {
	_, note, err := p.DB.Witnessed(ctx)
	if err != nil || note != "" {
		return note, err
	}
	return p.DB.Checkpoint(ctx)
}

func (s *Server) source() ledger.Source {
	if s.witness == nil {
		return s.Store
	}
	return published{s.Store}
}

// confirming lets the built-in issuer say of nothing that it is good while the
// ledger is known to be behind: the issuer's own database may be as old, and
// what was revoked since would be good again.
func (s *Server) confirming(issuer http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/introspect", "/verify", "/ssh_krl":
			if err := s.halted(); err != nil {
				web.Fail(w, r, s.log, err)
				return
			}
		}
		issuer.ServeHTTP(w, r)
	})
}

func (s *Server) halted() error {
	if s.witness == nil {
		return nil
	}
	return s.witness.Halted()
}

// ready says why the server cannot serve now, or must not be trusted to.
func (s *Server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyIn)
	defer cancel()
	_, err := s.Store.Stats(ctx)
	if err == nil && s.witness != nil {
		err = s.witness.Ready()
	}
	return err
}
