package frame

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/writhq/writ/internal/term"
)

// Funcs are what the templates of all parts may do.
var Funcs = template.FuncMap{
	"ago":  ago,
	"iso":  func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"dict": dict,
	"text": func(v any) string { return term.Safe(fmt.Sprint(v)) },
	"join": func(sep string, parts []string) string { return term.Safe(strings.Join(parts, sep)) },
}

// ago says how far from now a moment is.
func ago(t time.Time) string {
	switch d := time.Until(t).Round(time.Second); {
	case d > 0:
		return "in " + term.Span(d)
	case d < 0:
		return term.Span(-d) + " ago"
	}
	return "now"
}

// dict makes the data of a template within a template.
func dict(pairs ...any) (map[string]any, error) {
	out := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("%v is no name", pairs[i])
		}
		out[name] = pairs[i+1]
	}
	return out, nil
}
