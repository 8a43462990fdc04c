package door

import (
	"context"

	"github.com/writhq/writ"
	"github.com/writhq/writ/evidence"
)

// Evidence returns the file that shows anybody what became of a request that the
// caller may see, with its free texts if those are wanted.
func (d *Door) Evidence(ctx context.Context, who Caller, id writ.ID, texts bool) (evidence.File, error) {
	r, err := d.get(ctx, who, id)
	if err != nil {
		return evidence.File{}, err
	}
	var with []evidence.Text
	if texts {
		kept, err := d.keptTexts(ctx, r)
		if err != nil {
			return evidence.File{}, err
		}
		for _, t := range kept {
			with = append(with, evidence.Text{Name: t.Name, Salt: t.Salt, Text: t.Text})
		}
	}
	return evidence.Build(ctx, d.Store, id, evidence.Keys{Log: d.Store.Log.VerifierKey()}, with)
}
