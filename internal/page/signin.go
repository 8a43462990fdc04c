package page

import (
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/auth"
	"github.com/writhq/writ/internal/door"
)

// A started sign-in is one that is under way in this browser.
type started struct {
	auth.Flow
	To       string   `json:"to"`                 // where they go afterwards
	Approval *pending `json:"approval,omitempty"` // what they sign in again for
}

// pending is an approval by signing in again. Its nonce was given out for it.
type pending struct {
	Request writ.ID     `json:"request"`
	Digest  writ.Digest `json:"digest"`
	Nonce   []byte      `json:"nonce"`
	Until   time.Time   `json:"until"`
	IDToken string      `json:"idToken,omitempty"` // when they have
}

func (p *Pages) signInPage(r *http.Request) (answer, error) {
	data := map[string]any{"Viewer": &viewer{}, "To": local(r.FormValue("to")), "Issuers": p.Auth.Providers()}
	if p.Auth.Dev() {
		data["People"] = p.people()
	}
	return answer{page: "signin", data: data}, nil
}

// people are whom somebody can sign in as, in dev mode.
func (p *Pages) people() (out []writ.Ref) {
	for _, doc := range p.Door.Documents("identity", "") {
		if i, ok := doc.(writ.Identity); ok && i.Human() && i.Active() {
			out = append(out, i.Ref())
		}
	}
	return out
}

// local returns a path of ours to go to, and the first page if it is none.
func local(to string) string {
	if path.Clean(to) != to || strings.ContainsAny(to, "\\?#%:") {
		return "/"
	}
	for _, page := range pages {
		if to == page || strings.HasPrefix(to, page+"/") {
			return to
		}
	}
	return "/"
}

// pages are where one may go after signing in, and what is below them.
var pages = []string{"/keys", "/access", "/requests", "/ask", "/identities", "/policy", "/log", "/targets", "/search"}

func (p *Pages) signIn(r *http.Request) (answer, error) {
	to := local(r.FormValue("to"))
	if as := r.FormValue("as"); as != "" {
		who, err := p.Auth.SignInAs(r, writ.Ref(as))
		if err != nil {
			return answer{}, err
		}
		return answer{to: to}, p.sessions.Begin(r.Context(), person, who)
	}
	f, place, err := p.Auth.Begin(r.Context(), r.FormValue("issuer"), nil)
	if err != nil {
		return answer{}, err
	}
	return p.leave(r, started{Flow: f, To: to}, place)
}

// leave shows a page that goes on to an issuer: what a form is answered with
// may not redirect a browser away from us, and people see where they are sent.
func (p *Pages) leave(r *http.Request, s started, place string) (answer, error) {
	if err := p.sessions.Put(r.Context(), flow, s); err != nil {
		return answer{}, err
	}
	return away(place, "Sign in at "+s.Issuer)
}

func away(place, title string) (answer, error) {
	u, err := url.Parse(place)
	if err != nil {
		return answer{}, err
	}
	return answer{page: "leave", data: map[string]any{"Viewer": &viewer{}, "Title": title, "Host": u.Host, "Place": place}}, nil
}

// signedIn is where an issuer sends the browser back to. Who signs in again for
// an approval has not approved by that: they still say so, with a POST.
func (p *Pages) signedIn(r *http.Request) (answer, error) {
	ctx := r.Context()
	var s started
	if !p.sessions.Take(ctx, flow, &s) {
		return answer{}, writ.Errorf(writ.Unauthenticated, "no sign-in is under way in this browser; begin again")
	}
	who, err := p.Auth.Finish(ctx, s.Flow, r.URL.Query())
	if err != nil {
		return answer{}, err
	}
	if err := p.Door.SignedIn(ctx, door.Caller{Party: who.Party}, who.Said); err != nil {
		return answer{}, err
	}
	if s.Approval == nil {
		return answer{to: local(s.To)}, p.sessions.Begin(ctx, person, who)
	}
	v, err := p.viewer(ctx)
	if err != nil {
		return answer{}, err
	}
	if who.Party != v.Party {
		return answer{}, writ.Errorf(writ.Forbidden, "you signed in as %s, and are %s here; sign in again as %s", who.Party.Name, v.Name, v.Name)
	}
	s.Approval.IDToken = who.IDToken
	return answer{to: local(s.To)}, p.sessions.Put(ctx, again, s.Approval)
}

func (p *Pages) signOut(r *http.Request) (answer, error) {
	var who auth.Person
	known := p.sessions.Get(r.Context(), person, &who)
	if err := p.sessions.End(r.Context()); err != nil {
		return answer{}, err
	}
	if known {
		if place := p.Auth.SignOutURL(r.Context(), who, p.Origin+"/sign-in"); place != "" {
			return away(place, "Sign out at "+who.Issuer)
		}
	}
	return answer{to: "/sign-in"}, nil
}

// signInAgain sends an approver to their issuer once more, with the challenge
// of this approval: OpenID Connect Core 1.0, section 3.1.2.1, max_age and nonce.
func (p *Pages) signInAgain(r *http.Request, v *viewer) (answer, error) {
	ctx, id := r.Context(), writ.ID(r.PathValue("id"))
	c, err := p.Door.Challenge(ctx, v.Caller, id, writ.Yes)
	if err != nil {
		return answer{}, err
	}
	if seen := writ.Digest(r.FormValue("digest")); seen != c.Digest {
		return answer{}, writ.Errorf(writ.Stale, "the terms of %s are %s, not the %s you saw; read them again", id, c.Digest.Words(), seen.Words())
	}
	sum, err := writ.Challenge(c.Nonce, c.Digest, writ.Yes)
	if err != nil {
		return answer{}, err
	}
	f, place, err := p.Auth.Begin(ctx, v.Who.Issuer, sum[:])
	if err != nil {
		return answer{}, err
	}
	return p.leave(r, started{Flow: f, To: "/requests/" + string(id), Approval: &pending{Request: id, Digest: c.Digest, Nonce: c.Nonce, Until: c.Until}}, place)
}
