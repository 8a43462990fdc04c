package record

import (
	"maps"
	"slices"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/policy"
)

// Rules are what policy says, and whether its own examples come out.
type Rules struct {
	Files   []policy.File
	Rules   []policy.Rule
	Results []policy.Result
	Problem string // why it does not compile: then nothing is allowed
}

// rulesOf returns policy as the documents have it, and runs its examples.
func rulesOf(dir *writ.Directory, now time.Time) (out Rules) {
	for _, name := range slices.Sorted(maps.Keys(dir.Policies)) {
		out.Files = append(out.Files, policy.File{Name: "policy/" + name, Source: dir.Policies[name].Source})
	}
	p, err := policy.Compile(out.Files...)
	if err != nil {
		out.Problem = err.Error()
		return out
	}
	out.Rules, out.Results = p.Rules(), p.Test(dir, now)
	return out
}
