package term

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/writhq/writ"
	"github.com/writhq/writ/client"
)

// Documents lists documents, or shows them whole: every leaf.
func (s *Screen) Documents(docs []json.RawMessage, whole bool) error {
	for _, data := range docs {
		var d struct {
			writ.Header
			Title  string
			Source string
		}
		if err := json.Unmarshal(data, &d); err != nil {
			return err
		}
		if !whole {
			s.Say("%s %v  %s", fmt.Sprintf("%-11s", d.Kind), s.Bold(d.Name), d.Title)
			continue
		}
		if d.Kind == "policy" {
			s.Say("%s %v  version %d\n", d.Kind, s.Bold(d.Name), d.Version)
			s.Quote(0, d.Source)
			continue
		}
		rows, err := Leaves(data)
		if err != nil {
			return err
		}
		s.Rows(0, rows...)
	}
	return nil
}

// Changes lists what became of each document.
func (s *Screen) Changes(changes []client.Change, dry bool) {
	would := ""
	if dry {
		would = "would be "
	}
	width := 0
	for _, c := range changes {
		width = max(width, len(would+c.Change))
	}
	for _, c := range changes {
		mark := s.Good(would + c.Change)
		if c.Change == "unchanged" {
			mark = s.Faint(would + c.Change)
		}
		s.Say("%v%v  %s %s", mark, Markup(strings.Repeat(" ", width-len(would+c.Change))), c.Kind, c.Name)
		if c.Unchecked != "" {
			s.Say("%v  not checked: %s", Markup(strings.Repeat(" ", width)), c.Unchecked)
		}
	}
}
