package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/writhq/writ/internal/cli"
)

var update = flag.Bool("update", false, "rewrite golden files")

// TestReference holds docs/reference/cli.md against the commands themselves.
func TestReference(t *testing.T) {
	const page = "../../docs/reference/cli.md"
	root := newRoot(cli.New())
	var b strings.Builder
	b.WriteString("# Command line\n\n<!-- Made from the commands by go test ./cmd/writ -update. -->\n\n" + root.Long + "\n\n")
	b.WriteString("Flags of every command:\n\n```\n" + root.PersistentFlags().FlagUsages() + "```\n\n")
	b.WriteString("Results are on standard output, everything else is on standard error. With\n`-o json` a result is exactly what the API answered, and an error is a problem\ndocument (RFC 9457) on the last line of standard error.\n")
	for _, c := range root.Commands() {
		describe(&b, c)
	}
	if *update {
		if err := os.WriteFile(page, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(b.String(), string(have)); d != "" {
		t.Errorf("%s is not what the commands say; run go test ./cmd/writ -update\n%s", page, d)
	}
}

func describe(b *strings.Builder, c *cobra.Command) {
	if c.Hidden || c.Name() == "help" {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n%s\n", c.CommandPath(), strings.TrimSpace(c.Long))
	if c.Runnable() {
		fmt.Fprintf(b, "\n```\n%s\n```\n", c.UseLine())
	}
	if c.Example != "" {
		fmt.Fprintf(b, "\nExamples:\n\n```sh\n%s\n```\n", dedent(c.Example))
	}
	if flags := c.NonInheritedFlags().FlagUsages(); flags != "" {
		fmt.Fprintf(b, "\nFlags:\n\n```\n%s```\n", flags)
	}
	for _, sub := range c.Commands() {
		if c.Name() != "completion" { // they say how to install them, each in a page
			describe(b, sub)
		}
	}
}

func dedent(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "  ")
	}
	return strings.Join(lines, "\n")
}

// TestEveryCommandHasHelp: a sentence, an explanation and an example.
func TestEveryCommandHasHelp(t *testing.T) {
	var check func(*cobra.Command)
	check = func(c *cobra.Command) {
		if c.Short == "" || c.Long == "" || c.Example == "" {
			t.Errorf("%s lacks a short or long text or an example", c.CommandPath())
		}
		if strings.HasSuffix(c.Short, ".") || len(c.Short) > 72 {
			t.Errorf("%s: its short text %q is no short line", c.CommandPath(), c.Short)
		}
		for line := range strings.SplitSeq(c.Long+"\n"+c.Example, "\n") {
			if len([]rune(line)) > 90 {
				t.Errorf("%s: help is wider than a terminal: %q", c.CommandPath(), line)
			}
		}
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() && c.Name() != "completion" {
				check(sub)
			}
		}
	}
	check(newRoot(cli.New()))
}
