// Package approver holds the commands of those who decide: one file for each.
package approver

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/client"
	"github.com/writhq/writ/internal/cli"
)

type session struct{ *cli.Session }

// All returns the commands.
func All(common *cli.Session) []*cobra.Command {
	s := session{common}
	return []*cobra.Command{s.inboxCmd(), s.approveCmd(), s.narrowCmd(), s.requireCmd(), s.denyCmd(), s.keyCmd(), s.delegationCmd()}
}

// seen returns the digest of the terms that are meant: the one that is named,
// or that of the terms as they are.
func seen(ctx context.Context, c *client.Client, id writ.ID, named string) (writ.Digest, error) {
	if named != "" {
		return writ.Digest(named), nil
	}
	d, err := c.Show(ctx, id)
	return d.Digest, err
}
