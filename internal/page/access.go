package page

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/door"
	"github.com/writhq/writ/internal/page/view"
)

// A row is access that exists or is about to, with what its viewer may do.
type row struct {
	writ.Request
	Bar view.Bar
	May writ.May
}

// A bundle is the access of one identity, or at one target.
type bundle struct {
	Name string
	Rows []row
}

var given = []writ.Status{writ.StatusAuthorized, writ.StatusGranting, writ.StatusActive}

// access shows what access there is, and for how long; first what should be
// gone and is not.
func (p *Pages) access(r *http.Request, v *viewer) (answer, error) {
	q := r.URL.Query()
	f := door.Filter{
		Status: given, Subject: writ.Ref(q.Get("subject")), Entitlement: q.Get("entitlement"), Target: q.Get("target"),
		Before: writ.ID(q.Get("before")), Limit: 50,
	}
	live, err := p.Door.List(r.Context(), v.Caller, f)
	if err != nil {
		return answer{}, err
	}
	f.Status, f.Before, f.Limit = []writ.Status{writ.StatusRevoking}, "", 200
	ending, err := p.Door.List(r.Context(), v.Caller, f)
	if err != nil {
		return answer{}, err
	}
	slices.SortFunc(ending.Requests, func(a, b writ.Request) int { return a.EndedAt.Compare(b.EndedAt) })
	chart := view.NewChart(time.Now(), live.Requests)
	rows, mayCut, err := p.rows(r, v, chart, live.Requests)
	next := ""
	if live.Next != "" {
		q.Set("before", string(live.Next))
		next = "/access?" + q.Encode()
	}
	return answer{page: "access", data: map[string]any{
		"Viewer": v, "Ending": ending.Requests, "Chart": chart, "Bundles": bundles(rows, q.Get("by") == "target"), "Next": next, "Paged": q.Get("before") != "",
		"Filter": f, "By": q.Get("by"), "Cut": mayCut && f.Subject != "",
	}}, err
}

func (p *Pages) rows(r *http.Request, v *viewer, chart view.Chart, rs []writ.Request) (out []row, mayCut bool, err error) {
	for _, is := range rs {
		may, err := p.Door.May(r.Context(), v.Caller, is)
		if err != nil {
			return nil, false, err
		}
		mayCut = mayCut || may.Revoke
		out = append(out, row{is, chart.Bar(is), may})
	}
	return out, mayCut, nil
}

// bundles groups rows; what ends first stands first.
func bundles(rows []row, byTarget bool) (out []bundle) {
	found := map[string][]row{}
	for _, r := range rows {
		name := string(r.Terms.Subject.Name)
		if byTarget {
			name = r.Terms.Entitlement.Target
		}
		found[name] = append(found[name], r)
	}
	for _, name := range sorted(found) {
		slices.SortFunc(found[name], func(a, b row) int { return cmp.Or(a.Until.Compare(b.Until), cmp.Compare(a.ID, b.ID)) })
		out = append(out, bundle{name, found[name]})
	}
	return out
}

// revokeAll takes away everything of one identity, from whoever typed its name.
func (p *Pages) revokeAll(r *http.Request, v *viewer) (answer, error) {
	who := writ.Ref(r.FormValue("identity"))
	if typed := strings.TrimSpace(r.FormValue("typed")); typed != string(who) || typed == "" {
		return answer{}, writ.Errorf(writ.Invalid, "nothing was revoked: you typed %q; type %s to revoke everything it has", typed, who)
	}
	cut, err := p.Door.RevokeIdentity(r.Context(), v.Caller, who, r.FormValue("note"))
	if err != nil && len(cut) == 0 {
		return answer{}, err
	}
	says := fmt.Sprintf("You revoked everything of %s that you may: %d. This page says what is not gone yet.", who, len(cut))
	if err != nil {
		says += " Not revoked: " + strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	return p.done(r.Context(), "/access?"+url.Values{"subject": {string(who)}}.Encode(), says)
}
