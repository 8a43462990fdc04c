// Package command holds the commands that call a server, and those about policy
// files: one file for each.
package command

import (
	"github.com/spf13/cobra"

	"github.com/writhq/writ/internal/cli"
)

type session struct{ *cli.Session }

// Groups are the parts of help that commands are listed in.
var Groups = []*cobra.Group{
	{ID: "access", Title: "To get access and end it:"},
	{ID: "decide", Title: "To decide, and to cut off:"},
	{ID: "look", Title: "To look at requests:"},
	{ID: "document", Title: "To say what is governed, and how:"},
	{ID: "server", Title: "To run a server:"},
	{ID: "program", Title: "About this program:"},
}

// All returns the commands, each in its group.
func All(common *cli.Session) (all []*cobra.Command) {
	s := session{common}
	for group, commands := range map[string][]*cobra.Command{
		"access":   {s.requestCmd(), s.execCmd(), s.claimCmd(), s.releaseCmd(), s.withdrawCmd()},
		"decide":   {s.revokeCmd(), s.endCmd()},
		"look":     {s.listCmd(), s.showCmd(), s.inspectCmd()},
		"document": {s.getCmd(), s.applyCmd(), s.policyCmd()},
		"program":  {s.loginCmd(), s.whoamiCmd()},
	} {
		for _, c := range commands {
			c.GroupID = group
			all = append(all, c)
		}
	}
	return all
}
