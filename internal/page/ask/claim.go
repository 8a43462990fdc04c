package ask

import (
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/door"
	"github.com/writhq/writ/internal/page/frame"
)

// A Line is one named part of a credential.
type Line struct{ Name, Value string }

// claimPage says what claiming does. It takes nothing: a link carries no authority.
func (p Pages) claimPage(r *http.Request, who door.Caller) (frame.Answer, error) {
	d, err := p.Door.Show(r.Context(), who, writ.ID(r.PathValue("id")))
	if err != nil {
		return frame.Answer{}, err
	}
	return frame.Answer{Page: "claim", Data: map[string]any{"R": d.Request, "Cannot": cannot(d.Request, who)}}, nil
}

// cannot says why the viewer would be refused, as far as that is known before.
func cannot(r writ.Request, who door.Caller) string {
	switch {
	case who.UID != r.Terms.Requester.UID:
		return "Only " + string(r.Terms.Requester.Name) + ", who asked, may claim it."
	case r.Terms.Entitlement.Credential == writ.SharedCredential:
		return "There is nothing to claim: " + string(r.Terms.Subject.Name) + " has the access itself."
	case r.Claimed != nil:
		return "It was claimed, and it is given once. If it is lost, release this access and ask again."
	case r.Status != writ.StatusActive:
		return "This request is " + string(r.Status) + "; a credential can be claimed while access is active."
	}
	return ""
}

// claim shows the credential, this once. It goes into this one answer and
// nowhere else, and no cache keeps it.
func (p Pages) claim(r *http.Request, who door.Caller) (frame.Answer, error) {
	id := writ.ID(r.PathValue("id"))
	before, err := p.Door.Show(r.Context(), who, id)
	if err != nil {
		return frame.Answer{}, err
	}
	given, err := p.Door.Claim(r.Context(), who, id)
	if err != nil {
		return frame.Answer{}, err
	}
	data := map[string]any{"R": before.Request, "Given": true}
	if given.Credential == nil {
		data["Sealed"] = base64.StdEncoding.EncodeToString(given.Sealed)
		return frame.Answer{Page: "claim", Data: data}, nil
	}
	c := given.Credential
	data["Kind"], data["Until"] = string(c.Kind), c.Until
	data["Env"], data["Files"] = lines(c.Env), lines(c.Files)
	data["Shell"] = shell(c.Env)
	return frame.Answer{Page: "claim", Data: data}, nil
}

func lines(m map[string]string) (out []Line) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, Line{name, m[name]})
	}
	return out
}

// shell sets the variables in a POSIX shell, whatever they contain.
func shell(env map[string]string) string {
	var b strings.Builder
	for _, l := range lines(env) {
		b.WriteString("export " + l.Name + "='" + strings.ReplaceAll(l.Value, "'", `'\''`) + "'\n")
	}
	return b.String()
}
