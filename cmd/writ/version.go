package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/writhq/writ/internal/cli"
	"github.com/writhq/writ/internal/term"
)

// A build says what the program was built from.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"`
	Modified bool   `json:"modified,omitempty"` // it is not exactly that revision
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func built() build {
	b := build{Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Version = info.Main.Version
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// version returns the version of the module that the program was built from.
func version() string { return built().Version }

func versionCmd(s *cli.Session) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Say what this program was built from",
		Long:    "Say which version this program is, and from which revision and with\nwhich Go it was built.",
		Example: "  writ version\n  writ version -o json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			b := built()
			if s.Machine() {
				return s.Encode(b)
			}
			if b.Modified {
				b.Revision += ", modified"
			}
			s.Out.Rows(0, term.Row{Label: "writ", Value: b.Version}, term.Row{Label: "revision", Value: b.Revision},
				term.Row{Label: "time", Value: b.Time}, term.Row{Label: "go", Value: b.Go + " " + b.Platform})
			return nil
		},
	}
}
