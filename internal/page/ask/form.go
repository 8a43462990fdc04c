package ask

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/door"
	"github.com/writhq/writ/internal/page/frame"
)

// A Form is what somebody filled in, as they did.
type Form struct {
	Subject, For, Start, Ends, Ticket, Why, Recipient, PublicKey string
	Scope                                                        map[string]string
	Key                                                          string // makes sending it twice harmless
}

// A Field is one scope parameter of the form.
type Field struct {
	Name string
	writ.Param
	Value string
}

func read(r *http.Request, e writ.Entitlement) Form {
	f := Form{
		Subject: r.FormValue("subject"), For: strings.TrimSpace(r.FormValue("for")), Start: r.FormValue("start"), Ends: r.FormValue("ends"),
		Ticket: strings.TrimSpace(r.FormValue("ticket")), Why: r.FormValue("why"), Recipient: strings.TrimSpace(r.FormValue("recipient")),
		PublicKey: r.FormValue("publicKey"), Key: r.FormValue("key"), Scope: map[string]string{},
	}
	for name := range e.Scope {
		if value := strings.TrimSpace(r.FormValue("scope." + name)); value != "" {
			f.Scope[name] = value
		}
	}
	return f
}

// layout is how browsers send a moment of their datetime-local fields, with and
// without seconds.
const layout, seconds = "2006-01-02T15:04", "2006-01-02T15:04:05"

// ask returns what the form asks for, as the API reads it.
func (f Form) ask(entitlement string) (door.Ask, error) {
	a := door.Ask{
		Subject: writ.Ref(f.Subject), Entitlement: entitlement, Scope: f.Scope, Ticket: f.Ticket, Why: f.Why,
		Recipient: f.Recipient, PublicKey: f.PublicKey,
		Ends: strings.FieldsFunc(f.Ends, func(r rune) bool { return strings.ContainsRune(", \n\t", r) }),
	}
	var err error
	if a.For, err = writ.ParseDuration(f.For); err != nil {
		return a, err
	}
	if f.Start == "" {
		return a, nil
	}
	if a.StartAt, err = time.Parse(layout, f.Start); err != nil {
		a.StartAt, err = time.Parse(seconds, f.Start)
	}
	if err != nil {
		return a, writ.Errorf(writ.Invalid, "%q is no moment; write it as 2026-11-23T20:00, in UTC", f.Start)
	}
	return a, nil
}

// fingerprint is of all that was sent.
func fingerprint(entitlement string, sent url.Values) writ.Digest {
	sum := sha256.Sum256([]byte(entitlement + "\n" + sent.Encode()))
	return writ.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

func (p Pages) form(r *http.Request, who door.Caller) (frame.Answer, error) {
	e, err := p.entitlement(r)
	if err != nil {
		return frame.Answer{}, err
	}
	f := read(r, e)
	f.Key = rand.Text()
	if f.For == "" {
		f.For = min(e.MaxFor, writ.Of(time.Hour)).String()
	}
	if f.Subject == "" {
		f.Subject = plainest(p.Door.MayAskFor(who))
	}
	return p.show(who, e, f), nil
}

// show is the form of an entitlement.
func (p Pages) show(who door.Caller, e writ.Entitlement, f Form) frame.Answer {
	var fields []Field
	for _, name := range sortedKeys(e.Scope) {
		param, value := e.Scope[name], f.Scope[name]
		if value == "" {
			value = param.Default
		}
		fields = append(fields, Field{name, param, value})
	}
	var environment string
	for _, doc := range p.Door.Documents("target", e.Target) {
		environment = doc.(writ.Target).Environment
	}
	var spans []writ.Duration
	for _, d := range []time.Duration{15 * time.Minute, time.Hour, 4 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour} {
		if writ.Of(d) < e.MaxFor {
			spans = append(spans, writ.Of(d))
		}
	}
	return frame.Answer{Page: "askform", Data: map[string]any{
		"E": e, "Form": f, "Fields": fields, "Subjects": p.Door.MayAskFor(who), "Environment": environment,
		"Spans": append(spans, e.MaxFor), "NeedsKey": e.Credential == "certificate" || e.Credential == "ssh-certificate",
	}}
}

func sortedKeys[V any](m map[string]V) (out []string) {
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// ask asks, or says what would become of it. What cannot be asked for is said
// beside the form, with all that was filled in.
func (p Pages) ask(r *http.Request, who door.Caller) (frame.Answer, error) {
	e, err := p.entitlement(r)
	if err != nil {
		return frame.Answer{}, err
	}
	f := read(r, e)
	out := p.show(who, e, f)
	a, err := f.ask(e.Name)
	if err == nil && r.FormValue("do") != "submit" {
		var seen door.Preview
		if seen, err = p.Door.Preview(r.Context(), who, a); err == nil {
			out.Data["Preview"] = seen
			return out, nil
		}
	} else if err == nil {
		who.Key, who.Fingerprint = f.Key, fingerprint(e.Name, r.PostForm)
		var made writ.Request
		if made, err = p.Door.Submit(r.Context(), who, a); made.ID != "" {
			return submitted(made, err), nil
		}
	}
	fault, ok := errors.AsType[writ.Fault](err)
	if !ok || fault != writ.Invalid && fault != writ.Forbidden && fault != writ.Conflict {
		return frame.Answer{}, err
	}
	out.Data["Problem"], out.Status = err.Error(), http.StatusUnprocessableEntity
	return out, nil
}

// submitted goes to the request: it is on record, also where policy refused it.
func submitted(made writ.Request, err error) frame.Answer {
	notice := "You asked for it. It is " + string(made.Status) + "."
	if err != nil {
		notice = "You asked for it, and " + err.Error() + "."
	}
	return frame.Answer{To: "/requests/" + string(made.ID), Notice: notice}
}
