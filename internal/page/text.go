package page

import (
	"encoding/json"
	"html/template"
	"strings"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/door"
	"github.com/writhq/writ/internal/term"
)

// funcs are what templates may do. Text that people or targets wrote goes
// through safe: what no eye sees stands there as its escape.
var funcs = template.FuncMap{
	"safe":   func(text any) string { return term.Safe(plain(text)) },
	"lines":  func(text string) []string { return strings.Split(strings.TrimRight(text, "\n"), "\n") },
	"time":   func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	"why":    waiting,
	"event":  event,
	"method": method,
	"json": func(v any) (string, error) {
		data, err := json.Marshal(v)
		return string(data), err
	},
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

// event says what happened in one line.
func event(e door.Event) string {
	text := string(e.Kind)
	if e.Actor.Name != writ.System.Name {
		text += " by " + string(e.Actor.Name)
	}
	var b struct {
		Stage, Cause, Detail, Problem string
		Evidence                      *writ.Evidence
	}
	if json.Unmarshal(e.Body, &b) != nil {
		return text
	}
	if b.Stage != "" {
		text += ", stage " + b.Stage
	}
	if b.Evidence != nil {
		text += ", signed with " + method(b.Evidence.Method)
	}
	for _, more := range []string{b.Cause, b.Detail, b.Problem} {
		if more != "" {
			text += ": " + more
		}
	}
	return text
}

func method(m writ.Method) string {
	switch m {
	case writ.ByPasskey:
		return "a passkey"
	case writ.BySSH:
		return "an SSH key"
	case writ.ByOIDC:
		return "a new sign-in"
	}
	return "a session"
}
