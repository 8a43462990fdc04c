package writ

import "time"

// A Receipt is what a grant did at the target. Nothing in it is secret.
type Receipt struct {
	External    string            `json:"external"`              // name of the access in the target
	Fingerprint string            `json:"fingerprint,omitempty"` // of the credential
	Detail      map[string]string `json:"detail,omitempty"`
}

// An Observation is what a target really showed.
type Observation struct {
	External string            `json:"external,omitempty"` // name of the access in the target
	Request  string            `json:"request,omitempty"`  // the request it was made for, where the target can tell
	State    State             `json:"state"`
	Until    time.Time         `json:"until,omitzero"`    // when the target itself ends it; zero: it does not
	LastUsed time.Time         `json:"lastUsed,omitzero"` // zero: never, or the target cannot tell
	Residual time.Time         `json:"residual,omitzero"` // until when somebody who checks offline may still honour it
	Detail   map[string]string `json:"detail,omitempty"`  // what was read, field by field
	Differs  []string          `json:"differs,omitempty"` // each way in which it is not as ordered, in words
}

// A State is whether access was seen.
type State string

// The states of an observation.
const (
	Present State = "present"
	Absent  State = "absent"
	Unread  State = "unread" // the target cannot be read
)
