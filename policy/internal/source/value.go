package source

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/writhq/writ"
)

// Duration reads a length of time that is more than nothing. Like the other
// readers it says what is wrong, and gives the zero value where the key was
// left out.
func (s *Source) Duration(t Text) writ.Duration {
	if !t.Set() {
		return 0
	}
	d, err := writ.ParseDuration(t.Value)
	if err == nil && d <= 0 {
		err = errors.New("a duration of nothing; leave the key out or give a longer one")
	}
	if err != nil {
		s.Fail(t.At, "%v", err)
	}
	return d
}

// Number reads a number from 1 to 1000; left out, it is otherwise.
func (s *Source) Number(t Text, otherwise int) int {
	if !t.Set() {
		return otherwise
	}
	n, err := strconv.Atoi(t.Value)
	if err != nil || n < 1 || n > 1000 {
		s.Fail(t.At, "%q is not a number from 1 to 1000", t.Value)
	}
	return n
}

// Flag reads true or false.
func (s *Source) Flag(t Text) bool {
	if t.Set() && t.Value != "true" && t.Value != "false" {
		s.Fail(t.At, "%q is neither true nor false", t.Value)
	}
	return t.Value == "true"
}

// Moment reads a time in the form of RFC 3339.
func (s *Source) Moment(t Text) time.Time {
	if !t.Set() {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, t.Value)
	if err != nil {
		s.Fail(t.At, "%q is not a time; write it as 2026-01-05T10:00:00Z", t.Value)
	}
	return at
}

// Pattern reads a regular expression that a whole value must match.
func (s *Source) Pattern(t Text) *regexp.Regexp {
	if _, err := regexp.Compile(t.Value); err != nil { // alone: a stray parenthesis must not close ours
		s.Fail(t.At, "%v", err)
		return nil
	}
	re, err := regexp.Compile(`\A(?:` + t.Value + `)\z`)
	if err != nil {
		s.Fail(t.At, "%v", err)
	}
	return re
}

// Word reads the name of something that stands in a node.
func (s *Source) Word(t Text, in Node, what string) string {
	switch {
	case !t.Set():
		s.Fail(in, "%s has no name; give it one", what)
	case !IsWord(t.Value):
		s.Fail(t.At, "%q: the name of a %s has up to 63 of a-z 0-9 . _ - and starts with a letter or digit", t.Value, what)
	}
	return t.Value
}

// IsWord reports whether a text has the form of a name.
func IsWord(text string) bool { return wordForm.MatchString(text) }

var wordForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// Refs reads identities and groups.
func (s *Source) Refs(list []Text) (out []writ.Ref) {
	for _, t := range list {
		if kind, name, ok := strings.Cut(t.Value, "/"); !ok || kind == "" || name == "" {
			s.Fail(t.At, "%q: name a group or an identity, as group/security or human/max", t.Value)
		}
		out = append(out, writ.Ref(t.Value))
	}
	return out
}

// Values returns the texts alone.
func Values(list []Text) (out []string) {
	for _, t := range list {
		out = append(out, t.Value)
	}
	return out
}
