package signature

import (
	"crypto/ed25519"
	"errors"

	"github.com/writhq/writ"
	"github.com/writhq/writ/evidence"
	"github.com/writhq/writ/internal/store"
)

// Orders holds every grant against its writ: signed by the ledger's own key, of
// exactly what the request says, and there before access was; and what was done
// at a target against the signature of whoever did it.
func Orders(public ed25519.PublicKey) store.Check {
	return func(_ int64, e writ.Event, r writ.Request) error {
		switch b := e.Body.(type) {
		case writ.GrantBegun:
			return evidence.CheckWrit(r, public)
		case writ.Granted:
			return errors.Join(evidence.CheckWrit(r, public), evidence.CheckDeed(b.Signed, b.Deed(r), public))
		case writ.Revoked:
			return evidence.CheckDeed(b.Signed, b.Deed(r), public)
		}
		return nil
	}
}
