package view

import (
	"encoding/json"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/term"
)

// A Leaf is one leaf of terms, beside what it was before they were narrowed.
type Leaf struct {
	Label, Value string
	Was          string
	Changed      bool // Was is what it was; empty: there was none
	Gone         bool // there is none any more
}

// Leaves returns every leaf of the terms. Where earlier terms are given, each
// leaf that differs says what it was, and one that is gone stands there too.
func Leaves(now writ.Terms, earlier ...writ.Terms) ([]Leaf, error) {
	rows, err := flat(now)
	if err != nil || len(earlier) == 0 {
		return rows, err
	}
	before, err := flat(earlier[0])
	was := map[string]string{}
	for _, l := range before {
		was[l.Label] = l.Value
	}
	for i, l := range rows {
		old, there := was[l.Label]
		rows[i].Was, rows[i].Changed = old, !there || old != l.Value
		delete(was, l.Label)
	}
	for _, l := range before {
		if _, gone := was[l.Label]; gone {
			rows = append(rows, Leaf{Label: l.Label, Was: l.Value, Changed: true, Gone: true})
		}
	}
	return rows, err
}

func flat(t writ.Terms) (out []Leaf, err error) {
	data, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	found, err := term.Leaves(data)
	for _, r := range found {
		value, _ := r.Value.(term.Markup) // Leaves makes nothing else
		out = append(out, Leaf{Label: r.Label, Value: string(value)})
	}
	return out, err
}
