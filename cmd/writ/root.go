package main

import (
	"github.com/spf13/cobra"

	"github.com/writhq/writ/cmd/writ/provisioner"
	"github.com/writhq/writ/cmd/writ/verify"
	"github.com/writhq/writ/cmd/writ/witness"
	"github.com/writhq/writ/internal/cli"
	"github.com/writhq/writ/internal/cli/approver"
	"github.com/writhq/writ/internal/cli/command"
	"github.com/writhq/writ/internal/cli/proof"
)

// newRoot returns the command that holds all others.
func newRoot(s *cli.Session) *cobra.Command {
	root := &cobra.Command{
		Use:   "writ",
		Short: "Govern how machine identities get access, and how that access ends",
		Long: `Writ governs how a non-human identity gets access to a real system, and how
that access ends: it is asked for, policy checks it, people approve its exact
terms, it exists for a bounded time, and it is seen to be gone.`,
		Example: `  writ demo
  writ exec orders-db/deploy --for 15m --why "release 42" -- make deploy
  writ inbox`,
		SilenceErrors: true, SilenceUsage: true,
	}
	root.AddGroup(command.Groups...)
	root.AddCommand(command.All(s)...)
	for _, c := range approver.All(s) {
		c.GroupID = "decide"
		root.AddCommand(c)
	}
	for _, c := range []*cobra.Command{serveCmd(), verify.Command(), rebuildCmd(), witness.Command(version()), provisioner.Command(provisioning), demoCmd()} {
		c.GroupID = "server"
		root.AddCommand(c)
	}
	for _, c := range []*cobra.Command{proof.Evidence(s), proof.Audit(s, verify.NewPlace)} {
		c.GroupID = "look"
		root.AddCommand(c)
	}
	v := versionCmd(s)
	v.GroupID = "program"
	root.AddCommand(v)
	root.AddCommand(cli.HelpTopics()...)
	root.SetCompletionCommandGroupID("program")
	root.SetHelpCommandGroupID("program")
	root.InitDefaultCompletionCmd()
	if c, _, err := root.Find([]string{"completion"}); err == nil {
		c.Example = "  source <(writ completion bash)\n  writ completion bash --help"
	}
	s.Bind(root)
	return root
}
