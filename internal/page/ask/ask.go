// Package ask is where people look for access, ask for it, and take what they
// were given: the catalog, the form of one entitlement, and the one page that
// ever shows a credential.
package ask

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/door"
	"github.com/writhq/writ/internal/page/frame"
)

// Pages are those of this package.
type Pages struct{ Door *door.Door }

// Routes returns the handlers by patterns of http.ServeMux.
func (p Pages) Routes() map[string]frame.Handler {
	return map[string]frame.Handler{
		"GET /ask":                  p.catalog,
		"GET /ask/{name...}":        p.form,
		"POST /ask/{name...}":       p.ask,
		"GET /requests/{id}/claim":  p.claimPage,
		"POST /requests/{id}/claim": p.claim,
	}
}

// A Filter is what the catalog's address says.
type Filter struct {
	Query, For, Target, Environment, Credential string
}

// An Item is one entitlement in the catalog.
type Item struct {
	writ.Entitlement
	Environment string
	Outlook     frame.Outlook
}

// Open reports whether some route of policy covers it.
func (i Item) Open() bool { return !i.Outlook.Known || i.Outlook.Verdict.Route != "" }

// Wants says what policy denies the plainest ask for.
func (i Item) Wants() (out []string) {
	for _, r := range i.Outlook.Verdict.Reasons {
		if r.Deny {
			out = append(out, r.Text)
		}
	}
	return out
}

// mostItems bounds a catalog page: policy is asked about each of them.
const mostItems = 60

func (p Pages) catalog(r *http.Request, who door.Caller) (frame.Answer, error) {
	f := Filter{
		strings.TrimSpace(r.FormValue("q")), r.FormValue("for"), r.FormValue("target"), r.FormValue("environment"), r.FormValue("credential"),
	}
	subjects := p.Door.MayAskFor(who)
	if !slices.ContainsFunc(subjects, func(i writ.Identity) bool { return i.Name == f.For }) {
		f.For = plainest(subjects)
	}
	targets := map[string]writ.Target{}
	for _, doc := range p.Door.Documents("target", "") {
		targets[doc.Head().Name] = doc.(writ.Target)
	}
	var items []Item
	choice := map[string]map[string]bool{"target": {}, "environment": {}, "credential": {}}
	for _, doc := range p.Door.Documents("entitlement", "") {
		i := Item{Entitlement: doc.(writ.Entitlement)}
		i.Environment = targets[i.Target].Environment
		choice["target"][i.Target], choice["environment"][i.Environment], choice["credential"][i.Credential] = true, true, true
		if f.holds(i) {
			items = append(items, i)
		}
	}
	more := max(0, len(items)-mostItems)
	items = items[:len(items)-more]
	for n, i := range items {
		items[n].Outlook = frame.Ahead(p.Door, who, writ.Ref(f.For), i.Entitlement)
	}
	slices.SortStableFunc(items, func(a, b Item) int { return rank(a) - rank(b) })
	return frame.Answer{Page: "ask", Data: map[string]any{
		"Filter": f, "Subjects": subjects, "Items": items, "More": more, "Choice": choice,
	}}, nil
}

// plainest is whom people mostly ask for: a machine of theirs before themselves.
func plainest(subjects []writ.Identity) string {
	for _, i := range subjects {
		if !i.Human() {
			return i.Name
		}
	}
	if len(subjects) > 0 {
		return subjects[0].Name
	}
	return ""
}

func (f Filter) holds(i Item) bool {
	is := func(want, have string) bool { return want == "" || want == have }
	text := strings.ToLower(i.Name + " " + i.Title + " " + i.Description)
	for word := range strings.FieldsSeq(strings.ToLower(f.Query)) {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return is(f.Target, i.Target) && is(f.Environment, i.Environment) && is(f.Credential, i.Credential)
}

func rank(i Item) int {
	if i.Open() {
		return 0
	}
	return 1
}

// entitlement returns the one that an address names.
func (p Pages) entitlement(r *http.Request) (writ.Entitlement, error) {
	name := r.PathValue("name")
	docs := p.Door.Documents("entitlement", cmp.Or(name, "-"))
	if len(docs) == 0 {
		return writ.Entitlement{}, writ.Errorf(writ.NotFound, "there is no entitlement %q; the catalog lists what there is", name)
	}
	return docs[0].(writ.Entitlement), nil
}
