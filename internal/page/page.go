// Package page is where people sign in, read what waits for them and decide.
// Each page is one template and one handler; each is whole without a script,
// except that only a script can ask a browser for a passkey.
//
// Links carry no authority: what is fetched changes nothing, and whatever
// changes something is a POST from a page of ours.
package page

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/auth"
	"github.com/writhq/writ/internal/door"
	"github.com/writhq/writ/internal/page/frame"
	"github.com/writhq/writ/internal/page/session"
)

// Config is what pages stand on.
type Config struct {
	Door   *door.Door
	Auth   *auth.Authenticator
	Origin string        // of the pages: the server's URL, without path
	DSN    string        // of the database of sessions
	Idle   time.Duration // see session.Config
	Life   time.Duration
	Logger *slog.Logger
}

// Pages are all pages.
type Pages struct {
	Config
	sessions  *session.Sessions
	templates map[string]*template.Template
}

//go:embed template/*.html
var templates embed.FS

//go:embed asset/*
var assets embed.FS

// Open opens the pages and the sessions of browsers.
func Open(ctx context.Context, c Config) (p *Pages, err error) {
	p = &Pages{Config: c, templates: map[string]*template.Template{}}
	if err := p.parse(); err != nil {
		return nil, err
	}
	p.sessions, err = session.Open(ctx, session.Config{
		DSN: c.DSN, Secure: strings.HasPrefix(c.Origin, "https:"), Idle: c.Idle, Life: c.Life, Log: c.Logger,
	})
	return p, err
}

func (p *Pages) parse() error {
	for _, name := range []string{"signin", "leave", "inbox", "request", "narrow", "access", "keys", "problem", "ask", "askform", "claim", "identities", "identity", "targets", "search", "policy", "log", "event"} {
		t, err := template.New("layout.html").Funcs(funcs).Funcs(frame.Funcs).ParseFS(templates, "template/layout.html", "template/actions.html", "template/part.html", "template/"+name+".html")
		if err != nil {
			return fmt.Errorf("page %s: %w", name, err)
		}
		p.templates[name] = t
	}
	return nil
}

// Routes returns the handlers by patterns of http.ServeMux.
func (p *Pages) Routes() map[string]http.Handler {
	out := map[string]http.Handler{}
	files, _ := assets.ReadDir("asset") // embedded: it is there
	for _, f := range files {
		out["GET /asset/"+f.Name()] = http.FileServerFS(assets)
	}
	maps.Copy(out, p.further())
	for pattern, h := range map[string]handler{
		"GET /sign-in":     p.signInPage,
		"POST /sign-in":    p.signIn,
		"GET " + auth.Back: p.signedIn,
		"POST /sign-out":   p.signOut,
	} {
		out[pattern] = p.handle(h)
	}
	for pattern, h := range map[string]func(*http.Request, *viewer) (answer, error){
		"GET /{$}":                     p.inbox,
		"GET /requests/{id}":           p.request,
		"POST /requests/{id}/approve":  p.approve,
		"POST /requests/{id}/deny":     p.deny,
		"POST /requests/{id}/sign-in":  p.signInAgain,
		"GET /requests/{id}/narrow":    p.narrower,
		"POST /requests/{id}/narrow":   p.narrow,
		"POST /requests/{id}/require":  p.require,
		"POST /requests/{id}/withdraw": p.withdraw,
		"POST /requests/{id}/release":  p.release,
		"POST /requests/{id}/revoke":   p.revoke,
		"GET /access":                  p.access,
		"POST /access/revoke":          p.revokeAll,
		"GET /keys":                    p.keys,
		"POST /keys":                   p.enrol,
		"POST /keys/{name}/remove":     p.disenrol,
	} {
		out[pattern] = p.handle(p.known(h))
	}
	return out
}

// A handler answers with a page or a place to go to.
type handler func(*http.Request) (answer, error)

type answer struct {
	page string
	data any
	to   string // a path of ours, in place of a page

	status int // of HTTP; 200 if zero
}

// A viewer is who is signed in, as every page shows them.
type viewer struct {
	door.Caller
	Who    auth.Person
	Path   string // of the page
	Notice string // what was just done
}

// handle puts what holds for every page around a handler.
func (p *Pages) handle(h handler) http.Handler {
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("Referrer-Policy", "same-origin") // without any, a form's Origin would be null
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("X-Frame-Options", "DENY")
		var out answer
		err := p.fromHere(r)
		if err == nil {
			r.Body = http.MaxBytesReader(w, r.Body, maxForm)
			out, err = h(r)
		}
		if err != nil {
			p.fail(w, r, err)
			return
		}
		if out.to != "" {
			http.Redirect(w, r, out.to, http.StatusSeeOther)
			return
		}
		p.show(w, r, cmp.Or(out.status, http.StatusOK), out.page, out.data)
	})
	kept, glance := p.sessions.Handler(page), p.sessions.Glance(page)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.Header.Get(byScript) != "" {
			glance.ServeHTTP(w, r)
			return
		}
		kept.ServeHTTP(w, r)
	})
}

// byScript is the header of a page that a script fetches to show what happened
// meanwhile. Nobody asked for it: it prolongs no session, and what is to be told
// once stays for the page that somebody opens.
const byScript = "Writ-Live"

const (
	policy  = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
	maxForm = 128 << 10
)

// fromHere refuses what a page of another origin makes a browser send.
func (p *Pages) fromHere(r *http.Request) error {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	if sent := r.Header.Values("Origin"); len(sent) != 1 || sent[0] != p.Origin {
		return writ.Errorf(writ.Forbidden, "this was not sent from a page of this server; open %s and do it there", p.Origin)
	}
	return nil
}

var errSignIn = errors.New("sign in first")

// known answers only who is signed in, and speaks for an active identity now.
func (p *Pages) known(h func(*http.Request, *viewer) (answer, error)) handler {
	return func(r *http.Request) (answer, error) {
		v, err := p.viewer(r.Context())
		if errors.Is(err, errSignIn) && r.Method == http.MethodGet {
			return answer{to: "/sign-in?" + url.Values{"to": {r.URL.Path}}.Encode()}, nil
		}
		if errors.Is(err, errSignIn) {
			return answer{}, writ.Errorf(writ.Unauthenticated, "your session has ended; sign in again")
		}
		if err != nil {
			return answer{}, err
		}
		v.Path = r.URL.Path
		return h(r, v)
	}
}

// Session returns who is signed in in the browser that sends a request, and
// since when; nobody, if it brings no session.
func (p *Pages) Session(r *http.Request) (who writ.Party, since time.Time, err error) {
	var in auth.Person
	if ok, err := p.sessions.Read(r, person, &in); err != nil || !ok {
		return who, since, err
	}
	i, err := p.Auth.Still(in)
	return i.Party(), in.At, err
}

func (p *Pages) viewer(ctx context.Context) (*viewer, error) {
	var who auth.Person
	if !p.sessions.Get(ctx, person, &who) {
		return nil, errSignIn
	}
	i, err := p.Auth.Still(who)
	if err != nil {
		return nil, err
	}
	v := &viewer{Caller: door.Caller{Party: i.Party(), SignedIn: who.At}, Who: who}
	p.sessions.Take(ctx, notice, &v.Notice)
	return v, nil
}

// The values of a session.
const (
	person = "person" // who signed in: auth.Person
	flow   = "flow"   // a sign-in that is under way
	again  = "again"  // that they signed in for a decision
	notice = "notice" // what to tell them on the next page
)

// done goes to a page that says what was done.
func (p *Pages) done(ctx context.Context, to, what string) (answer, error) {
	return answer{to: to}, p.sessions.Put(ctx, notice, what)
}

func (p *Pages) show(w http.ResponseWriter, r *http.Request, status int, name string, data any) {
	var page bytes.Buffer
	if err := p.templates[name].Execute(&page, data); err != nil {
		p.Logger.ErrorContext(r.Context(), "page not made", "page", name, "err", err)
		http.Error(w, "this page cannot be made; the server's log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w) // whoever went away needs no page
}

var statuses = map[writ.Fault]int{
	writ.Invalid: http.StatusUnprocessableEntity, writ.Unauthenticated: http.StatusUnauthorized, writ.Forbidden: http.StatusForbidden,
	writ.NotFound: http.StatusNotFound, writ.Conflict: http.StatusConflict, writ.Stale: http.StatusPreconditionFailed, writ.Unavailable: http.StatusServiceUnavailable,
}

// fail shows a fault, and hides and logs what is none.
func (p *Pages) fail(w http.ResponseWriter, r *http.Request, err error) {
	v := &viewer{}
	if p.sessions.Get(r.Context(), person, &v.Who) {
		v.Party = v.Who.Party
	}
	status, says := http.StatusInternalServerError, "Something is wrong here; the server's log says what."
	if f, ok := errors.AsType[writ.Fault](err); ok {
		status, says = statuses[f], sentence(err.Error())
	} else {
		p.Logger.ErrorContext(r.Context(), "page failed", "path", r.URL.Path, "err", err)
	}
	p.show(w, r, status, "problem", map[string]any{"Viewer": v, "Title": titles[status], "Says": says, "SignIn": status == http.StatusUnauthorized, "Back": back(r)})
}

// titles say in plain words what a status means.
var titles = map[int]string{
	http.StatusUnprocessableEntity: "That cannot be taken as it is", http.StatusUnauthorized: "Who are you?", http.StatusForbidden: "You may not do that",
	http.StatusNotFound: "There is nothing here", http.StatusConflict: "That is not possible now", http.StatusPreconditionFailed: "It has changed since you read it",
	http.StatusServiceUnavailable: "Something that is needed is down", http.StatusInternalServerError: "Something is wrong",
}

// back returns the request that a refusal was about, to go on from there.
func back(r *http.Request) string {
	if id := r.PathValue("id"); id != "" && r.Method == http.MethodPost {
		return local("/requests/" + id)
	}
	return "/"
}

func sentence(text string) string { return strings.ToUpper(text[:1]) + text[1:] + "." }

// Sweep forgets sessions that have ended, now and then until ctx ends.
func (p *Pages) Sweep(ctx context.Context) { p.sessions.Sweep(ctx) }

// Close closes the database of sessions.
func (p *Pages) Close() error { return p.sessions.Close() }
