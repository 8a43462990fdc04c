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
	if r.Status == StatusPending {
		over = !r.Verdict.Tighten(f.Verdict).Allowed
	}
	if !over {
		return nil, nil
	}
	digest, err := f.Verdict.Digest()
	if err != nil {
		return nil, err
	}
	seen := Rechecked{digest, f.Verdict.Reasons}
	if r.Status == StatusPending {
		return []Body{seen, Denied{Policy: f.Verdict.Why()}}, nil
	}
	return []Body{seen, end}, nil
}

// Kind returns "rechecked".
func (Rechecked) Kind() Kind { return "rechecked" }

func (Rechecked) apply(*Request, Event) {}
