package page

import (
	"cmp"
	"maps"
	"net/http"
	"slices"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/door"
	"github.com/writhq/writ/internal/page/view"
)

// A card is a request that waits for its viewer, with all that they need to
// know whether to open it first.
type card struct {
	view.Case
	May         writ.May
	Why         string
	Subject     writ.Identity
	Entitlement writ.Entitlement
	Holds       []writ.Request
}

// mostCards are shown at once: whoever has more decides the gravest first.
const mostCards = 50

func (p *Pages) inbox(r *http.Request, v *viewer) (answer, error) {
	ctx := r.Context()
	waiting, err := p.Door.Inbox(ctx, v.Caller)
	if err != nil {
		return answer{}, err
	}
	var cards []card
	for _, w := range waiting[:min(len(waiting), mostCards)] {
		c := card{}
		if c.May, err = p.Door.May(ctx, v.Caller, w); err != nil {
			return answer{}, err
		}
		around, err := p.Door.Background(ctx, v.Caller, w)
		if err != nil {
			return answer{}, err
		}
		c.Case, c.Holds, c.Why = caseOf(w, around), around.Holds, around.Texts["why"]
		c.Subject, c.Entitlement = around.Directory.Identities[w.Terms.Subject.Name], around.Directory.Entitlements[w.Terms.Entitlement.Name]
		cards = append(cards, c)
	}
	slices.SortStableFunc(cards, func(a, b card) int { return a.Before(b.Case) })
	mine, err := p.Door.List(ctx, v.Caller, door.Filter{Limit: 20})
	return answer{page: "inbox", data: map[string]any{
		"Viewer": v, "Cards": cards, "More": len(waiting) - len(cards), "Recent": mine.Requests,
	}}, err
}

func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
