package command

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/client"
	"github.com/writhq/writ/internal/cli"
	"github.com/writhq/writ/policy"
)

func (s session) policyCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "policy",
		Short:   "Check, test and explain policy",
		Long:    "Check policy files and run their own examples, without a server; or let the\nserver explain what its policy says to an ask.",
		Example: "  writ policy check policy.yaml\n  writ policy test policy.yaml --documents organisation/\n  writ policy explain orders-db/deploy --for 1h --as service/ci-deployer",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(s.policyCheckCmd(), s.policyTestCmd(), s.policyExplainCmd())
	return cmd
}

func (s session) policyCheckCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE…",
		Short: "Read policy files and show what is wrong, with a caret",
		Long: `Read policy files as one policy and show everything that is wrong with them,
with file, line and a caret. No server is needed.`,
		Example: "  writ policy check policy.yaml",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := compile(args)
			if err != nil {
				return err
			}
			if s.Machine() {
				return s.Encode(map[string]any{"digest": p.Digest(), "files": args})
			}
			s.Out.Say("%v: %s", s.Out.Good("ok"), p.Digest())
			return nil
		},
	}
}

func compile(paths []string) (*policy.Policy, error) {
	var files []policy.File
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, writ.Errorf(writ.Invalid, "%v", err)
		}
		files = append(files, policy.File{Name: path, Source: string(data)})
	}
	return policy.Compile(files...)
}

func (s session) policyTestCmd() *cobra.Command {
	var documents []string
	cmd := &cobra.Command{
		Use:   "test FILE…",
		Short: "Run the examples of policy files",
		Long: `Run the examples that stand under tests: in policy files, on documents from
files. No server is needed. The exit code is 6 if an example does not come out
as the file says, and 2 if a file cannot be read.`,
		Example: "  writ policy test policy.yaml\n  writ policy test policy.yaml --documents organisation/",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(documents) == 0 {
				documents = []string{filepath.Dir(args[0])}
			}
			return s.policyTest(args, documents, time.Now())
		},
	}
	cmd.Flags().StringArrayVar(&documents, "documents", nil, "`PATH` of a file or directory with the documents to test on; can be repeated\n(default: the directory of the first policy file)")
	return cmd
}

func (s session) policyTest(paths, documents []string, now time.Time) error {
	p, err := compile(paths)
	if err != nil {
		return err
	}
	d, err := directory(documents)
	if err != nil {
		return err
	}
	results := p.Test(d, now)
	bad := 0
	for _, r := range results {
		if len(r.Problems) > 0 {
			bad++
		}
	}
	if s.Machine() {
		err = s.Encode(map[string]any{"results": results})
	} else {
		s.Out.Results(results)
	}
	switch {
	case err != nil:
		return err
	case len(results) == 0:
		return writ.Errorf(writ.Invalid, "%s has no examples; write some under tests:", strings.Join(paths, ", "))
	case bad > 0:
		return writ.Errorf(writ.Conflict, "%d of %d examples did not come out as the policy says; change the rule or the example", bad, len(results))
	}
	return nil
}

// directory reads documents from files. Policies among them are left out:
// those to be tested are named.
func directory(paths []string) (*writ.Directory, error) {
	var docs []writ.Document
	for _, path := range paths {
		raws, err := cli.ReadDocuments(path, os.Stdin)
		if err != nil {
			return nil, errors.Join(err, writ.Errorf(writ.Invalid, "say with --documents where the documents are"))
		}
		for _, raw := range raws {
			doc, err := writ.ParseDocument(raw)
			if err != nil {
				return nil, err
			}
			if _, ok := doc.(writ.Policy); !ok {
				docs = append(docs, doc)
			}
		}
	}
	return writ.NewDirectory(docs...), nil
}

func (s session) policyExplainCmd() *cobra.Command {
	var a cli.Asking
	cmd := &cobra.Command{
		Use:   "explain ENTITLEMENT",
		Short: "Say what each rule of the server's policy has to do with an ask",
		Long: `Say what the server's policy answers to an ask and why, rule by rule: what its
condition looked at, what it requires, what is missing. Nobody is asked.`,
		Example:           "  writ policy explain billing-api/client --for 30d --as service/partner-sync \\\n    --scope service=invoices",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cli.Nth(s.Documents("entitlement")),
		RunE: s.Run(func(ctx context.Context, c *client.Client, args []string) error {
			ask, err := a.Read(args[0], time.Now())
			if err != nil {
				return err
			}
			p, err := c.Preview(ctx, ask)
			if err != nil {
				return err
			}
			if s.Machine() {
				return s.JSON(cli.Part(s.Last(), "explanation"))
			}
			if err := s.Out.Preview(p, nil); err != nil {
				return err
			}
			s.Out.Rules(p.Explanation.Rules)
			return nil
		}),
	}
	a.Flags(s.Session, cmd)
	return cmd
}
