package page

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/assent"
	"github.com/writhq/writ/internal/door"
	"github.com/writhq/writ/internal/page/view"
)

// A dossier is one request with what its viewer may do about it.
type dossier struct {
	Viewer *viewer
	door.Dossier
	Case   view.Case
	Holds  []writ.Request // that the subject has or asks for besides
	Leaves []view.Leaf    // of the terms, all of them
	Steps  []step
	May    writ.May
	Ways   []writ.Method
	Keys   []writ.Key // passkeys of the viewer
	Again  bool       // they signed in again for exactly this approval
	Issuer string     // at which they could
	People []writ.Ref // who could be asked as well
}

// A step is an event of the ledger, explained.
type step struct {
	door.Event
	view.Step
}

func (p *Pages) request(r *http.Request, v *viewer) (answer, error) {
	ctx := r.Context()
	d, err := p.Door.Show(ctx, v.Caller, writ.ID(r.PathValue("id")))
	if err != nil {
		return answer{}, err
	}
	out := dossier{Viewer: v, Dossier: d}
	for _, e := range d.Events {
		out.Steps = append(out.Steps, step{e, view.NewStep(e.Kind, e.Body)})
	}
	if out.Leaves, err = view.Leaves(d.Terms, d.Earlier...); err != nil {
		return answer{}, err
	}
	if out.May, err = p.Door.May(ctx, v.Caller, d.Request); err != nil {
		return answer{}, err
	}
	around, err := p.Door.Background(ctx, v.Caller, d.Request)
	if err != nil {
		return answer{}, err
	}
	out.Case, out.Holds = caseOf(d.Request, around), around.Holds
	if out.May.Decide {
		p.ways(r, &out)
	}
	return answer{page: "request", data: out}, nil
}

func caseOf(r writ.Request, b door.Background) view.Case {
	return view.Case{Request: r, Directory: b.Directory, Now: time.Now(), Earlier: b.Earlier, Made: b.Made, Owned: b.Owned}
}

// ways finds how the viewer can say yes: every way that is strong enough.
func (p *Pages) ways(r *http.Request, out *dossier) {
	out.People = p.people()
	for _, m := range []writ.Method{writ.ByPasskey, writ.BySSH, writ.ByOIDC, writ.BySession} {
		if m.Meets(out.May.Stage.Proof) {
			out.Ways = append(out.Ways, m)
		}
	}
	for _, k := range p.Door.Keys(out.Viewer.Caller) {
		if k.Method == writ.ByPasskey && k.Origin == p.Origin {
			out.Keys = append(out.Keys, k)
		}
	}
	if slices.Contains(p.Auth.Providers(), out.Viewer.Who.Issuer) {
		out.Issuer = out.Viewer.Who.Issuer
	}
	var a pending
	out.Again = p.sessions.Get(r.Context(), again, &a) && a.Request == out.ID && a.Digest == out.Digest && time.Now().Before(a.Until)
}

// Can reports whether a way is open to the viewer.
func (d dossier) Can(m string) bool { return slices.Contains(d.Ways, writ.Method(m)) }

func (p *Pages) approve(r *http.Request, v *viewer) (answer, error) {
	ctx, id, digest := r.Context(), writ.ID(r.PathValue("id")), writ.Digest(r.FormValue("digest"))
	e, err := p.evidence(r, v, id)
	if err != nil {
		return answer{}, err
	}
	done, err := p.Door.ApproveWith(ctx, v.Caller, id, digest, e)
	if err != nil {
		return answer{}, err
	}
	says := "You approved it. It is " + string(done.Status) + "."
	if e.Method == writ.ByPasskey && p.counted(r, e) {
		says += " Your passkey counts fewer signatures than before: it may have been copied. If it can only be on one device, remove it and tell whoever is responsible for security."
	}
	return p.done(ctx, "/requests/"+string(id), says)
}

// evidence reads what the viewer has to show for a yes.
func (p *Pages) evidence(r *http.Request, v *viewer, id writ.ID) (writ.Evidence, error) {
	e := writ.Evidence{Method: writ.Method(r.FormValue("method"))}
	switch e.Method {
	case writ.BySession:
		return e, nil
	case writ.ByOIDC:
		var a pending
		if !p.sessions.Take(r.Context(), again, &a) || a.Request != id || a.IDToken == "" {
			return e, writ.Errorf(writ.Forbidden, "you did not sign in again for %s; do, and approve it then", id)
		}
		var err error
		e.Nonce = a.Nonce
		e.Proof, err = json.Marshal(map[string]string{"idToken": a.IDToken})
		return e, err
	case writ.ByPasskey:
		return p.assertion(r, v, e)
	}
	return e, writ.Errorf(writ.Invalid, "%q is no way to approve on this page", e.Method)
}

// assertion reads what a passkey signed.
func (p *Pages) assertion(r *http.Request, v *viewer, e writ.Evidence) (writ.Evidence, error) {
	var sent struct {
		Nonce      []byte          `json:"nonce"`
		Credential string          `json:"credential"`
		Proof      json.RawMessage `json:"proof"`
	}
	if err := json.Unmarshal([]byte(r.FormValue("assertion")), &sent); err != nil {
		return e, writ.Errorf(writ.Invalid, "no passkey was asked; this needs a browser with scripts and passkeys")
	}
	for _, k := range p.Door.Keys(v.Caller) {
		if k.Method == writ.ByPasskey && k.Credential == sent.Credential {
			e.Nonce, e.Key, e.KeyUID, e.Proof = sent.Nonce, k.Name, k.UID, sent.Proof
			return e, nil
		}
	}
	return e, writ.Errorf(writ.Forbidden, "this passkey is not one of yours here; enrol it first")
}

// counted reports whether a passkey may have been copied: that is not shown
// reliably enough to refuse what it signed, so somebody is told.
func (p *Pages) counted(r *http.Request, e writ.Evidence) bool {
	back, err := p.sessions.Counted(r.Context(), string(e.KeyUID), assent.Counter(e.Proof))
	if err != nil {
		p.Logger.WarnContext(r.Context(), "counter of a passkey not kept", "key", e.Key, "err", err)
	}
	if back {
		p.Logger.WarnContext(r.Context(), "a passkey's counter went back: it may have been copied", "key", e.Key)
	}
	return back
}
