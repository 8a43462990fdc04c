package writ

import (
	"slices"
	"strconv"
)

// Require lets an approver ask for one more person, after all others.
type Require struct {
	Digest   Digest // of the terms that the approver saw
	Approver Ref
}

// Required adds a stage.
type Required struct {
	Stage Stage `json:"stage"`
}

// ExtraStage is what the names of stages that approvers add start with.
const ExtraStage = "extra-"

// maxExtra bounds the stages that are added to one request.
const maxExtra = 5

func (c Require) decide(r Request, f Facts) ([]Body, error) {
	if err := r.asks(c.Digest, f); err != nil {
		return nil, err
	}
	who, ok := f.Directory.Identities[c.Approver]
	switch {
	case !ok || !who.Human() || !who.Active():
		return nil, Errorf(Invalid, "%s is no active person; name one", c.Approver)
	case slices.ContainsFunc(r.Extra, func(s Stage) bool { return s.Has(who.UID) }):
		return nil, nil // asked for already
	case len(r.Extra) == maxExtra:
		return nil, Errorf(Conflict, "%s has %d more approvers already, the most there may be; deny it if that is not enough", r.ID, maxExtra)
	}
	if err := f.Directory.Independent(who.Party(), r.Terms, false, f.Now); err != nil {
		return nil, err
	}
	open, _ := r.Open(r.Asked())
	return []Body{Required{Stage{
		Name: ExtraStage + strconv.Itoa(len(r.Extra)+1), Quorum: 1, Proof: open.Proof, KeyAge: open.KeyAge,
		Approvers: []Approver{{who.Party(), "asked for by " + string(f.Actor.Name)}},
	}}}, nil
}

// Kind returns "required".
func (Required) Kind() Kind { return "required" }

func (b Required) apply(r *Request, e Event) {
	r.Extra = append(slices.Clip(r.Extra), b.Stage)
	r.opened(e.At)
}
