// Package config is the one documented structure that a server starts from.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// Config is the configuration of a server, the file of `writ serve --config`, or
// of a provisioner that runs apart. Every field may be left out but Issuers of a
// server, without which nobody can call it.
type Config struct {
	Listen    string   `yaml:"listen"`      // address; 127.0.0.1:7480
	URL       string   `yaml:"url"`         // under which callers reach the server; http(s)://LISTEN
	TLS       TLS      `yaml:"tls"`         // needed to listen beyond this machine, unless behindProxy
	Proxied   bool     `yaml:"behindProxy"` // a proxy in front speaks TLS
	Data      string   `yaml:"data"`        // directory of the embedded database, keys and secrets
	DB        string   `yaml:"db"`          // postgres://…; the embedded database in data if empty
	Keys      string   `yaml:"keys"`        // key file; DATA/writ.keys
	Secrets   string   `yaml:"secrets"`     // directory that file: references read from; DATA/secrets
	Documents string   `yaml:"documents"`   // file or directory applied to an empty ledger
	Issuers   []Issuer `yaml:"issuers"`     // whose tokens are accepted
	Log       string   `yaml:"log"`         // text or json; json
	Worker    Worker   `yaml:"worker"`
	Witness   Witness  `yaml:"witness"` // who cosigns the ledger's checkpoints
	Sessions  Sessions `yaml:"sessions"`
	Pins      *Pins    `yaml:"pins"` // what a provisioner believes whatever the ledger says

	Dev bool `yaml:"-"` // the server is its own issuer, on this machine only
}

// TLS names the certificate and key of the server, in PEM files.
type TLS struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// An Issuer is an OpenID provider whose tokens are accepted.
type Issuer struct {
	URL        string        `yaml:"url"`        // exactly as in "iss"
	Audience   string        `yaml:"audience"`   // that a token must have been made for
	Algorithms []string      `yaml:"algorithms"` // of signatures; RS256, ES256 and EdDSA if empty
	MaxAge     time.Duration `yaml:"maxAge"`     // since a token was issued
	Typ        []string      `yaml:"typ"`        // of tokens; JWT, at+jwt and none if empty
	Client     Client        `yaml:"client"`     // what this server is there; without one nobody signs in there with a browser
}

// A Client is what the server is at an issuer: an OpenID relying party, whose
// redirect URI is URL/sign-in/back.
type Client struct {
	ID     string   `yaml:"id"`
	Secret string   `yaml:"secret"` // a reference, as in targets; none for a public client
	Scopes []string `yaml:"scopes"` // beside openid

	Groups  string `yaml:"groups"`  // claim with the groups that a person is in
	Manager string `yaml:"manager"` // claim with the subject of their manager
}

// Sessions are those of browsers.
type Sessions struct {
	Idle time.Duration `yaml:"idle"` // ends one that was not used for so long; 30m
	Life time.Duration `yaml:"life"` // ends each so long after the sign-in; 12h
}

// Worker tunes how targets are called.
type Worker struct {
	Parallel int           `yaml:"parallel"` // calls at once; 32
	Lease    time.Duration `yaml:"lease"`    // longest time one call may take; 1m
	ClaimFor time.Duration `yaml:"claimFor"` // how long a credential waits to be claimed; 24h
	Off      bool          `yaml:"off"`      // this process serves but calls no target
}

// Witness says who cosigns the ledger's checkpoints, and how many are enough.
type Witness struct {
	List   []Witnessing  `yaml:"list"`
	Quorum int           `yaml:"quorum"` // all of them if zero
	Every  time.Duration `yaml:"every"`  // how often they are asked while there is news; 1s
}

// A Witnessing is one witness.
type Witnessing struct {
	Name string `yaml:"name"`
	URL  string `yaml:"url"` // https; http on loopback only
	Key  string `yaml:"key"` // verifier key, as 'writ witness --print-key' shows it
}

// Read reads a file. Unknown fields are refused with their place. Relative paths
// in it are relative to the file.
func Read(path string) (Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	var c Config
	err = yaml.NewDecoder(bytes.NewReader(data), yaml.Strict()).Decode(&c)
	if err != nil && !errors.Is(err, io.EOF) {
		return c, fmt.Errorf("configuration %s: %s", path, strings.TrimSpace(err.Error()))
	}
	paths := []*string{&c.Data, &c.Keys, &c.Secrets, &c.Documents, &c.TLS.Cert, &c.TLS.Key}
	if c.Pins != nil {
		paths = append(paths, &c.Pins.Approvers, &c.Pins.Definitions)
	}
	for _, field := range paths {
		if *field != "" && !filepath.IsAbs(*field) {
			*field = filepath.Join(filepath.Dir(path), *field)
		}
	}
	return c, nil
}

// Complete fills in what was left out and refuses what cannot be served.
func (c Config) Complete() (Config, error) {
	fill(&c.Listen, "127.0.0.1:7480")
	if c.Data == "" && (c.DB == "" || c.Keys == "") {
		return c, errors.New("configuration: say where state is kept: --data DIR (or data: DIR in the file)")
	}
	fill(&c.DB, filepath.Join(c.Data, "writ.db"))
	fill(&c.Keys, filepath.Join(c.Data, "writ.keys"))
	if c.Sessions.Idle == 0 {
		c.Sessions.Idle = 30 * time.Minute
	}
	if c.Sessions.Life == 0 {
		c.Sessions.Life = 12 * time.Hour
	}
	c.complete()
	switch {
	case len(c.Issuers) == 0 && !c.Dev:
		return c, errors.New("configuration: issuers is empty, so nobody could call; name the OpenID providers whose tokens to accept")
	case c.Pins != nil:
		return c, errors.New("configuration: pins are for 'writ provisioner', which runs apart from what could be taken over; leave them out here")
	}
	return c, c.check()
}

// complete fills in what servers and provisioners share.
func (c *Config) complete() {
	fill(&c.Secrets, filepath.Join(c.Data, "secrets"))
	fill(&c.Log, "json")
	if c.Witness.Quorum == 0 {
		c.Witness.Quorum = len(c.Witness.List)
	}
	scheme := "http"
	if c.TLS.Cert != "" {
		scheme = "https"
	}
	fill(&c.URL, scheme+"://"+c.Listen)
}

func fill(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

func (c Config) check() error {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("configuration: listen %q: write it as HOST:PORT", c.Listen)
	}
	ip := net.ParseIP(host)
	local := host == "localhost" || ip != nil && ip.IsLoopback()
	switch {
	case c.Dev && !local:
		return fmt.Errorf("configuration: --dev gives a token to whoever asks and listens on loopback only, not on %s", c.Listen)
	case !local && c.TLS.Cert == "" && !c.Proxied:
		return fmt.Errorf("configuration: %s is reachable from elsewhere: set tls, or behindProxy if a proxy in front speaks TLS", c.Listen)
	case (c.TLS.Cert == "") != (c.TLS.Key == ""):
		return errors.New("configuration: tls needs both cert and key")
	case c.Log != "text" && c.Log != "json":
		return fmt.Errorf("configuration: log %q is not text or json", c.Log)
	}
	for _, i := range c.Issuers {
		switch {
		case i.URL == "" || i.Audience == "":
			return fmt.Errorf("configuration: issuer %q needs url and audience", i.URL)
		case i.Client.ID == "" && (i.Client.Secret != "" || len(i.Client.Scopes) > 0):
			return fmt.Errorf("configuration: issuer %q: client needs id, as the issuer knows this server", i.URL)
		case i.Client.ID != "" && !c.origin():
			return fmt.Errorf("configuration: url %q: people sign in at pages that are at the root of a host, over https beyond this machine; give it without path", c.URL)
		}
	}
	if c.Sessions.Idle < 0 || c.Sessions.Life < c.Sessions.Idle {
		return fmt.Errorf("configuration: sessions: idle %s and life %s; life is the longer one", c.Sessions.Idle, c.Sessions.Life)
	}
	return nil
}

// origin reports whether the URL is one that pages can be at.
func (c Config) origin() bool {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme+"://"+u.Host != c.URL {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

// SessionDB is where the sessions of browsers are kept: beside the embedded
// database, which has one writer, or in the one that all servers share.
func (c Config) SessionDB() string {
	if c.Embedded() {
		return filepath.Join(c.Data, "sessions.db")
	}
	return c.DB
}

// Embedded reports whether state is kept in the embedded database.
func (c Config) Embedded() bool { return !strings.HasPrefix(c.DB, "postgres") }
