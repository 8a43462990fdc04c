package inventory

import (
	"net/http"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/door"
	"github.com/writhq/writ/internal/page/frame"
)

// A System is one target with what is live there, as far as the viewer may see.
type System struct {
	writ.Target
	Entitlements []writ.Entitlement
	Active       []writ.Request
	Queue        []writ.Request // authorized, or a call to the target is to be made
	Asked        int
	Problem      string // the newest, of a request there
	ProblemOf    writ.ID
	Observed     time.Time
}

func (p Pages) targets(r *http.Request, who door.Caller) (frame.Answer, error) {
	live, err := p.Door.Live(r.Context(), who)
	if err != nil {
		return frame.Answer{}, err
	}
	systems, at := []*System{}, map[string]*System{}
	for _, doc := range p.Door.Documents("target", "") {
		s := &System{Target: doc.(writ.Target)}
		systems, at[s.Name] = append(systems, s), s
	}
	for _, doc := range p.Door.Documents("entitlement", "") {
		if e := doc.(writ.Entitlement); at[e.Target] != nil {
			at[e.Target].Entitlements = append(at[e.Target].Entitlements, e)
		}
	}
	for _, q := range live {
		if s := at[q.Terms.Entitlement.Target]; s != nil {
			s.add(q)
		}
	}
	for _, s := range systems {
		if len(s.Active) == 0 {
			continue
		}
		newest, err := p.Door.Show(r.Context(), who, s.Active[0].ID)
		if err != nil {
			return frame.Answer{}, err
		}
		s.Observed = observed(newest)
	}
	return frame.Answer{Page: "targets", Data: map[string]any{"Systems": systems, "Cut": len(live) == door.MostLive}}, nil
}

// observed returns when the target was last read back for a request: with each
// grant and each end it is.
func observed(d door.Dossier) (at time.Time) {
	for _, e := range d.Events {
		if e.Kind == (writ.Granted{}).Kind() || e.Kind == (writ.Revoked{}).Kind() || e.Kind == (writ.Strayed{}).Kind() {
			at = e.At
		}
	}
	return at
}

// add counts a request; they come newest first.
func (s *System) add(r writ.Request) {
	switch r.Status {
	case writ.StatusActive:
		s.Active = append(s.Active, r)
	case writ.StatusPending:
		s.Asked++
	default:
		s.Queue = append(s.Queue, r)
	}
	if r.Problem != "" && s.Problem == "" {
		s.Problem, s.ProblemOf = r.Problem, r.ID
	}
}
