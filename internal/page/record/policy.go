// Package record shows what is on record: the rules as they are, and the ledger
// of what happened, which a browser can check for itself.
package record

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/door"
	"github.com/writhq/writ/internal/page/frame"
)

// Pages are those of this package.
type Pages struct{ Door *door.Door }

// Routes returns the handlers by patterns of http.ServeMux.
func (p Pages) Routes() map[string]frame.Handler {
	return map[string]frame.Handler{
		"GET /policy":    p.policy,
		"POST /policy":   p.try,
		"GET /log":       p.log,
		"GET /log/{pos}": p.event,
	}
}

// A Trial is a request that is tried against policy, as it was filled in.
type Trial struct{ Subject, Entitlement, Scope, For, Ticket, Why, Ends string }

func (p Pages) policy(_ *http.Request, who door.Caller) (frame.Answer, error) {
	return p.show(who, Trial{For: "1h"}), nil
}

func (p Pages) show(who door.Caller, t Trial) frame.Answer {
	rules := rulesOf(p.Door.Store.Directory(), time.Now().UTC())
	failed := 0
	for _, r := range rules.Results {
		if len(r.Problems) > 0 {
			failed++
		}
	}
	return frame.Answer{Page: "policy", Data: map[string]any{
		"Rules": rules, "Failed": failed, "Trial": t, "Subjects": p.Door.MayAskFor(who), "Entitlements": p.Door.Documents("entitlement", ""),
	}}
}

// try says what each rule has to do with an ask. Nobody is asked.
func (p Pages) try(r *http.Request, who door.Caller) (frame.Answer, error) {
	t := Trial{
		r.FormValue("subject"), r.FormValue("entitlement"), r.FormValue("scope"), strings.TrimSpace(r.FormValue("for")),
		strings.TrimSpace(r.FormValue("ticket")), r.FormValue("why"), r.FormValue("ends"),
	}
	out := p.show(who, t)
	a, err := t.ask()
	if err == nil {
		var seen door.Preview
		if seen, err = p.Door.Preview(r.Context(), who, a); err == nil {
			out.Data["Seen"] = seen
			return out, nil
		}
	}
	fault, ok := errors.AsType[writ.Fault](err)
	if !ok || !slices.Contains([]writ.Fault{writ.Invalid, writ.Forbidden, writ.Conflict}, fault) {
		return frame.Answer{}, err
	}
	out.Data["Problem"], out.Status = err.Error(), http.StatusUnprocessableEntity
	return out, nil
}

func (t Trial) ask() (door.Ask, error) {
	a := door.Ask{
		Subject: writ.Ref(t.Subject), Entitlement: t.Entitlement, Ticket: t.Ticket, Why: t.Why, Ends: words(t.Ends), Scope: map[string]string{},
	}
	for _, part := range words(t.Scope) {
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			return a, writ.Errorf(writ.Invalid, "scope %q: write it as name=value", part)
		}
		a.Scope[name] = value
	}
	var err error
	a.For, err = writ.ParseDuration(t.For)
	return a, err
}

func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(", \n\r\t", r) })
}
