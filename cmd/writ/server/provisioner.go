package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/auth"
	"github.com/writhq/writ/internal/config"
	"github.com/writhq/writ/internal/keyring"
	"github.com/writhq/writ/internal/web"
	"github.com/writhq/writ/internal/worker"
)

// OpenProvisioner opens the parts of a process that serves no API: it works, and
// it is the built-in issuer.
func OpenProvisioner(ctx context.Context, c Config) (*Server, error) {
	s := &Server{cfg: c, log: c.Logger}
	return s.open(ctx, s.openOwnKeys, s.openStore, s.pinnedLog, s.ours, s.openWitness, s.openIssuer, s.openWorker, s.openPages)
}

// openOwnKeys never makes keys: those of a ledger are made once, by its server.
func (s *Server) openOwnKeys(context.Context) (err error) {
	s.keys, err = keyring.Read(s.cfg.Keys)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return writ.Errorf(writ.Invalid, "there is no key file %s; 'writ provisioner init' splits the server's", s.cfg.Keys)
	case err != nil:
		return err
	case !s.keys.Grants():
		return writ.Errorf(writ.Invalid, "%s is the key file of a server and holds no key of writs; use the one that 'writ provisioner init' wrote", s.cfg.Keys)
	case s.keys.Serves():
		return writ.Errorf(writ.Invalid, "%s holds the server's keys, too; split it with 'writ provisioner init' and give the provisioner its part", s.cfg.Keys)
	}
	return nil
}

// pinnedLog refuses to work on another ledger than the one that is meant.
func (s *Server) pinnedLog(context.Context) error {
	if want, is := s.cfg.Pins.LogKey, s.Store.Log.VerifierKey(); want != "" && want != is {
		return writ.Errorf(writ.Invalid, "pins.logKey is %s, and %s signs with %s; one of them is of another ledger", want, s.cfg.Keys, is)
	}
	return nil
}

// openPages serves what others need of a provisioner.
func (s *Server) openPages(context.Context) (err error) {
	if s.callers, err = auth.New(s.known()); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := s.ready(r.Context()); err != nil {
			web.Fail(w, r, s.log, err)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics, promhttp.HandlerOpts{}))
	mux.Handle("/issuer/", s.issuing())
	s.handler = mux
	return nil
}

// readPins reads what is pinned.
func readPins(c *config.Pins) (*worker.Pins, error) {
	if c == nil {
		return nil, nil
	}
	pins := &worker.Pins{Approvals: c.Floor.Approvals, Proof: c.Floor.Proof, Except: c.Except}
	if c.Approvers != "" {
		dir, err := readPinned(c.Approvers, "key")
		if err != nil {
			return nil, err
		}
		owner := map[string]writ.Party{}
		for k := range maps.Values(dir.Keys) {
			if who, ok := owner[k.Public]; ok && who != k.Party() {
				return nil, writ.Errorf(writ.Invalid, "%s: one key is pinned for both %s and %s", c.Approvers, who.Name, k.Identity)
			}
			owner[k.Public] = k.Party()
			pins.Keys = append(pins.Keys, k)
		}
	}
	if c.Definitions == "" {
		return pins, nil
	}
	var err error
	if pins.Documents, err = readPinned(c.Definitions, "target", "entitlement"); err != nil {
		return nil, err
	}
	for _, name := range pins.Except {
		if _, ok := pins.Documents.Entitlements[name]; !ok {
			return nil, writ.Errorf(writ.Invalid, "pins.except names %s, which %s does not define", name, c.Definitions)
		}
	}
	return pins, nil
}

// readPinned reads documents as `writ get -o yaml` prints them.
func readPinned(path string, kinds ...string) (*writ.Directory, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, writ.Errorf(writ.Invalid, "pins: %v", err)
	}
	defer file.Close()
	var docs []writ.Document
	for dec := yaml.NewDecoder(file); ; {
		doc, err := nextPinned(dec, kinds)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, writ.Errorf(writ.Invalid, "pins: %s: %v", path, err)
		}
		docs = append(docs, doc)
	}
	if len(docs) == 0 {
		return nil, writ.Errorf(writ.Invalid, "pins: %s holds nothing; write there what 'writ get %s -o yaml' prints", path, kinds[0])
	}
	return writ.NewDirectory(docs...), nil
}

func nextPinned(dec *yaml.Decoder, kinds []string) (writ.Document, error) {
	var members map[string]any
	if err := dec.Decode(&members); err != nil {
		return nil, err
	}
	data, err := json.Marshal(members)
	if err != nil {
		return nil, err
	}
	doc, err := writ.ParseDocument(data)
	if err != nil {
		return nil, err
	}
	h := doc.Head()
	if slices.Contains(kinds, h.Kind) && h.UID != "" {
		return doc, nil
	}
	return nil, writ.Errorf(writ.Invalid, "%s %q is not what 'writ get %s -o yaml' prints", h.Kind, h.Name, kinds[0])
}
