package page

import (
	"net/http"
	"strings"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/door"
	"github.com/writhq/writ/internal/page/view"
)

func (p *Pages) deny(r *http.Request, v *viewer) (answer, error) {
	id, digest := about(r)
	_, err := p.Door.Deny(r.Context(), v.Caller, id, digest, r.FormValue("note"))
	return p.did(r, err, "You denied it.")
}

func (p *Pages) require(r *http.Request, v *viewer) (answer, error) {
	id, digest := about(r)
	who := writ.Ref(strings.TrimSpace(r.FormValue("approver")))
	_, err := p.Door.Require(r.Context(), v.Caller, id, digest, who)
	return p.did(r, err, string(who)+" is asked as well, after all others.")
}

func (p *Pages) withdraw(r *http.Request, v *viewer) (answer, error) {
	id, _ := about(r)
	_, err := p.Door.Withdraw(r.Context(), v.Caller, id)
	return p.did(r, err, "You took it back.")
}

func (p *Pages) release(r *http.Request, v *viewer) (answer, error) {
	id, _ := about(r)
	_, err := p.Door.Release(r.Context(), v.Caller, id)
	return p.did(r, err, "You released it. It is being taken away; this page says when it is gone.")
}

func (p *Pages) revoke(r *http.Request, v *viewer) (answer, error) {
	id, _ := about(r)
	_, err := p.Door.Revoke(r.Context(), v.Caller, id, r.FormValue("note"))
	return p.did(r, err, "You revoked it. This page says when it is gone.")
}

// about reads which request a form is about, and which terms its page showed.
func about(r *http.Request) (writ.ID, writ.Digest) {
	return writ.ID(r.PathValue("id")), writ.Digest(r.FormValue("digest"))
}

// did goes back to the request that something was done about.
func (p *Pages) did(r *http.Request, err error, says string) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	return p.done(r.Context(), "/requests/"+r.PathValue("id"), says)
}

// narrower shows what giving less would make of a request. Nothing is done yet.
func (p *Pages) narrower(r *http.Request, v *viewer) (answer, error) {
	id, digest := about(r)
	to, err := less(r)
	if err != nil {
		return answer{}, err
	}
	d, err := p.Door.Show(r.Context(), v.Caller, id)
	if err != nil {
		return answer{}, err
	}
	then, err := p.Door.Foresee(r.Context(), v.Caller, id, digest, to)
	if err != nil {
		return answer{}, err
	}
	leaves, err := view.Leaves(then.Terms, d.Terms)
	if err != nil {
		return answer{}, err
	}
	r.Form.Del("digest")
	return answer{page: "narrow", data: map[string]any{
		"Viewer": v, "Request": d.Request, "Then": then, "Leaves": leaves, "Fields": r.Form, "Same": then.Digest == d.Digest,
	}}, nil
}

func (p *Pages) narrow(r *http.Request, v *viewer) (answer, error) {
	id, digest := about(r)
	to, err := less(r)
	if err != nil {
		return answer{}, err
	}
	_, err = p.Door.Narrow(r.Context(), v.Caller, id, digest, to)
	return p.did(r, err, "You narrowed it. Nothing is approved by that: these terms wait for an approval now.")
}

const scopeField = "scope."

// less reads a form that gives less. Fields that are empty stay as they are.
func less(r *http.Request) (out door.Less, err error) {
	if err := r.ParseForm(); err != nil {
		return out, writ.Errorf(writ.Invalid, "the form cannot be read: %v", err)
	}
	if text := strings.TrimSpace(r.Form.Get("for")); text != "" {
		if out.For, err = writ.ParseDuration(text); err != nil {
			return out, err
		}
	}
	if text := strings.TrimSpace(r.Form.Get("startBy")); text != "" {
		if out.StartBy, err = time.Parse("2006-01-02T15:04", text); err != nil {
			return out, writ.Errorf(writ.Invalid, "%q is no time; write the latest start in UTC, such as 2026-11-23T21:00", text)
		}
	}
	out.Ends = strings.Fields(r.Form.Get("ends"))
	for name, values := range r.Form {
		if param, ok := strings.CutPrefix(name, scopeField); ok && values[0] != "" {
			if out.Scope == nil {
				out.Scope = map[string]string{}
			}
			out.Scope[param] = values[0]
		}
	}
	return out, nil
}

// A choice is a scope parameter that can be given less of.
type choice struct {
	Name, Now string
	Less      []string
}

// Choices are the scope parameters that an approver can narrow.
func (d dossier) Choices() (out []choice) {
	for _, name := range sorted(d.Terms.Entitlement.Covers) {
		c := choice{Name: name, Now: d.Terms.Scope[name]}
		covers := d.Terms.Entitlement.Covers[name]
		for _, value := range reach(covers, c.Now) {
			if value != c.Now {
				c.Less = append(c.Less, value)
			}
		}
		if len(c.Less) > 0 {
			out = append(out, c)
		}
	}
	return out
}

// reach returns the values that one covers, sorted.
func reach(c writ.Covers, wide string) []string {
	found := map[string]bool{}
	for _, narrower := range c {
		for _, value := range narrower {
			if c.Has(wide, value) {
				found[value] = true
			}
		}
	}
	return sorted(found)
}
