package writ

import "time"

// Claim takes the credential that waits. It can be done once.
type Claim struct{}

// Claimed says to whom it was given, and when. From then on Writ cannot give it again.
type Claimed struct {
	By Party     `json:"by"`
	At time.Time `json:"at"`
}

func (Claim) decide(r Request, f Facts) ([]Body, error) {
	switch {
	case f.Actor.UID != r.Terms.Requester.UID:
		return nil, Errorf(Forbidden, "only %s, who asked, may claim the credential of %s", r.Terms.Requester.Name, r.ID)
	case r.Terms.Entitlement.Credential == SharedCredential:
		return nil, Errorf(Conflict, "%s issues no credential: %s has the access itself", r.Terms.Entitlement.Name, r.Terms.Subject.Name)
	case r.Claimed != nil:
		return nil, Errorf(Conflict, "the credential of %s was claimed by %s at %s; it is given once: release it and ask again", r.ID, r.Claimed.By.Name, r.Claimed.At.Format(time.RFC3339))
	case r.Status != StatusActive || !f.Now.Before(r.Until):
		return nil, Errorf(Conflict, "%s is %s; a credential can be claimed while access is active", r.ID, r.Status)
	case !f.Waits:
		return nil, Errorf(NotFound, "no credential waits for %s any more: nobody claimed it in time; release it and ask again", r.ID)
	}
	return []Body{Claimed{f.Actor, f.Now}}, nil
}

// Kind returns "claimed".
func (Claimed) Kind() Kind { return "claimed" }

func (b Claimed) apply(r *Request, _ Event) { r.Claimed = &b }
