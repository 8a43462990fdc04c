package page

import (
	"encoding/json"
	"html/template"
	"strings"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/page/view"
	"github.com/writhq/writ/internal/term"
)

// funcs are what templates may do. Text that people or targets wrote goes
// through safe: what no eye sees stands there as its escape.
var funcs = template.FuncMap{
	"safe":   func(text any) string { return term.Safe(plain(text)) },
	"lines":  func(text string) []string { return strings.Split(strings.TrimRight(text, "\n"), "\n") },
	"time":   func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	"iso":    func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"ago":    func(t time.Time) string { return view.When(time.Now(), t) },
	"nav":    func() []place { return places },
	"why":    waiting,
	"method": view.Method,
	"json": func(v any) (string, error) {
		data, err := json.Marshal(v)
		return string(data), err
	},
}

// A place is a page that the navigation leads to.
type place struct{ Path, Name string }

var places = []place{
	{"/", "Requests"},
	{"/access", "Access"},
	{"/ask", "Ask"},
	{"/identities", "Identities"},
	{"/targets", "Targets"},
	{"/policy", "Policy"},
	{"/log", "Ledger"},
	{"/search", "Search"},
	{"/keys", "Keys"},
}

func plain(text any) string {
	switch t := text.(type) {
	case string:
		return t
	case term.Markup:
		return string(t)
	case writ.Ref:
		return string(t)
	case writ.Digest:
		return string(t)
	case writ.Status:
		return string(t)
	case writ.ID:
		return string(t)
	case writ.UID:
		return string(t)
	}
	return ""
}

// waiting says what a request waits for.
func waiting(r writ.Request) string {
	if r.Status == writ.StatusPending {
		return term.Waiting(r)
	}
	return string(r.Status)
}
