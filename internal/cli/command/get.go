package command

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/client"
	"github.com/writhq/writ/internal/cli"
)

var kinds = []string{"entitlement", "group", "identity", "key", "policy", "target"}

func (s session) getCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "get [KIND [NAME]]",
		Short: "Show documents: what can be asked for, who there is",
		Long: `Show documents as they are now. KIND is one of entitlement, group, identity,
key, policy and target. What -o yaml prints can be changed and applied again.`,
		Example: `  writ get entitlement
  writ get identity service/ci-deployer
  writ get policy default -o yaml`,
		Args: cobra.MaximumNArgs(2),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return s.Documents(args[0])(cmd), cobra.ShellCompDirectiveNoFileComp
			}
			return cli.Nth(cli.Fixed(kinds...))(cmd, args, text)
		},
		RunE: s.Run(func(ctx context.Context, c *client.Client, args []string) error {
			args = append(args, "", "")
			return s.get(ctx, c, singular(args[0]), args[1])
		}),
	}
}

// singular lets people write the plural.
func singular(kind string) string {
	for _, k := range kinds {
		if kind == k+"s" || kind == strings.TrimSuffix(k, "y")+"ies" {
			return k
		}
	}
	return kind
}

func (s session) get(ctx context.Context, c *client.Client, kind, name string) error {
	if kind != "" && !slices.Contains(kinds, kind) {
		return writ.Errorf(writ.Invalid, "kind %q is not one of %s", kind, strings.Join(kinds, ", "))
	}
	docs, err := c.Documents(ctx, kind, name)
	if err != nil {
		return err
	}
	if name != "" && len(docs) == 0 {
		return writ.Errorf(writ.NotFound, "there is no %s %q; 'writ get %s' lists what there is", kind, name, kind)
	}
	switch {
	case s.YAML():
		text, err := toYAML(docs)
		if err != nil {
			return err
		}
		return s.Text(text)
	case s.Machine():
		return s.JSON(s.Last())
	}
	return s.Out.Documents(docs, name != "")
}

// toYAML writes documents as apply reads them. A policy is its own text.
func toYAML(docs []json.RawMessage) (string, error) {
	var parts []string
	for _, data := range docs {
		var d struct{ Kind, Name, Source string }
		if err := json.Unmarshal(data, &d); err != nil {
			return "", err
		}
		text := []byte(d.Source)
		if d.Kind != "policy" {
			var err error
			if text, err = yaml.JSONToYAML(data); err != nil {
				return "", fmt.Errorf("%s %s: %w", d.Kind, d.Name, err)
			}
		}
		parts = append(parts, strings.TrimRight(string(text), "\n")+"\n")
	}
	return strings.Join(parts, "---\n"), nil
}
