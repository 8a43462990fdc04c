package term

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/writhq/writ/client"
)

// Credential shows a credential to its holder.
func (s *Screen) Credential(c client.Credential) {
	rows := []Row{{Label: "kind", Value: c.Kind}, {Label: "until", Value: s.When(c.Until)}}
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		rows = append(rows, Row{Label: name, Value: c.Env[name]})
	}
	s.Rows(0, rows...)
	for _, name := range slices.Sorted(maps.Keys(c.Files)) {
		s.Say("\n%v", s.Bold(name))
		for line := range strings.SplitSeq(strings.TrimRight(c.Files[name], "\n"), "\n") {
			fmt.Fprintln(s.W, Safe(line))
		}
	}
}
