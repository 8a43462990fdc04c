// Command writ is all of Writ: the server and the command line of those who
// call it.
package main

import (
	"context"
	"os"
	"os/signal"
	"slices"
	"syscall"
	_ "time/tzdata" // approvals may have hours in any zone, also where the machine knows none

	"github.com/writhq/writ/internal/cli"
)

func main() { os.Exit(run()) }

// run is one run of the program. A signal asks the command to end; what it then
// does to leave nothing half done is bounded in time.
func run() int {
	signals := []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP}
	ctx, stop := signal.NotifyContext(context.Background(), slices.DeleteFunc(signals, signal.Ignored)...)
	defer stop()
	s := cli.New()
	return s.Fail(newRoot(s).ExecuteContext(ctx))
}
