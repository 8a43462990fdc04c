// Package proof holds the commands that take what shows others, offline, what
// became of a request, and that check it.
package proof

import (
	"bytes"
	"context"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/client"
	"github.com/writhq/writ/evidence"
	"github.com/writhq/writ/internal/cli"
	"github.com/writhq/writ/ledger/witness"
)

type session struct{ *cli.Session }

// Evidence returns the command that takes evidence, with the one that checks it.
func Evidence(common *cli.Session) *cobra.Command {
	s := session{common}
	cmd := s.takeCmd()
	cmd.AddCommand(s.verifyCmd())
	return cmd
}

func (s session) takeCmd() *cobra.Command {
	var out string
	var texts bool
	cmd := &cobra.Command{
		Use:   "evidence ID",
		Short: "Take what shows anybody, offline, what became of a request",
		Long: `Take one file that shows what became of a request: every event of its life and
every document that it depended on, as they stand in the ledger, with the proof
that they do. Whoever has the file and the ledger's key can check it without a
server: 'writ evidence verify'.

Free texts are left out unless --texts asks for them: the ledger has only
commitments of them, and they can be erased; a file that was handed out cannot.`,
		Example: `  writ evidence req-01k8z3k4m5n6p7q8r9s0t1v2w3 --out evidence.json
  writ evidence req-01k8z3k4m5n6p7q8r9s0t1v2w3 --texts > evidence.json`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: cli.Nth(s.IDs()),
		RunE: s.Run(func(ctx context.Context, c *client.Client, args []string) error {
			f, err := c.Evidence(ctx, writ.ID(args[0]), texts)
			if err != nil {
				return err
			}
			var data bytes.Buffer
			if _, err := f.WriteTo(&data); err != nil {
				return err
			}
			if out == "" {
				return s.Text(data.String())
			}
			if err := os.WriteFile(out, data.Bytes(), 0o600); err != nil {
				return writ.Errorf(writ.Invalid, "%v", err)
			}
			s.Err.Say("%s: %d records of %s, which is %s", out, len(f.Records), f.Request, f.Status)
			return nil
		}),
	}
	cmd.Flags().StringVar(&out, "out", "", "write to `FILE`, for its owner only, instead of standard output")
	cmd.Flags().BoolVar(&texts, "texts", false, "with the free texts: justification, notes of a denial or revocation")
	return cmd
}

func (s session) verifyCmd() *cobra.Command {
	var k evidence.Keys
	var witnesses string
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Check the evidence of a request, offline",
		Long: `Check a file of 'writ evidence' without a server and without a database: that
each record is in the ledger, that each signature holds, and that every decision,
made again by the rules on the documents of its moment, comes out as it is on
record. What is printed says what the file proves, and what it does not.

Give the ledger's key with --log, from elsewhere than the file: whoever runs the
ledger publishes it, and 'writ verify' prints it. With --policy (c2sp.org/tlog-policy)
the witnesses in it must have cosigned, too; one log line stands for --log. The exit
code is 0 only if all of it holds: 7 says that something does not, 2 that this is
no evidence.`,
		Example: `  writ evidence verify evidence.json --log 'writ-ledger-…'
  writ evidence verify evidence.json --log 'writ-ledger-…' -o json | jq .unproved`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			in, err := os.Open(args[0])
			if err != nil {
				return writ.Errorf(writ.Invalid, "%v", err)
			}
			defer in.Close()
			f, err := evidence.Read(in)
			if err != nil {
				return err
			}
			if err := vouch(&k, witnesses); err != nil {
				return err
			}
			report, err := evidence.Verify(f, k)
			if err != nil {
				return err
			}
			if s.Machine() {
				return s.Encode(report)
			}
			s.Out.Say("%v: the evidence of %s holds", s.Out.Good("ok"), report.Request)
			s.sentences("it proves", report.Proved)
			s.sentences("it does not prove", report.Unproved)
			return nil
		},
	}
	cmd.Flags().StringVar(&k.Log, "log", "", "verifier `KEY` of the ledger")
	cmd.Flags().StringVar(&witnesses, "policy", "", "`FILE` that says which witnesses must have cosigned")
	cmd.MarkFlagsOneRequired("log", "policy")
	return cmd
}

// vouch adds the witnesses of a policy file to the keys, and its log, if no
// other key was given.
func vouch(k *evidence.Keys, file string) error {
	if file == "" {
		return nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return writ.Errorf(writ.Invalid, "%v", err)
	}
	p, err := witness.ParsePolicy(string(data))
	switch {
	case err != nil:
		return writ.Errorf(writ.Invalid, "%s: %v", file, err)
	case k.Log == "" && len(p.Logs) != 1:
		return writ.Errorf(writ.Invalid, "%s names %d logs; say with --log which one is meant", file, len(p.Logs))
	case k.Log == "":
		k.Log = p.Logs[0]
	case len(p.Logs) > 0 && !slices.Contains(p.Logs, k.Log):
		return writ.Errorf(writ.Invalid, "%s is not about the log %s", file, k.Log)
	}
	k.Witnesses = &p
	return nil
}

func (s session) sentences(title string, lines []string) {
	s.Out.Say("\n%s", title)
	for _, line := range lines {
		s.Out.Say("  %s", line)
	}
}
