package writ

// A Deed is what whoever called the target says to have done and seen there. It
// is signed with the key of writs, so that nobody else can say it.
type Deed struct {
	V        int         `json:"v"`   // of this structure: 1
	Did      Kind        `json:"did"` // granted or revoked
	Request  ID          `json:"request"`
	Serial   string      `json:"serial"`
	Attempt  int         `json:"attempt"`
	Receipt  Receipt     `json:"receipt,omitzero"`
	Seen     Observation `json:"seen"`
	KeptBy   ID          `json:"keptBy,omitempty"`
	Instance string      `json:"instance,omitempty"` // of the target
}

// Canonical returns JCS(d), the payload that is signed.
func (d Deed) Canonical() ([]byte, error) { return canonical(d) }

// Deed returns what the event says was done for the request that it is of.
func (b Granted) Deed(r Request) Deed {
	return Deed{V: 1, Did: b.Kind(), Request: r.ID, Serial: r.Serial, Attempt: b.Attempt, Receipt: b.Receipt, Seen: b.Seen}
}

// Deed returns what the event says was done for the request that it is of.
func (b Revoked) Deed(r Request) Deed {
	return Deed{
		V: 1, Did: b.Kind(), Request: r.ID, Serial: r.Serial, Attempt: b.Attempt, Seen: b.Seen, KeptBy: b.KeptBy, Instance: b.Instance,
	}
}
