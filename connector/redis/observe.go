package redis

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/writhq/writ/connector"
)

// Observe reads what is there for the order.
func (s *host) Observe(ctx context.Context, co connector.Order, r connector.Receipt) (connector.Observation, error) {
	o := locate(co)
	if o.name == "" {
		return connector.Observation{State: connector.Absent}, ctx.Err()
	}
	seen, err := s.look(ctx, o, r)
	return seen, s.fault(ctx, "observe user "+o.name, err)
}

func (s *host) look(ctx context.Context, o order, r connector.Receipt) (connector.Observation, error) {
	w, err := s.enter(ctx)
	if err != nil {
		return connector.Observation{}, err
	}
	defer w.close()
	answers, err := w.exchange(marker, command{"ACL", "GETUSER", o.name}, command{"CLIENT", "LIST"})
	if err == nil {
		err = failed(answers)
	}
	if err == nil {
		err = s.here(o, answers[0])
	}
	if err != nil {
		return connector.Observation{}, err
	}
	u, err := understand(o.name, answers[1])
	if err != nil || u == nil {
		return connector.Observation{State: connector.Absent}, err
	}
	seen := u.observation(clients(text(answers[2])))
	seen.Differs = u.differs(o, r)
	return seen, nil
}

// List calls f for every user that can log in, and for every one made by Writ.
func (s *host) List(ctx context.Context, f func(connector.Observation) error) error {
	var stop error
	err := s.each(ctx, func(seen connector.Observation) error {
		stop = f(seen)
		return stop
	})
	if stop != nil {
		return stop
	}
	return s.fault(ctx, "list users", err)
}

func (s *host) each(ctx context.Context, f func(connector.Observation) error) error {
	w, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	answers, err := w.exchange(command{"ACL", "USERS"}, command{"CLIENT", "LIST"})
	if err == nil {
		err = failed(answers)
	}
	if err != nil {
		return err
	}
	open := clients(text(answers[1]))
	for names := range slices.Chunk(texts(answers[0]), 256) {
		users, err := w.users(names)
		if err != nil {
			return err
		}
		for _, u := range users {
			if err := f(u.observation(open)); err != nil {
				return err
			}
		}
	}
	return nil
}

// users reads those of the named users that List shows.
func (w *wire) users(names []string) (all []user, err error) {
	ask := make([]command, len(names))
	for i, name := range names {
		ask[i] = command{"ACL", "GETUSER", name}
	}
	answers, err := w.exchange(ask...)
	if err == nil {
		err = failed(answers)
	}
	if err != nil {
		return nil, err
	}
	for i, answer := range answers {
		u, err := understand(names[i], answer)
		if err != nil {
			return nil, err
		}
		if u != nil && (slices.Contains(u.Flags, "on") || requested(u.Name) != "") {
			all = append(all, *u)
		}
	}
	return all, nil
}

// A user is what the server says of one.
type user struct {
	Name      string
	Flags     []string // "on", "nopass", …
	Passwords []string // SHA-256, hex
	Commands  string   // "-@all +@read"
	Keys      string   // "~a:* %R~b:*"
	Channels  string   // "&c"
	Selectors int      // further sets of rules
}

// understand reads an answer to ACL GETUSER. Nil: there is no such user.
func understand(name string, answer any) (*user, error) {
	if answer == nil {
		return nil, nil
	}
	fields, ok := answer.([]any)
	if !ok || len(fields)%2 != 0 {
		return nil, errProtocol
	}
	u, found := &user{Name: name}, false
	for i := 0; i < len(fields); i += 2 {
		switch value := fields[i+1]; text(fields[i]) {
		case "flags":
			u.Flags = texts(value)
		case "passwords":
			u.Passwords = texts(value)
		case "commands":
			u.Commands = text(value)
		case "keys":
			u.Keys = text(value)
		case "channels":
			u.Channels = text(value)
		case "selectors":
			selectors, _ := value.([]any)
			u.Selectors, found = len(selectors), true
		}
	}
	if !found {
		return nil, failure("ERR the server is older than Redis 7.0, and does not tell all that a user may do")
	}
	return u, nil
}

// detail returns what people want to see of a user.
func (u user) detail() map[string]string {
	all := map[string]string{}
	for name, value := range map[string]string{"commands": u.Commands, "keys": u.Keys, "channels": u.Channels} {
		if value != "" {
			all[name] = value
		}
	}
	return all
}

// observation returns what was seen of the user, compared with nothing.
func (u user) observation(open []map[string]string) connector.Observation {
	seen := connector.Observation{External: u.Name, Request: requested(u.Name), State: connector.Present, Detail: u.detail()}
	now, sessions := time.Now().UTC(), 0
	for _, c := range open {
		if c["user"] != u.Name {
			continue
		}
		sessions++
		idle, err := strconv.ParseInt(c["idle"], 10, 32)
		if used := now.Add(-time.Duration(idle) * time.Second); err == nil && used.After(seen.LastUsed) {
			seen.LastUsed = used
		}
	}
	seen.Detail["flags"] = strings.Join(u.Flags, ", ")
	seen.Detail["passwords"] = strconv.Itoa(len(u.Passwords))
	seen.Detail["sessions"] = strconv.Itoa(sessions)
	return seen
}

// differs says in which ways the user is not as ordered. How the server spells the
// rules about commands depends on its version, so they are held against what it
// said right after the grant.
func (u user) differs(o order, r connector.Receipt) (ways []string) {
	differ := func(format string, args ...any) { ways = append(ways, fmt.Sprintf(format, args...)) }
	flags := slices.DeleteFunc(slices.Clone(u.Flags), func(f string) bool { return f == "sanitize-payload" })
	if !slices.Equal(flags, []string{"on"}) {
		differ("it is %q, ordered was \"on\"", strings.Join(flags, ", "))
	}
	switch {
	case len(u.Passwords) != 1:
		differ("it has %d passwords, ordered was one", len(u.Passwords))
	case r.Fingerprint != "" && "sha256:"+u.Passwords[0] != r.Fingerprint:
		differ("its password is not the one that was issued")
	}
	if have, want := sorted(u.Keys), o.rules("~"); !slices.Equal(have, want) {
		differ("its keys are %q, ordered were %q", have, want)
	}
	if have, want := sorted(u.Channels), o.rules("&"); !slices.Equal(have, want) {
		differ("its channels are %q, ordered were %q", have, want)
	}
	if u.Selectors > 0 {
		differ("it has %d further sets of rules (selectors)", u.Selectors)
	}
	switch want := r.Detail["commands"]; {
	case want == "":
		differ("its commands are %q, and there is no receipt to compare them with", u.Commands)
	case u.Commands != want:
		differ("its commands are %q, granted were %q", u.Commands, want)
	}
	return ways
}

// sorted returns the patterns in a line of them.
func sorted(line string) []string {
	all := strings.Fields(line)
	slices.Sort(all)
	return all
}

// clients understands the answer to CLIENT LIST: one client a line, name=value.
func clients(list string) (all []map[string]string) {
	for line := range strings.Lines(list) {
		c := map[string]string{}
		for _, field := range strings.Fields(line) {
			name, value, _ := strings.Cut(field, "=")
			c[name] = value
		}
		all = append(all, c)
	}
	return all
}
