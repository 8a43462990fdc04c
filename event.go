package writ

import "time"

type (
	// A Kind is the name of an event as it stands in the ledger, in the past tense.
	Kind string

	// A Body is a change that happened.
	Body interface{ Kind() Kind }

	// An Event is one record of the ledger. A stream is the history of one
	// request (its ID), of one document (Header.Stream) or of the ledger itself.
	Event struct {
		Stream string
		Seq    int // place in the stream: 1, 2, 3, …
		At     time.Time
		Actor  Party
		Body   Body
	}

	// Facts are all that a decision may know besides the request itself. They
	// are loaded in the transaction that will record what is decided.
	Facts struct {
		Now       time.Time
		Actor     Party
		Directory *Directory
		Verdict   Verdict // what policy says now
		Authority Authority
		Nonce     *Nonce    // what was given out to be signed, if the command brings it back
		Waits     bool      // the request's credential is there to be claimed
		Live      []Live    // the subject's other requests that may hold access or ask for it
		Siblings  []Live    // anybody's other requests that do and share this request's Terms.Hold
		SignedIn  time.Time // when the browser session began that the actor acts in; zero: they act in none
	}

	// Live is what a decision may know of another request.
	Live struct {
		ID          ID     `json:"id"`
		Status      Status `json:"status"`
		Entitlement string `json:"entitlement"`
		Target      string `json:"target"`
		Environment string `json:"environment"`
		Hold        Digest `json:"hold,omitempty"`
		InFlight    bool   `json:"inFlight,omitempty"` // a call to the target may be under way
	}

	// Authority is what an identity may do beside its own business.
	Authority struct {
		Administer bool `json:"administer,omitempty"` // change documents
		Revoke     bool `json:"revoke,omitempty"`     // end anybody's access
		Audit      bool `json:"audit,omitempty"`      // read everything
	}
)

// LedgerStream is the stream of what happens to the ledger itself.
const LedgerStream = "ledger"

// Opened is the first event of every ledger: it says which keys sign for it.
type Opened struct {
	Origin  string `json:"origin"`  // name in every checkpoint
	LogKey  string `json:"logKey"`  // C2SP verifier key of the checkpoints
	WritKey string `json:"writKey"` // base64 Ed25519 public key of the writs
}

// Kind returns "opened".
func (Opened) Kind() Kind { return "opened" }
