package verify

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/cli/proof"
	"github.com/writhq/writ/internal/store"
)

// A place is the database that an auditor reads.
type place struct {
	where
	logKey string
}

// NewPlace returns a database that its flags name.
func NewPlace() proof.Place { return &place{} }

// Flags adds the flags that name the database and the key of its ledger.
func (p *place) Flags(cmd *cobra.Command) {
	Flags(cmd, &p.data, &p.db)
	cmd.Flags().StringVar(&p.logKey, "log-key", "", "verifier key of the ledger, from elsewhere than its database\n(default the one in DATA/writ.keys)")
}

// Open opens it for reading only.
func (p *place) Open(ctx context.Context) (proof.Ledger, string, error) {
	keys, _, err := p.trusted(p.logKey)
	if err == nil && keys.LogKey == "" {
		err = writ.Errorf(writ.Invalid, "there is no key to hold the ledger against; give it with --log-key, from elsewhere than the database")
	}
	if err != nil {
		return nil, "", err
	}
	db, err := store.Open(ctx, store.Config{DSN: p.dsn(), ReadOnly: true})
	return db, keys.LogKey, err
}
