package writ

// Deny is an approver's no. It is final.
type Deny struct {
	Digest Digest     // of the terms that the approver saw
	Note   Commitment // of the reason given
}

// Denied ends a request before any access.
type Denied struct {
	Note   Commitment `json:"note,omitempty"`
	Policy string     `json:"policy,omitempty"` // what policy said, if it was policy
}

func (c Deny) decide(r Request, f Facts) ([]Body, error) {
	v, err := r.judge(c.Digest, f)
	if err != nil {
		return nil, err
	}
	for _, s := range v.Stages {
		if s.Has(s.Place(f).UID) {
			return []Body{Denied{Note: c.Note}}, nil
		}
	}
	return nil, Errorf(Forbidden, "%s is not an approver of %s; who asked can withdraw it", f.Actor.Name, r.ID)
}

// Kind returns "denied".
func (Denied) Kind() Kind { return "denied" }

func (b Denied) apply(r *Request, e Event) {
	r.Note, r.Problem, r.ClosedAt = b.Note, b.Policy, e.At
}
