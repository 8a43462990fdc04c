package term

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/writhq/writ"
)

// status returns a status in its colour.
func (s *Screen) status(status writ.Status) Markup {
	switch status {
	case writ.StatusActive:
		return s.Good(string(status))
	case writ.StatusDenied:
		return s.Bad(string(status))
	case writ.StatusClosed, writ.StatusWithdrawn, writ.StatusLapsed:
		return s.Faint(string(status))
	}
	return s.Pending(string(status))
}

// Request shows a request in three lines: which one, what it is about, and
// where it stands.
func (s *Screen) Request(r writ.Request) {
	t := r.Terms
	s.Say("%v  %v", s.Bold(string(r.ID)), s.status(r.Status))
	asked := ""
	if t.Requester.Name != t.Subject.Name {
		asked = ", asked by " + string(t.Requester.Name)
	}
	s.Say("  %s gets %s%s for %s%s", t.Subject.Name, t.Entitlement.Name, scope(t.Scope), t.For, asked)
	s.Say("  %s", s.standing(r))
}

// Requests shows requests below each other.
func (s *Screen) Requests(rs []writ.Request) {
	for i, r := range rs {
		if i > 0 {
			s.Say("")
		}
		s.Request(r)
	}
}

func scope(values map[string]string) string {
	var parts []string
	for name, value := range values {
		parts = append(parts, name+"="+value)
	}
	if len(parts) == 0 {
		return ""
	}
	slices.Sort(parts)
	return " (" + strings.Join(parts, ", ") + ")"
}

// standing says what a request waits for, or how it ended.
func (s *Screen) standing(r writ.Request) string {
	switch r.Status {
	case writ.StatusPending:
		return Waiting(r) + "; lapses " + s.When(r.LapseAt)
	case writ.StatusAuthorized:
		return "starts " + s.When(r.From)
	case writ.StatusGranting:
		return "is being granted" + trouble(r)
	case writ.StatusActive:
		return "ends " + s.When(r.Until)
	case writ.StatusRevoking:
		return "is being taken away" + because(r) + trouble(r)
	case writ.StatusDenied:
		return "was denied " + s.When(r.ClosedAt) + trouble(r)
	case writ.StatusLapsed:
		return "lapsed " + s.When(r.ClosedAt) + ", undecided"
	case writ.StatusClosed:
		return "is gone, seen " + s.When(r.ClosedAt) + because(r)
	}
	return "was " + string(r.Status) + " " + s.When(r.ClosedAt) // withdrawn
}

func trouble(r writ.Request) string {
	if r.Problem == "" {
		return ""
	}
	return ": " + r.Problem
}

func because(r writ.Request) string {
	if r.End == nil {
		return ""
	}
	text := " (" + string(r.End.Cause)
	if r.End.Detail != "" {
		text += ": " + r.End.Detail
	}
	return text + ")"
}

// Waiting says for whom a pending request waits.
func Waiting(r writ.Request) string {
	stage, ok := r.Open(r.Asked())
	if !ok {
		return "waits for policy"
	}
	var names []string
	for _, a := range r.Waiting() {
		names = append(names, fmt.Sprintf("%s (%s)", a.Name, a.As))
	}
	who := cmp.Or(strings.Join(names, ", "), "nobody who still may")
	voted := 0
	for _, v := range r.Votes {
		if v.Stage == stage.Name {
			voted++
		}
	}
	switch missing := max(stage.Quorum-voted, 1); {
	case missing > 1:
		who = fmt.Sprintf("%d of %s", missing, who)
	case len(names) > 1:
		who = "one of " + who
	}
	return fmt.Sprintf("stage %s waits for %s", stage.Name, who)
}
