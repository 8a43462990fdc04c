package signature

import (
	"bytes"
	"encoding/json"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store"
)

// A Verifier checks what the key of writs signed, and returns it.
type Verifier interface {
	Verify(jws string) (payload []byte, err error)   // a writ
	Attested(jws string) (payload []byte, err error) // a deed
}

// Orders holds every grant against its writ: signed by the ledger's own key, of
// exactly what the request says, and there before access was; and what was done
// at a target against the signature of whoever did it.
func Orders(v Verifier) store.Check {
	return func(_ int64, e writ.Event, r writ.Request) error {
		switch b := e.Body.(type) {
		case writ.GrantBegun:
			return ordered(v, r)
		case writ.Granted:
			if err := ordered(v, r); err != nil {
				return err
			}
			return attested(v, b.Signed, b.Deed(r))
		case writ.Revoked:
			return attested(v, b.Signed, b.Deed(r))
		}
		return nil
	}
}

func ordered(v Verifier, r writ.Request) error {
	payload, err := v.Verify(r.Writ)
	if err != nil {
		return err
	}
	var o writ.Order
	if err := json.Unmarshal(payload, &o); err != nil {
		return writ.Errorf(writ.Invalid, "the writ of %s cannot be read: %v", r.ID, err)
	}
	return o.Check(r)
}

// attested holds what the event says against what was signed.
func attested(v Verifier, jws string, d writ.Deed) error {
	signed, err := v.Attested(jws)
	if err != nil {
		return writ.Errorf(writ.Invalid, "that %s was %s: %v", d.Request, d.Did, err)
	}
	if says, err := d.Canonical(); err != nil || !bytes.Equal(says, signed) {
		return writ.Errorf(writ.Invalid, "the event says other than what was signed when %s was %s", d.Request, d.Did)
	}
	return nil
}
