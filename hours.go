package writ

import (
	"slices"
	"strings"
	"time"
)

// Hours are when approvals count, in the time of a zone.
type Hours struct {
	Zone string         `json:"zone"`           // IANA name: "Europe/Berlin"
	Days []time.Weekday `json:"days,omitempty"` // none: every day
	From string         `json:"from"`           // "08:00"
	To   string         `json:"to"`             // "18:00"; up to there, on the same day
}

const clock = "15:04"

// Check refuses hours that never hold, or of a zone that is not known.
func (h Hours) Check() error {
	if _, err := time.LoadLocation(h.Zone); err != nil || h.Zone == "" || h.Zone == "Local" {
		return Errorf(Invalid, "there is no time zone %q; write one as Europe/Berlin or UTC", h.Zone)
	}
	for _, at := range []string{h.From, h.To} {
		if _, err := time.Parse(clock, at); err != nil && at != "24:00" {
			return Errorf(Invalid, "%q is no time of day; write it as 08:00", at)
		}
	}
	if h.From >= h.To {
		return Errorf(Invalid, "from %s to %s is no time at all; hours lie within one day", h.From, h.To)
	}
	return nil
}

// Has reports whether a moment is within the hours. One whose zone is not known
// never is.
func (h Hours) Has(t time.Time) bool {
	zone, err := time.LoadLocation(h.Zone)
	if err != nil || h.Check() != nil {
		return false
	}
	t = t.In(zone)
	at := t.Format(clock)
	return (len(h.Days) == 0 || slices.Contains(h.Days, t.Weekday())) && at >= h.From && at < h.To
}

// String says it to people: "Mon, Tue 08:00-18:00 Europe/Berlin".
func (h Hours) String() string {
	var days []string
	for _, d := range h.Days {
		days = append(days, d.String()[:3])
	}
	return strings.TrimSpace(strings.Join(days, ", ") + " " + h.From + "-" + h.To + " " + h.Zone)
}

func (h Hours) equal(o Hours) bool { return h.String() == o.String() }
