package page

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/assent"
	"github.com/writhq/writ/internal/door"
)

func (p *Pages) keys(_ *http.Request, v *viewer) (answer, error) {
	data := map[string]any{
		"Viewer": v, "Keys": p.Door.Keys(v.Caller), "Algorithms": assent.PasskeyAlgorithms,
		"User": base64.RawURLEncoding.EncodeToString([]byte(v.UID)),
		"Late": time.Since(v.SignedIn) > writ.EnrolWithin,
	}
	rp, err := assent.RPOf(p.Origin)
	if data["RP"] = rp; err != nil {
		data["Cannot"] = sentence(err.Error())
	}
	return answer{page: "keys", data: data}, nil
}

func (p *Pages) enrol(r *http.Request, v *viewer) (answer, error) {
	var sent struct {
		Nonce []byte          `json:"nonce"`
		Proof json.RawMessage `json:"proof"`
	}
	if err := json.Unmarshal([]byte(r.FormValue("registration")), &sent); err != nil {
		return answer{}, writ.Errorf(writ.Invalid, "no passkey was made; this needs a browser with scripts and passkeys")
	}
	k, err := p.Door.Enrol(r.Context(), v.Caller, door.Enrolment{Method: writ.ByPasskey, Title: r.FormValue("title"), Nonce: sent.Nonce, Proof: sent.Proof})
	if err != nil {
		return answer{}, err
	}
	return p.done(r.Context(), "/keys", "Enrolled "+k.Name+".")
}

func (p *Pages) disenrol(r *http.Request, v *viewer) (answer, error) {
	name := r.PathValue("name")
	if err := p.Door.Disenrol(r.Context(), v.Caller, name); err != nil {
		return answer{}, err
	}
	return p.done(r.Context(), "/keys", "Removed "+name+". What it has approved stays approved.")
}
