package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/client"
	"github.com/writhq/writ/internal/term"
)

// completeFor bounds how long a shell waits for names. On any failure there
// are none, and nothing is said: whoever types is not to be disturbed.
const completeFor = 2 * time.Second

// Complete adds the completion of a flag.
func Complete(cmd *cobra.Command, flag string, names func(*cobra.Command) []string) {
	// It fails only for a flag that is not there or has a function already.
	if err := cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return names(cmd), cobra.ShellCompDirectiveNoFileComp
	}); err != nil {
		panic(err)
	}
}

// Nth completes the first arguments of a command, one function each.
func Nth(names ...func(*cobra.Command) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= len(names) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return names[len(args)](cmd), cobra.ShellCompDirectiveNoFileComp
	}
}

// names calls the server for names, briefly.
func (s *Session) names(f func(ctx context.Context, c *client.Client) []string) []string {
	ctx, cancel := context.WithTimeout(context.Background(), completeFor)
	defer cancel()
	c, err := s.Client()
	if err != nil {
		return nil
	}
	return f(ctx, c)
}

// IDs completes requests of these statuses; of all if there are none.
func (s *Session) IDs(status ...writ.Status) func(*cobra.Command) []string {
	return func(*cobra.Command) []string {
		return s.names(func(ctx context.Context, c *client.Client) (out []string) {
			page, err := c.List(ctx, client.Filter{Status: status})
			if err != nil {
				return nil
			}
			for _, r := range page.Requests {
				about := fmt.Sprintf("%s: %s to %s", r.Status, r.Terms.Subject.Name, r.Terms.Entitlement.Name)
				out = append(out, cobra.CompletionWithDesc(term.Safe(string(r.ID)), term.Safe(about)))
			}
			return out
		})
	}
}

// Documents completes names of documents of a kind.
func (s *Session) Documents(kind string) func(*cobra.Command) []string {
	return func(*cobra.Command) []string {
		return s.names(func(ctx context.Context, c *client.Client) (out []string) {
			docs, err := c.Documents(ctx, kind, "")
			if err != nil {
				return nil
			}
			for _, data := range docs {
				var d struct{ Name, Title string }
				if json.Unmarshal(data, &d) == nil {
					out = append(out, cobra.CompletionWithDesc(term.Safe(d.Name), term.Safe(d.Title)))
				}
			}
			return out
		})
	}
}

// Fixed completes these words.
func Fixed(names ...string) func(*cobra.Command) []string {
	return func(*cobra.Command) []string { return names }
}
