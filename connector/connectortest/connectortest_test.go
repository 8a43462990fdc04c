package connectortest

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/writhq/writ/connector"
)

func TestSoundConnectorPasses(t *testing.T) {
	t.Run("over the network", func(t *testing.T) { Run(t, doorHarness("", true)) })
	t.Run("in process", func(t *testing.T) { Run(t, doorHarness("", false)) })
}

// broken says for every check which broken connector it must catch, and by what
// words of its complaint.
var broken = []struct{ check, connector, complaint string }{
	{"manifest is complete", "says nothing of itself", "summary"},
	{"granted access works and is observed", "grants nothing", "does not work"},
	{"granted access works and is observed", "keeps the word in the receipt", "a secret leaked"},
	{"granted access works and is observed", "logs the word", "a secret leaked"},
	{"granting twice leaves one access", "makes a new name each time", "holds 2 pieces"},
	{"a late order gives no access", "knows no end", "still works"},
	{"revoked access is gone", "revokes nothing", "still works"},
	{"revoking needs no receipt and may be repeated", "needs a receipt", "still works"},
	{"revoking what never was is success", "cannot revoke what is not there", "no such guest"},
	{"revoking ends open sessions", "leaves sessions open", "still open"},
	{"requests are independent", "revokes everything", "does not work"},
	{"an order for another instance does nothing", "does it wherever it is", "a grant for another instance"},
	{"shared access is the same whoever it is for", "makes the name from the subject", "by one grant section"},
	{"calls may come at once", "cannot do two at once", "busy"},
	{"nothing outlives until", "ends late", "still works"},
	{"nothing outlives until", "knows no end", "the observation does not"},
	{"changed access is observed", "sees no difference", "not noticed"},
	{"list shows what exists", "lists its own only", "made by hand"},
	{"list stops at an error", "lists on and on", "called back 2 times"},
	{"check refuses mistakes", "checks nothing", "not named"},
	{"open refuses mistakes", "takes any configuration", "unknown field"},
	{"what cannot be is refused", "grants whatever is asked", "wraps ErrRefused"},
	{"a cancelled call does nothing", "does not hear a cancel", "want context.Canceled"},
	{"a target that is down is an error", "takes an error for absence", "observe at a target that is down"},
	{"a target that hangs is left at the deadline", "takes an error for absence", "observe with a deadline"},
	{"a fault while granting leaves nothing wrong", "makes a new name after an error", "more than at the start"},
	{"a fault while revoking leaves nothing wrong", "believes it was done", "still works"},
	{"a fault while reading changes nothing", "takes an error for absence", "observed {"},
}

func TestEachCheckCatchesABrokenConnector(t *testing.T) {
	caught := map[string]bool{}
	for _, b := range broken {
		caught[b.check] = true
		t.Run(b.check+"/"+b.connector, func(t *testing.T) {
			at := slices.IndexFunc(checks, func(c check) bool { return c.name == b.check })
			if at < 0 {
				t.Fatal("there is no such check")
			}
			kind := connector.APIKey
			if b.connector == "makes the name from the subject" {
				kind = connector.Membership
			}
			log, failed := record(t, func(t testing.TB) {
				checks[at].run(newSuite(t, doorHarness(b.connector, true), kind))
			})
			if !failed || !strings.Contains(log, b.complaint) {
				t.Errorf("failed: %t, want true; complaint: %q, want one with %q", failed, log, b.complaint)
			}
		})
	}
	for _, c := range checks {
		if !caught[c.name] {
			t.Errorf("nothing shows that the check %q can fail", c.name)
		}
	}
}

// record runs f with a test that only notes whether it failed, and why.
func record(t *testing.T, f func(testing.TB)) (log string, failed bool) {
	r := &recorder{TB: t}
	var over sync.WaitGroup
	over.Go(func() { f(r) }) // of its own, because FailNow ends it
	over.Wait()
	for _, clean := range slices.Backward(r.cleanups) {
		clean()
	}
	return r.log.String(), r.failed
}

// A recorder is a test that notes failure instead of failing.
type recorder struct {
	testing.TB
	mu       sync.Mutex
	log      strings.Builder
	failed   bool
	cleanups []func()
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
	fmt.Fprintf(&r.log, format+"\n", args...)
}

func (r *recorder) Error(args ...any) { r.Errorf("%s", fmt.Sprint(args...)) }
func (r *recorder) Cleanup(f func())  { r.cleanups = append(r.cleanups, f) }

func (r *recorder) Fatal(args ...any) { r.Fatalf("%s", fmt.Sprint(args...)) }

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}
