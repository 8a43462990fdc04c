package door

import (
	"maps"
	"slices"

	"github.com/writhq/writ"
)

// MayAskFor returns the identities that the caller may ask access for: their
// own first, then by name.
func (d *Door) MayAskFor(who Caller) (out []writ.Identity) {
	dir := d.Store.Directory()
	for _, name := range slices.Sorted(maps.Keys(dir.Identities)) {
		i := dir.Identities[name]
		if writ.MayAsk(dir, who.Party, i.Party()) != nil {
			continue
		}
		if i.UID == who.UID {
			out = slices.Insert(out, 0, i)
			continue
		}
		out = append(out, i)
	}
	return out
}
