package view

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/writhq/writ"
)

// A Step is one event of a life, in words.
type Step struct {
	What string   // what happened
	Tone string   // good, bad or nothing
	More []string // what it shows, each on a line of its own
}

// NewStep explains an event. One of a kind that this program does not know is
// shown by its name.
func NewStep(kind writ.Kind, body json.RawMessage) Step {
	if explain, ok := explained[kind]; ok {
		if s, err := explain(body); err == nil {
			return s
		}
	}
	return Step{What: string(kind)}
}

var explained = map[writ.Kind]func([]byte) (Step, error){
	"submitted":     by(submitted),
	"narrowed":      by(narrowed),
	"required":      by(required),
	"reminded":      by(func(b writ.Reminded) Step { return Step{What: "Reminded stage " + b.Stage} }),
	"escalated":     by(escalated),
	"approved":      by(approved),
	"denied":        by(denied),
	"withdrawn":     by(func(writ.Withdrawn) Step { return Step{What: "Withdrawn"} }),
	"lapsed":        by(func(writ.Lapsed) Step { return Step{What: "Lapsed: nobody decided in time", Tone: "bad"} }),
	"authorized":    by(authorized),
	"grant-begun":   by(grantBegun),
	"granted":       by(granted),
	"grant-failed":  by(func(b writ.GrantFailed) Step { return failed("Not granted", b.Attempt, b.Problem) }),
	"claimed":       by(func(writ.Claimed) Step { return Step{What: "Credential claimed"} }),
	"rechecked":     by(rechecked),
	"ended":         by(ended),
	"revoke-begun":  by(revokeBegun),
	"revoked":       by(revoked),
	"revoke-failed": by(func(b writ.RevokeFailed) Step { return failed("Not taken away yet", b.Attempt, b.Problem) }),
	"strayed": by(func(b writ.Strayed) Step {
		return Step{"Found again", "bad", append([]string{b.Found}, seen(b.Seen)...)}
	}),
}

func by[B writ.Body](explain func(B) Step) func([]byte) (Step, error) {
	return func(data []byte) (Step, error) {
		var b B
		err := json.Unmarshal(data, &b)
		return explain(b), err
	}
}

func submitted(b writ.Submitted) Step {
	s := Step{What: "Asked for " + b.Terms.Entitlement.Name + " for " + b.Terms.For.String()}
	if b.Verdict.Route != "" {
		s.More = append(s.More, "policy: route "+b.Verdict.Route)
	}
	return s
}

func narrowed(b writ.Narrowed) Step {
	d, err := b.Terms.Digest()
	s := Step{What: "Narrowed: revision " + strconv.Itoa(b.Terms.Revision) + ", for " + b.Terms.For.String()}
	if err == nil {
		s.More = []string{"terms " + d.Words()}
	}
	return s
}

func required(b writ.Required) Step {
	return Step{What: "One more approval asked for", More: names("of ", b.Stage.Approvers)}
}

func escalated(b writ.Escalated) Step {
	return Step{What: "More people asked in stage " + b.Stage, More: names("", b.To)}
}

func names(lead string, as []writ.Approver) (out []string) {
	for _, a := range as {
		out = append(out, lead+string(a.Name)+" ("+a.As+")")
	}
	return out
}

func approved(b writ.Approved) Step {
	s := Step{What: "Approved in stage " + b.Stage, Tone: "good"}
	if b.For.Name != "" {
		s.More = append(s.More, "in the place of "+string(b.For.Name))
	}
	if b.Evidence == nil {
		return Step{s.What, s.Tone, append(s.More, "with a session", "terms "+b.Digest.Words())}
	}
	how := "with " + Method(b.Evidence.Method)
	if b.Evidence.Key != "" {
		how += ": " + b.Evidence.Key
	}
	s.More = append(s.More, how, "terms "+b.Digest.Words())
	return s
}

func denied(b writ.Denied) Step {
	s := Step{What: "Denied", Tone: "bad"}
	if b.Policy != "" {
		s.More = []string{"policy: " + b.Policy}
	}
	return s
}

func authorized(b writ.Authorized) Step {
	return Step{"Authorized", "good", []string{b.Serial, "from " + exact(b.From) + " until " + exact(b.Until)}}
}

func grantBegun(b writ.GrantBegun) Step {
	s := Step{What: "The target is told to grant it" + attempt(b.Attempt)}
	if b.Writ != "" {
		s.More = append(s.More, "with the signed writ")
	}
	if b.Instance != "" {
		s.More = append(s.More, "at "+b.Instance)
	}
	return s
}

func granted(b writ.Granted) Step {
	s := Step{What: "Access exists", Tone: "good", More: seen(b.Seen)}
	if b.Receipt.External != "" && b.Receipt.External != b.Seen.External {
		s.More = append(s.More, "named "+b.Receipt.External)
	}
	if b.Receipt.Fingerprint != "" {
		s.More = append(s.More, "credential "+b.Receipt.Fingerprint)
	}
	return deed(s, b.Signed)
}

func rechecked(b writ.Rechecked) Step {
	s := Step{What: "Policy asked again"}
	for _, r := range b.Reasons {
		s.More = append(s.More, r.Rule+": "+r.Text)
	}
	return s
}

func ended(b writ.Ended) Step {
	s := Step{What: "Ended: " + string(b.Cause)}
	if b.Detail != "" {
		s.More = []string{b.Detail}
	}
	return s
}

func revokeBegun(b writ.RevokeBegun) Step {
	s := Step{What: "The target is told to take it away" + attempt(b.Attempt)}
	if b.KeptBy != "" {
		s.More = []string{string(b.KeptBy) + " still holds the same access"}
	}
	return s
}

func revoked(b writ.Revoked) Step {
	s := Step{What: "Proven gone", Tone: "good", More: seen(b.Seen)}
	if b.KeptBy != "" {
		s.What = "Closed; the access stays for " + string(b.KeptBy)
	}
	if b.Instance != "" {
		s.More = append(s.More, "at "+b.Instance)
	}
	return deed(s, b.Signed)
}

func deed(s Step, signed string) Step {
	if signed != "" {
		s.More = append(s.More, "signed by whoever did it")
	}
	return s
}

func failed(what string, n int, problem string) Step {
	return Step{what + attempt(n), "bad", []string{problem}}
}

func attempt(n int) string {
	if n < 2 {
		return ""
	}
	return ", attempt " + strconv.Itoa(n)
}

// seen says what a target really showed.
func seen(o writ.Observation) (out []string) {
	if o.State == "" {
		return nil
	}
	text := "read back as " + string(o.State)
	if o.External != "" {
		text += ": " + o.External
	}
	out = []string{text}
	if !o.Until.IsZero() {
		out = append(out, "the target itself ends it "+exact(o.Until))
	}
	if !o.Residual.IsZero() {
		out = append(out, "whoever checks offline may honour it until "+exact(o.Residual))
	}
	if len(o.Differs) > 0 {
		out = append(out, fmt.Sprintf("not as ordered: %s", strings.Join(o.Differs, "; ")))
	}
	return out
}

func exact(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
