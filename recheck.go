package writ

// Recheck looks at a request again after a document has changed.
type Recheck struct{}

// Rechecked records a look that found the request no longer allowed, with what
// policy says now.
type Rechecked struct {
	Verdict Digest   `json:"verdict"`
	Reasons []Reason `json:"reasons"`
}

func (Recheck) decide(r Request, f Facts) ([]Body, error) {
	if !r.Status.Live() || r.Status == StatusRevoking {
		return nil, nil
	}
	end, over := r.mustEnd(f)
	if !over {
		return r.settled(f), nil
	}
	digest, err := f.Verdict.Digest()
	if err != nil {
		return nil, err
	}
	seen := Rechecked{digest, f.Verdict.Reasons}
	if r.Status == StatusPending {
		return []Body{seen, Denied{Policy: end.Detail}}, nil
	}
	return []Body{seen, end}, nil
}

// settled authorizes a request that waits for nobody: policy had added a stage
// after it was asked for, and has taken it back after the other votes.
func (r Request) settled(f Facts) []Body {
	_, waits := r.Open(r.stricter(f.Verdict))
	if waits || r.Status != StatusPending || !f.Now.Before(r.LapseAt) {
		return nil
	}
	return []Body{authorize(r.Terms, f.Now)}
}

// Kind returns "rechecked".
func (Rechecked) Kind() Kind { return "rechecked" }

func (Rechecked) apply(*Request, Event) {}
