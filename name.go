package writ

import (
	"regexp"
	"strings"
)

type (
	// An ID names a request: "req-" and a sortable random part.
	ID string

	// A UID is the immutable id of a document. A name that is removed and made
	// again gets another UID, and nothing that was meant for the first.
	UID string

	// A Ref is the name of an identity or group: "service/ci-deployer", "group/security".
	Ref string
)

// A Party is somebody in an event or in terms: a name for people, a UID for decisions.
type Party struct {
	Name Ref `json:"name"`
	UID  UID `json:"uid,omitempty"`
}

// System is the actor of what Writ does by itself.
var System = Party{Name: "system/writ"}

// Kind returns what stands before the slash.
func (r Ref) Kind() string {
	kind, _, _ := strings.Cut(string(r), "/")
	return kind
}

// IsGroup reports whether r names a group.
func (r Ref) IsGroup() bool { return r.Kind() == "group" }

// Human is the kind of identity that can be accountable. All others are non-human.
const Human = "human"

// identityKinds are the kinds of identity, the first of which is human.
var identityKinds = []string{Human, "service", "workload", "agent", "application"}

var namePart = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$`)

// checkName refuses a name that is not exactly n parts separated by slashes.
func checkName(what, name string, n int) error {
	parts := strings.Split(name, "/")
	ok := len(parts) == n
	for _, p := range parts {
		ok = ok && namePart.MatchString(p)
	}
	if ok {
		return nil
	}
	form := [...]string{"", "name", "kind/name"}[n]
	return Errorf(Invalid, "%s %q: a name has the form %s, each part up to 63 of a-z 0-9 . _ - and starting and ending with a letter or digit", what, name, form)
}
