package writ

import "fmt"

// A Fault is a kind of refusal. Each is itself an error, so that
// errors.Is(err, Forbidden) holds for every error made with Errorf(Forbidden, …).
// An error that is no Fault is internal: it is logged, not shown.
type Fault string

// The kinds of refusal. One table each maps them to HTTP status and exit code.
const (
	Invalid         Fault = "invalid"         // what was sent cannot be accepted as it is
	Unauthenticated Fault = "unauthenticated" // the caller is not known
	Forbidden       Fault = "forbidden"       // the caller may not, or policy says no
	NotFound        Fault = "not found"
	Conflict        Fault = "conflict"    // not in this state
	Stale           Fault = "stale"       // the terms or the definition are no longer those that were meant
	Unavailable     Fault = "unavailable" // something needed is down; trying later may help
)

// Error returns the kind in words.
func (f Fault) Error() string { return string(f) }

type fault struct {
	Fault
	text string
}

func (f *fault) Error() string { return f.text }
func (f *fault) Unwrap() error { return f.Fault }

// Errorf makes an error of kind k whose text is for people: what, which one,
// what to do now.
func Errorf(k Fault, format string, args ...any) error {
	return &fault{k, fmt.Sprintf(format, args...)}
}
