// Package view works out what pages show: of what a request is and was, what
// stands out, what changed, what happened, and how long things last. All of it
// is pure; it reads no clock and asks nobody.
package view

import (
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/term"
)

// When says how far a moment is from now: "in 3h 12m", "5m ago".
func When(now, t time.Time) string {
	switch d := t.Sub(now).Round(time.Second); {
	case d > 0:
		return "in " + term.Span(d)
	case d < 0:
		return term.Span(-d) + " ago"
	}
	return "now"
}

// Method says in words how an approval shows whose it is.
func Method(m writ.Method) string {
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
