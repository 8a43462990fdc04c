package command

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/client"
	"github.com/writhq/writ/internal/cli"
)

func (s session) applyCmd() *cobra.Command {
	var files, remove []string
	var dry bool
	cmd := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Change documents: identities, groups, targets, entitlements, policies",
		Long: `Make the documents in YAML files what Writ governs. All of them change, in one
step, or none does. A document that has not changed is left as it is; one whose
version is given must still be of that version.`,
		Example: `  writ apply -f organisation.yaml
  writ apply -f organisation/ --dry-run
  writ get entitlement orders-db/deploy -o yaml | sed s/24h/8h/ | writ apply -f -
  writ apply --remove identity/service/old-sync`,
		Args: cobra.NoArgs,
		RunE: s.Run(func(ctx context.Context, c *client.Client, _ []string) error {
			put, err := s.read(files, remove)
			if err != nil {
				return err
			}
			put.DryRun = dry
			changes, err := c.Put(ctx, put)
			if err != nil {
				return err
			}
			return s.Answer(func() error { s.Out.Changes(changes, dry); return nil })
		}),
	}
	f := cmd.Flags()
	f.StringArrayVarP(&files, "file", "f", nil, "`FILE`, directory with .yaml, .yml and .json files, or - for standard input;\ncan be repeated")
	f.StringArrayVar(&remove, "remove", nil, "document that shall be no more, as `KIND/NAME`; can be repeated")
	f.BoolVar(&dry, "dry-run", false, "say what would change, and change nothing")
	return cmd
}

func (s session) read(files, remove []string) (put client.Put, err error) {
	for _, text := range remove {
		kind, name, ok := strings.Cut(text, "/")
		if !ok || name == "" {
			return put, writ.Errorf(writ.Invalid, "--remove %q: write it as KIND/NAME, for example identity/service/old-sync", text)
		}
		put.Remove = append(put.Remove, writ.Header{Kind: kind, Name: name})
	}
	for _, path := range files {
		docs, err := cli.ReadDocuments(path, s.In)
		if err != nil {
			return put, err
		}
		put.Documents = append(put.Documents, docs...)
	}
	if len(put.Documents) == 0 && len(put.Remove) == 0 {
		return put, writ.Errorf(writ.Invalid, "there is no document to apply; give a file or directory that has some with -f")
	}
	return put, nil
}
