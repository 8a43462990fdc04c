package door

import (
	"context"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store"
)

// MostLive is how many live requests Live returns at most.
const MostLive = 1000

// Live returns the requests that hold access, may, or ask for it, of those that
// the caller may see: the newest MostLive.
func (d *Door) Live(ctx context.Context, who Caller) ([]writ.Request, error) {
	return d.list(ctx, d.facts(who), store.Query{Status: liveStatuses, Limit: MostLive})
}

// Groups returns the groups that an identity is a member of.
func (d *Door) Groups(name writ.Ref) []writ.Ref { return d.Store.Directory().GroupsOf(name) }
