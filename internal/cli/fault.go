package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/client"
	"github.com/writhq/writ/internal/term"
)

// Faults that only whoever waits can meet.
const (
	// Late says that something did not happen in time.
	Late writ.Fault = "too late"
	// Interrupted says that somebody stopped the program.
	Interrupted writ.Fault = "interrupted"
)

// exits is the one table of exit codes. What is in no row is internal: 1.
var exits = []struct {
	code  int
	fault writ.Fault
	means string
	hint  string // where the error itself says none
}{
	{0, "ok", "it is done", ""},
	{1, "internal", "something is broken; it is none of the below", "please report it, with what you did"},
	{2, writ.Invalid, "the command line, a file or the request is not acceptable as it is", "see 'writ help' and the command's --help"},
	{3, writ.Unauthenticated, "the server does not know who calls", "get a token with 'writ login'"},
	{4, writ.Forbidden, "the caller may not, policy says no, or the request was denied", "'writ show' says who may, and why"},
	{5, writ.NotFound, "there is no such thing, or the caller has no part in it", "'writ list' and 'writ get' say what there is"},
	{6, writ.Conflict, "it is not in a state for this; or a policy contradicts its own examples", "'writ show' says where it stands"},
	{7, writ.Stale, "the terms or a document are no longer those that were meant", "read it again, then decide again"},
	{8, writ.Unavailable, "the server or something that it needs is down", "try again later"},
	{9, Late, "waiting took too long, the request lapsed, or access ran out", "ask again if it is still needed"},
	{130, Interrupted, "somebody pressed Ctrl-C or stopped the program", "what the server was told stays told"},
}

// An Exit ends the program with the code of a command that it ran, and prints nothing.
type Exit int

// Error says the code.
func (e Exit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// faultOf returns the row of an error in the table.
func faultOf(err error) (code int, fault writ.Fault, hint string) {
	if errors.Is(err, context.Canceled) {
		err = Interrupted
	}
	for _, row := range exits[2:] {
		if errors.Is(err, row.fault) {
			return row.code, row.fault, row.hint
		}
	}
	return 1, exits[1].fault, exits[1].hint
}

// Fail prints an error, if there is one, and returns the exit code.
func (s *Session) Fail(err error) int {
	if err == nil {
		return 0
	}
	if exit, ok := errors.AsType[Exit](err); ok {
		return int(exit)
	}
	if !s.parsed { // cobra's own errors: of flags, arguments, commands
		err = writ.Errorf(writ.Invalid, "%s", strings.TrimSpace(err.Error()))
	}
	code, fault, hint := faultOf(err)
	if s.Machine() {
		fmt.Fprintf(s.Err.W, "%s\n", s.problem(err, fault))
		return code
	}
	lines := strings.Split(strings.TrimRight(err.Error(), "\n"), "\n")
	if len(lines) > 1 { // an excerpt with a caret: its columns must stay
		s.Err.Say("%v %v", s.Err.Bad("writ:"), lines[0])
		for _, line := range lines[1:] {
			fmt.Fprintln(s.Err.W, term.Safe(line))
		}
		return code
	}
	what, own := split(err)
	s.Err.Say("%v %s", s.Err.Bad("writ:"), what)
	s.Err.Say("%v %s", s.Err.Faint("hint:"), cmp.Or(own, hint))
	return code
}

// split parts an error, which says what, which one; what to do now.
func split(err error) (what, hint string) {
	text := err.Error()
	if r, ok := errors.AsType[*client.Refusal](err); ok && r.Request != "" {
		return text, "the request is on record; 'writ show " + string(r.Request) + "' says more"
	}
	if i := strings.LastIndex(text, "; "); i > 0 {
		return text[:i], text[i+2:]
	}
	return text, ""
}

// problem returns an error as a problem document (RFC 9457): the server's own,
// if it was the server that refused.
func (s *Session) problem(err error, fault writ.Fault) json.RawMessage {
	if _, refused := errors.AsType[*client.Refusal](err); refused && json.Valid(s.tape.problem()) {
		return bytes.TrimSpace(s.tape.problem())
	}
	data, _ := json.Marshal(map[string]string{ // strings can always be marshalled
		"type":   "urn:writ:problem:" + strings.ReplaceAll(string(fault), " ", "-"),
		"title":  string(fault),
		"detail": err.Error(),
	})
	return data
}

// HelpTopics returns what `writ help` explains beside commands.
func HelpTopics() []*cobra.Command {
	var b strings.Builder
	b.WriteString("The exit code says what kind of fault it was:\n\n")
	for _, row := range exits {
		fmt.Fprintf(&b, "  %3d  %-15s  %s\n", row.code, row.fault, row.means)
	}
	b.WriteString(`
'writ exec' ends with the exit code of the command that it ran, with 128 and
the number of the signal if one ended it, with 126 if it could not be executed
and with 127 if it was not found. The codes above are then of 'writ exec'
itself: it did not get as far as running the command.
`)
	return []*cobra.Command{{Use: "exit-codes", Short: "What the exit codes mean", Long: b.String()}}
}
