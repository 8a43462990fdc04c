package command

import (
	"context"
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/client"
	"github.com/writhq/writ/internal/cli"
)

func (s session) listCmd() *cobra.Command {
	var f client.Filter
	var status []string
	var subject, before string
	var all bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List requests that you have a part in, newest first",
		Long: `List the requests that you have a part in, newest first; all requests, for
whoever policy lets audit or revoke. Without --all it is one page.`,
		Example: `  writ list
  writ list --status active --identity service/ci-deployer
  writ list --all -o json`,
		Args: cobra.NoArgs,
		RunE: s.Run(func(ctx context.Context, c *client.Client, _ []string) error {
			for _, name := range status {
				f.Status = append(f.Status, writ.Status(name))
			}
			f.Subject, f.Before = writ.Ref(subject), writ.ID(before)
			return s.list(ctx, c, f, all)
		}),
	}
	fl := cmd.Flags()
	fl.StringSliceVar(&status, "status", nil, "only of this `STATUS`; can be repeated")
	fl.StringVar(&subject, "identity", "", "only access of this `IDENTITY`")
	fl.StringVar(&f.Entitlement, "entitlement", "", "only of this `ENTITLEMENT`")
	fl.StringVar(&f.Target, "target", "", "only at this `TARGET`")
	fl.StringVar(&before, "before", "", "only requests before the one with this `ID`: the next page")
	fl.IntVar(&f.Limit, "limit", 0, "at most so many to a page, up to 200 (default 50)")
	fl.BoolVar(&all, "all", false, "all pages")
	cli.Complete(cmd, "status", cli.Fixed("pending", "authorized", "granting", "active", "revoking", "closed", "denied", "withdrawn", "lapsed"))
	cli.Complete(cmd, "identity", s.Documents("identity"))
	cli.Complete(cmd, "entitlement", s.Documents("entitlement"))
	cli.Complete(cmd, "target", s.Documents("target"))
	return cmd
}

func (s session) list(ctx context.Context, c *client.Client, f client.Filter, all bool) error {
	rows := []json.RawMessage{}
	var page client.Page
	for n := 0; n == 0 || all && page.Next != ""; n++ {
		next, err := c.List(ctx, f)
		if err != nil {
			return err
		}
		var raw struct{ Requests []json.RawMessage }
		if err := json.Unmarshal(s.Last(), &raw); err != nil {
			return err
		}
		rows = append(rows, raw.Requests...)
		page.Requests, page.Next, f.Before = append(page.Requests, next.Requests...), next.Next, next.Next
	}
	if s.Machine() && !all {
		return s.JSON(s.Last())
	}
	if s.Machine() {
		return s.Encode(struct {
			Requests []json.RawMessage `json:"requests"`
		}{rows})
	}
	if len(page.Requests) == 0 {
		s.Err.Say("there are no such requests")
	}
	s.Out.Requests(page.Requests)
	if page.Next != "" {
		s.Err.Say("\nthere are more: --before %s, or --all", page.Next)
	}
	return nil
}
