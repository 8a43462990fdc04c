package audit

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/ledger"
)

// Touching is the one filter of populations, in words.
const Touching = "every request that was asked for before the end of the period and was not over before its beginning"

// A Population is all requests whose life touches a period. That it is complete
// follows from every record up to the period's end having been hashed.
type Population struct {
	Format      string        `json:"format"` // writ-population/v1
	Period      Period        `json:"period"`
	Consistency []ledger.Hash `json:"consistency"` // RFC 6962 section 2.1.2, from the one point to the other
	Filter      string        `json:"filter"`
	Records     int64         `json:"records"` // that were hashed
	Until       time.Time     `json:"until"`   // of the last of them
	Commitments []Commitment  `json:"commitments,omitempty"`
	Requests    []Item        `json:"requests"` // ascending by position
}

// An Item is one request of a population.
type Item struct {
	Request   writ.ID   `json:"request"`
	Position  int64     `json:"position"` // of its first event
	Last      int64     `json:"last"`     // of its last event in the period
	Kind      writ.Kind `json:"kind"`     // of that event
	Submitted time.Time `json:"submitted"`
}

// A Commitment is a nonce that an auditor bound themselves to.
type Commitment struct {
	Hash     writ.Digest `json:"hash"`
	Position int64       `json:"position"`
	At       time.Time   `json:"at"`
	By       writ.Party  `json:"by"`
}

// final are the kinds of event after which a request is over. One that is
// closed lives again if its access is found to have strayed.
var final = []writ.Kind{"denied", "withdrawn", "lapsed", "revoked"}

// Find returns the population of a period.
func Find(ctx context.Context, l Ledger, p Period) (Population, error) {
	out := Population{Format: "writ-population/v1", Period: p, Filter: Touching, Consistency: []ledger.Hash{}, Requests: []Item{}}
	lives, over := map[writ.ID]*Item{}, map[writ.ID]bool{} // over before the period began
	err := p.read(ctx, l, func(pos int64, e writ.Event) error {
		out.Records, out.Until = pos+1, e.At
		id, kind := writ.ID(e.Stream), e.Body.Kind()
		if b, ok := e.Body.(writ.AuditCommitted); ok {
			out.Commitments = append(out.Commitments, Commitment{b.Hash, pos, e.At, e.Actor})
		}
		if e.OfDocument() || e.OfLedger() {
			return nil
		}
		if lives[id] == nil {
			lives[id] = &Item{Request: id, Position: pos, Submitted: e.At}
		}
		lives[id].Last, lives[id].Kind = pos, kind
		over[id] = pos < p.From.Size && slices.Contains(final, kind)
		return nil
	})
	if err != nil {
		return Population{}, err
	}
	for id, item := range lives {
		if !over[id] {
			out.Requests = append(out.Requests, *item)
		}
	}
	slices.SortFunc(out.Requests, func(a, b Item) int { return cmp.Compare(a.Position, b.Position) })
	return out, out.prove(ctx, l)
}

// prove adds the consistency proof, and checks it as whoever is given it can.
func (p *Population) prove(ctx context.Context, l Ledger) error {
	from, to := p.Period.From, p.Period.To
	hashes, err := ledger.Consistency(ctx, l, from.Size, to.Size)
	if err != nil {
		return err
	}
	p.Consistency = append(p.Consistency, hashes...)
	return ledger.CheckConsistency(hashes, from.Size, to.Size, from.Root, to.Root)
}
