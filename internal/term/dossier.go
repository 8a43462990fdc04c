package term

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/client"
)

// Dossier shows all that is known of a request. The terms are those of the
// answer itself, with every leaf that is in it.
func (s *Screen) Dossier(d client.Dossier, terms json.RawMessage) error {
	s.Request(d.Request)
	for _, name := range []string{"why", "deny", "revoke"} {
		if text := d.Texts[name]; text != "" {
			s.Say("\n%v", s.Bold(textTitles[name]))
			s.Quote(2, text)
		}
	}
	if err := s.Terms(terms, d.Digest); err != nil {
		return err
	}
	s.verdict(d.Request)
	s.access(d.Request)
	s.Say("\n%v", s.Bold("Life"))
	for _, e := range d.Events {
		s.Rows(2, Row{Label: e.At.UTC().Format(time.RFC3339), Value: Event(e)})
	}
	return nil
}

var textTitles = map[string]string{"why": "Why", "deny": "Why it was denied", "revoke": "Why it was revoked"}

// Terms shows the exact thing that is approved: every leaf of it, and its digest.
func (s *Screen) Terms(terms json.RawMessage, digest writ.Digest) error {
	rows, err := Leaves(terms)
	if err != nil {
		return fmt.Errorf("the terms cannot be shown: %w", err)
	}
	s.Say("\n%v", s.Bold("Terms"))
	s.Rows(2, rows...)
	s.Rows(2, Row{Label: "digest of all of them", Value: digest})
	return nil
}

func (s *Screen) verdict(r writ.Request) {
	s.Say("\n%v", s.Bold("Policy"))
	s.Verdict(r.Verdict)
	for i, stage := range r.Asked().Stages {
		s.Say("  %d. %s: %s", i+1, stage.Name, people(stage))
		for _, v := range r.Votes {
			if v.Stage == stage.Name {
				s.Say("     %v by %s, %s", s.Good("approved"), voter(v), s.When(v.At))
			}
		}
	}
}

// voter says who cast a vote, in whose place, and how it is shown to be theirs.
func voter(v writ.Vote) string {
	text := string(v.By.Name)
	if v.For.Name != "" {
		text += " in the place of " + string(v.For.Name)
	}
	if v.Evidence != nil {
		text += " with " + string(v.Evidence.Method)
	}
	return text
}

// Verdict shows the route and the reasons.
func (s *Screen) Verdict(v writ.Verdict) {
	if v.Route != "" {
		s.Say("  route %s", v.Route)
	}
	for _, r := range v.Reasons {
		mark := s.Good("ok")
		if r.Deny {
			mark = s.Bad("no")
		}
		text := r.Text
		if !strings.Contains(text, r.Rule) {
			text = r.Rule + ": " + text
		}
		s.Say("  %v  %s", mark, text)
	}
}

func people(stage writ.Stage) string {
	text := fmt.Sprintf("%d of %s", stage.Quorum, named(stage.Approvers))
	if len(stage.Approvers) == 0 {
		text = "nobody may"
	}
	if stage.Proof != "" {
		text += ", by " + string(stage.Proof)
	}
	for _, h := range stage.Hours {
		text += ", " + h.String()
	}
	if stage.Escalate != nil {
		text += fmt.Sprintf("; after %s also %s", stage.Escalate.After, named(stage.Escalate.To))
	}
	return text
}

func named(approvers []writ.Approver) string {
	var names []string
	for _, a := range approvers {
		names = append(names, fmt.Sprintf("%s (%s)", a.Name, a.As))
	}
	return strings.Join(names, ", ")
}

func (s *Screen) access(r writ.Request) {
	if r.Serial == "" {
		return
	}
	s.Say("\n%v", s.Bold("Access"))
	claimed := ""
	if r.Claimed != nil {
		claimed = fmt.Sprintf("by %s, %s", r.Claimed.By.Name, s.When(r.Claimed.At))
	}
	seen := string(r.Seen.State)
	if len(r.Seen.Differs) > 0 {
		seen += ", not as ordered: " + strings.Join(r.Seen.Differs, "; ")
	}
	s.Rows(2,
		Row{Label: "writ", Value: r.Serial},
		Row{Label: "from", Value: s.When(r.From)},
		Row{Label: "until", Value: s.When(r.Until)},
		Row{Label: "in the target", Value: r.Receipt.External},
		Row{Label: "fingerprint", Value: r.Receipt.Fingerprint},
		Row{Label: "last seen as", Value: seen},
		Row{Label: "last used", Value: s.When(r.Seen.LastUsed)},
		Row{Label: "claimed", Value: claimed},
		Row{Label: "ended", Value: strings.Trim(because(r), " ()")},
		Row{Label: "kept by", Value: r.KeptBy},
	)
}

// required says whom an approver asked for.
func required(body json.RawMessage) string {
	var b writ.Required
	if json.Unmarshal(body, &b) != nil || len(b.Stage.Approvers) == 0 {
		return ""
	}
	return ": " + string(b.Stage.Approvers[0].Name)
}

// Event says what happened, and who did it, in one line.
func Event(e client.Event) string {
	text := string(e.Kind)
	if e.Actor.Name != writ.System.Name {
		text += " by " + string(e.Actor.Name)
	}
	var b struct {
		Stage, Cause, Detail, Problem, Policy, Found string
		Attempt                                      int
		Evidence                                     *writ.Evidence
	}
	if e.Kind == "required" {
		return text + required(e.Body)
	}
	if json.Unmarshal(e.Body, &b) != nil {
		return text // of a kind that this program does not know
	}
	if b.Stage != "" {
		text += ", stage " + b.Stage
	}
	if b.Evidence != nil {
		text += ", signed by " + string(b.Evidence.Method) + " " + b.Evidence.Key
	}
	if b.Attempt > 1 {
		text += fmt.Sprintf(", attempt %d", b.Attempt)
	}
	for _, more := range []string{b.Cause, b.Detail, b.Problem, b.Policy, b.Found} {
		if more != "" {
			text += ": " + more
		}
	}
	return text
}
