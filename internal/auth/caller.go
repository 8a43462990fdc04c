package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"
	"weak"

	"github.com/writhq/writ"
	"github.com/writhq/writ/connector"
)

// A Caller is who makes a call, and how we know.
type Caller struct {
	Party    writ.Party
	Identity writ.Identity // as the directory had it at the call; not to be changed
	Issuer   string        // the token's iss
	Subject  string        // the token's sub
	Expires  time.Time     // the token is worth nothing from here on
}

// A Config says whose tokens are believed and where identities are looked up.
type Config struct {
	Issuers   []Issuer
	Directory func() *writ.Directory // the newest documents, never nil; called for every call
	Dev       *Dev                   // nil, except in dev mode
	Logger    *slog.Logger           // is told why a token was refused; nil: slog.Default
	Client    *http.Client           // its Transport reaches the issuers; nil: http.DefaultTransport
	URL       string                 // the server's own, to which issuers send people back; needed if any has a Client

	Secret func(ref string) (connector.Secret, error) // resolves those of clients
}

// An Authenticator knows callers by their bearer tokens. It may be used by
// many goroutines.
type Authenticator struct {
	issuers   map[string]*trusted
	entrances map[string]*entrance // those at which people sign in
	dev       *Dev
	directory func() *writ.Directory
	log       *slog.Logger
	seen      cache
	now       func() time.Time
}

// New checks the configuration. It asks no issuer for anything: that happens
// with the first token of each.
func New(cfg Config) (*Authenticator, error) {
	a := &Authenticator{
		issuers: map[string]*trusted{}, entrances: map[string]*entrance{}, dev: cfg.Dev,
		directory: cfg.Directory, log: cfg.Logger, now: time.Now,
	}
	if a.directory == nil {
		return nil, errors.New("auth: directory is required; without identities nobody can call")
	}
	if a.log == nil {
		a.log = slog.Default()
	}
	client := guarded(cfg.Client)
	for _, i := range cfg.Issuers {
		i, err := i.checked()
		if err != nil {
			return nil, err
		}
		if a.issuers[i.URL] != nil {
			return nil, writ.Errorf(writ.Invalid, "issuer %s: configured twice; one issuer has one audience", i.URL)
		}
		k := &keys{issuer: i.URL, client: client, log: a.log, now: func() time.Time { return a.now() }, turn: make(chan struct{}, 1)}
		a.issuers[i.URL] = &trusted{Issuer: i, keys: k.find, who: byAccount}
		if i.Client.ID != "" {
			a.entrances[i.URL] = newEntrance(a.issuers[i.URL], client, cfg)
		}
	}
	if cfg.Dev != nil {
		if a.issuers[cfg.Dev.url] != nil {
			return nil, writ.Errorf(writ.Invalid, "issuer %s: in dev mode the server itself is this issuer; remove it", cfg.Dev.url)
		}
		a.issuers[cfg.Dev.url] = cfg.Dev.trusted()
	}
	return a, nil
}

// maxToken bounds a token, in bytes. Those of the issuers we know have 0.5 to 4 kB.
const maxToken = 16 << 10

var (
	errNoToken = writ.Errorf(writ.Unauthenticated, "no bearer token; send one as \"Authorization: Bearer TOKEN\"")
	errRefused = writ.Errorf(writ.Unauthenticated, "the bearer token is not accepted; get a new one from an issuer that this server trusts, for this server's audience alone")
)

// Caller returns who makes the request, by its Authorization header and
// nothing else. Its errors are those of Token.
func (a *Authenticator) Caller(r *http.Request) (Caller, error) {
	sent := r.Header.Values("Authorization")
	if len(sent) != 1 {
		return Caller{}, errNoToken
	}
	scheme, token, _ := strings.Cut(sent[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return Caller{}, errNoToken
	}
	return a.Token(r.Context(), token)
}

// Token returns whom a bearer token speaks for. Its errors are
// writ.Unauthenticated, or writ.Unavailable if the token's issuer cannot be
// asked for its keys.
func (a *Authenticator) Token(ctx context.Context, raw string) (Caller, error) {
	if raw == "" {
		return Caller{}, errNoToken
	}
	if len(raw) > maxToken {
		return Caller{}, a.refuse(errors.New("it is too long"))
	}
	var room [4 << 10]byte // on the stack, where tokens of a usual length are hashed
	sum, now := sha256.Sum256(append(room[:0], raw...)), a.now()
	t := a.seen.get(sum, now)
	if t == nil {
		var err error
		if t, err = a.verify(ctx, raw, now); err != nil {
			return Caller{}, a.refuse(err)
		}
		a.seen.put(sum, t, now)
	}
	return t.caller(a.directory())
}

// refuse returns what the caller may know of err: a fault as it is; of anything
// else only what to do, while the log gets the reason.
func (a *Authenticator) refuse(err error) error {
	if _, ok := errors.AsType[writ.Fault](err); ok {
		return err
	}
	a.log.Info("bearer token refused", "reason", brief(err))
	return errRefused
}

// brief bounds what a stranger can make us log.
func brief(err error) string {
	text := err.Error()
	return text[:min(len(text), 300)]
}

// A lookup is whom a token spoke for in one directory. It holds that directory
// weakly: a token nobody uses any more must not keep old documents in memory.
type lookup struct {
	directory weak.Pointer[writ.Directory]
	caller    Caller
	err       error
}

// caller looks the identity up whenever the directory is another than the last
// time, so that a disabled identity is refused at once.
func (t *token) caller(d *writ.Directory) (Caller, error) {
	here := weak.Make(d)
	if l := t.last.Load(); l != nil && l.directory == here {
		return l.caller, l.err
	}
	l := &lookup{directory: here}
	var i writ.Identity
	if i, l.err = t.from.who(d, t); l.err == nil {
		l.caller = Caller{i.Party(), i, t.from.URL, t.subject, t.expires}
	}
	t.last.Store(l)
	return l.caller, l.err
}

// byAccount finds the identity that has an account for the token.
func byAccount(d *writ.Directory, t *token) (writ.Identity, error) {
	return d.Speaks(t.from.URL, t.subject, func(name string) string { return claim(t.claims, name) })
}
