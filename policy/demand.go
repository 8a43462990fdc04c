package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/writhq/writ"
)

// A demand is one thing that a rule asks of a request. Its words are made at
// load; what exactly is amiss is said only where it is not met.
type demand struct {
	words string
	met   func(*facts) bool
	amiss func(*facts) string
}

func atMost(limit writ.Duration) demand {
	return demand{
		"at most " + limit.String(),
		func(f *facts) bool { return f.Terms.For <= limit },
		func(f *facts) string { return f.Terms.For.String() + " is asked for" },
	}
}

// startWithin bounds when access may start. It is a matter of asking: once the
// terms are on record, time only brings their start nearer.
func startWithin(limit writ.Duration) demand {
	return demand{
		"a start within " + limit.String(),
		func(f *facts) bool {
			latest := f.Now.Add(limit.Std())
			return !f.asked() || !f.Terms.StartAt.After(latest) && !f.Terms.StartBy.After(latest)
		},
		func(*facts) string { return "give an earlier startAt or startBy" },
	}
}

// justification counts characters, a run of spaces as one. Later than at
// submit, only that there is one is known.
func justification(least int) demand {
	return demand{
		fmt.Sprintf("a justification of at least %d characters", least),
		func(f *facts) bool {
			return f.Justified && (f.why == nil || utf8.RuneCountInString(strings.Join(strings.Fields(*f.why), " ")) >= least)
		},
		func(f *facts) string { // never the text itself: a verdict is kept for ever
			if f.Justified {
				return "this one is shorter"
			}
			return "there is none"
		},
	}
}

func ticket(pattern string, re *regexp.Regexp) demand {
	return demand{
		"a ticket that matches " + pattern,
		func(f *facts) bool { return f.Terms.Ticket != "" && re.MatchString(f.Terms.Ticket) },
		func(f *facts) string { return given(f.Terms.Ticket) },
	}
}

func scope(name, pattern string, re *regexp.Regexp) demand {
	return demand{
		"scope " + name + " that matches " + pattern,
		func(f *facts) bool {
			value, ok := f.Terms.Scope[name]
			return ok && re.MatchString(value)
		},
		func(f *facts) string { return given(f.Terms.Scope[name]) },
	}
}

func endOf(kind string) demand {
	return demand{
		"an end condition of the kind " + kind,
		func(f *facts) bool {
			return slices.ContainsFunc(f.ends, func(end string) bool { return strings.HasPrefix(end, kind+"/") })
		},
		func(*facts) string { return "name it as " + kind + "/NAME" },
	}
}

func sealed() demand {
	return demand{
		"a recipient key that the credential is sealed to",
		func(f *facts) bool { return f.Terms.Recipient != "" },
		func(*facts) string { return "there is none" },
	}
}

// parted keeps one identity from holding, or asking for, two of these.
func parted(list []string) demand {
	rival := func(f *facts) int {
		return slices.IndexFunc(f.Live, func(l writ.Live) bool {
			return l.Entitlement != f.Terms.Entitlement.Name && slices.Contains(list, l.Entitlement)
		})
	}
	return demand{
		"no two of " + strings.Join(list, ", "),
		func(f *facts) bool { return rival(f) < 0 },
		func(f *facts) string {
			l := f.Live[rival(f)]
			return fmt.Sprintf("%s has %s, which is %s", f.Terms.Subject.Name, l.Entitlement, l.Status)
		},
	}
}

func given(value string) string {
	if value == "" {
		return "there is none"
	}
	return fmt.Sprintf("%q does not", value)
}
