package inventory

import (
	"net/http"
	"strings"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/door"
	"github.com/writhq/writ/internal/page/frame"
)

// A Hit is a page that was found.
type Hit struct{ Path, Name, What string }

// Places are the pages that everybody has.
var Places = []Hit{
	{"/", "Requests", "what waits for you"}, {"/access", "Access", "what there is, for how long"}, {"/ask", "Ask for access", "the catalog"}, {"/identities", "Identities", "the inventory"},
	{"/targets", "Targets", "systems"}, {"/policy", "Policy", "rules, tests, trying"}, {"/log", "Ledger", "what happened"}, {"/keys", "Keys", "passkeys and SSH keys"},
}

// mostHits bounds each kind of what is found.
const mostHits = 30

func (p Pages) search(r *http.Request, who door.Caller) (frame.Answer, error) {
	q := strings.TrimSpace(r.FormValue("q"))
	var hits []Hit
	add := func(h Hit, text ...string) {
		if matches(q, append(text, h.Name, h.What)...) {
			hits = append(hits, h)
		}
	}
	for _, h := range Places {
		add(h)
	}
	page, err := p.Door.List(r.Context(), who, door.Filter{Limit: 200})
	if err != nil {
		return frame.Answer{}, err
	}
	for _, req := range page.Requests {
		t := req.Terms
		add(Hit{"/requests/" + string(req.ID), t.Entitlement.Name, string(t.Subject.Name) + ", " + string(req.Status)}, string(req.ID), t.Ticket)
	}
	for _, doc := range p.Door.Documents("identity", "") {
		i := doc.(writ.Identity)
		add(Hit{"/identities/" + i.Name, i.Name, i.Title})
	}
	for _, doc := range p.Door.Documents("entitlement", "") {
		e := doc.(writ.Entitlement)
		add(Hit{"/ask/" + e.Name, e.Name, "ask for: " + e.Title})
	}
	more := max(0, len(hits)-mostHits)
	return frame.Answer{Page: "search", Data: map[string]any{"Query": q, "Hits": hits[:len(hits)-more], "More": more}}, nil
}
