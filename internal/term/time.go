package term

import (
	"fmt"
	"time"
)

// When returns a moment for people: "in 3h 12m (2026-11-23T21:00:05Z)". It is
// empty for no moment.
func (s *Screen) When(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	exact := t.UTC().Format(time.RFC3339)
	switch d := t.Sub(s.Now()).Round(time.Second); {
	case d > 0:
		return "in " + Span(d) + " (" + exact + ")"
	case d < 0:
		return Span(-d) + " ago (" + exact + ")"
	}
	return "now (" + exact + ")"
}

// Span returns a length of time in its two largest units: "3h 12m", "40d".
func Span(d time.Duration) string {
	days, hours, minutes, seconds := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case days >= 14 || days > 0 && hours == 0:
		return fmt.Sprintf("%dd", days)
	case days > 0:
		return fmt.Sprintf("%dd %dh", days, hours)
	case hours > 0 && minutes > 0:
		return fmt.Sprintf("%dh %dm", hours, minutes)
	case hours > 0:
		return fmt.Sprintf("%dh", hours)
	case minutes >= 10 || minutes > 0 && seconds == 0:
		return fmt.Sprintf("%dm", minutes)
	case minutes > 0:
		return fmt.Sprintf("%dm %ds", minutes, seconds)
	}
	return fmt.Sprintf("%ds", seconds)
}
