// Package inventory shows what there is and how it stands: identities, targets,
// and where to find them.
package inventory

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/door"
	"github.com/writhq/writ/internal/page/frame"
)

// Pages are those of this package.
type Pages struct{ Door *door.Door }

// Routes returns the handlers by patterns of http.ServeMux.
func (p Pages) Routes() map[string]frame.Handler {
	return map[string]frame.Handler{
		"GET /identities":           p.identities,
		"GET /identities/{name...}": p.identity,
		"GET /targets":              p.targets,
		"GET /search":               p.search,
	}
}

// A Row is one identity with what is live of it, as far as the viewer may see.
type Row struct {
	writ.Identity
	Kinds    []string // of credential that it holds
	LastUsed time.Time
	Holding  []writ.Request
	Asking   []writ.Request
}

func rows(identities []writ.Document, live []writ.Request) (out []Row) {
	of := map[writ.UID][]writ.Request{}
	for _, r := range live {
		of[r.Terms.Subject.UID] = append(of[r.Terms.Subject.UID], r)
	}
	for _, doc := range identities {
		row := Row{Identity: doc.(writ.Identity)}
		for _, r := range of[row.UID] {
			row.add(r)
		}
		slices.Sort(row.Kinds)
		out = append(out, row)
	}
	return out
}

func (row *Row) add(r writ.Request) {
	if !r.Status.Holds() {
		row.Asking = append(row.Asking, r)
		return
	}
	row.Holding = append(row.Holding, r)
	if kind := r.Terms.Entitlement.Credential; !slices.Contains(row.Kinds, kind) {
		row.Kinds = append(row.Kinds, kind)
	}
	if r.Seen.LastUsed.After(row.LastUsed) {
		row.LastUsed = r.Seen.LastUsed
	}
}

// mostRows bounds a page.
const mostRows = 200

func (p Pages) identities(r *http.Request, who door.Caller) (frame.Answer, error) {
	live, err := p.Door.Live(r.Context(), who)
	if err != nil {
		return frame.Answer{}, err
	}
	q, kind, only := r.FormValue("q"), r.FormValue("kind"), r.FormValue("only")
	kinds := map[string]bool{}
	var out []Row
	for _, row := range rows(p.Door.Documents("identity", ""), live) {
		kinds[row.Ref().Kind()] = true
		mine := row.Owner == who.Name || row.Deputy == who.Name || row.UID == who.UID
		if !matches(q, row.Name, row.Title, row.Purpose, string(row.Owner)) || kind != "" && kind != row.Ref().Kind() ||
			only == "mine" && !mine || only == "holding" && len(row.Holding) == 0 {
			continue
		}
		out = append(out, row)
	}
	more := max(0, len(out)-mostRows)
	return frame.Answer{Page: "identities", Data: map[string]any{
		"Query": q, "Kind": kind, "Only": only, "Kinds": kinds, "Rows": out[:len(out)-more], "More": more, "Cut": len(live) == door.MostLive,
	}}, nil
}

// matches reports whether each word of the query is in the text.
func matches(query string, text ...string) bool {
	all := strings.ToLower(strings.Join(text, " "))
	for word := range strings.FieldsSeq(strings.ToLower(query)) {
		if !strings.Contains(all, word) {
			return false
		}
	}
	return true
}

func (p Pages) identity(r *http.Request, who door.Caller) (frame.Answer, error) {
	name := r.PathValue("name")
	docs := p.Door.Documents("identity", name)
	if name == "" || len(docs) == 0 {
		return frame.Answer{}, writ.Errorf(writ.NotFound, "there is no identity %q; the inventory lists those there are", name)
	}
	live, err := p.Door.Live(r.Context(), who)
	if err != nil {
		return frame.Answer{}, err
	}
	row := rows(docs, live)[0]
	past, err := p.Door.List(r.Context(), who, door.Filter{
		Subject: row.Ref(), Status: []writ.Status{writ.StatusClosed, writ.StatusDenied, writ.StatusLapsed, writ.StatusWithdrawn}, Limit: 20,
	})
	if err != nil {
		return frame.Answer{}, err
	}
	may := slices.ContainsFunc(p.Door.MayAskFor(who), func(i writ.Identity) bool { return i.UID == row.UID })
	return frame.Answer{Page: "identity", Data: map[string]any{
		"I": row, "Past": past.Requests, "May": may, "Groups": p.Door.Groups(row.Ref()), "Owned": p.owned(row.Ref()), "Could": p.could(who, row, may),
	}}, nil
}

// owned are the identities that this one answers for.
func (p Pages) owned(name writ.Ref) (out []writ.Identity) {
	for _, doc := range p.Door.Documents("identity", "") {
		if i := doc.(writ.Identity); i.Owner == name || i.Deputy == name {
			out = append(out, i)
		}
	}
	return out
}

// A Chance is what the viewer could ask for, for an identity.
type Chance struct {
	writ.Entitlement
	Stages []writ.Stage
}

// mostChances bounds how often policy is asked for one page.
const mostChances = 60

func (p Pages) could(who door.Caller, row Row, may bool) (out []Chance) {
	if !may {
		return nil
	}
	for n, doc := range p.Door.Documents("entitlement", "") {
		if n == mostChances {
			break
		}
		e := doc.(writ.Entitlement)
		if o := frame.Ahead(p.Door, who, row.Ref(), e); !o.Known || o.Verdict.Route != "" {
			out = append(out, Chance{e, o.Verdict.Stages})
		}
	}
	return out
}
