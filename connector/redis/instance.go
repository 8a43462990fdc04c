package redis

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
)

// mark is a user that nobody can log in as: it is off, may do nothing, and has a
// random number in place of a password's hash. Server, run and replication ids
// change at restart or failover; the mark is kept where the access is kept, and so
// is there for exactly as long.
const mark = "writ-instance"

var marker = command{"ACL", "GETUSER", mark}

// Instance returns which list of users this is. It marks the list if nobody has.
func (s *host) Instance(ctx context.Context) (string, error) {
	if is := s.instance.Load(); is != nil {
		return *is, nil
	}
	is, err := s.identify(ctx)
	if err != nil {
		return "", s.fault(ctx, "ask which server this is", err)
	}
	s.instance.Store(&is)
	return is, nil
}

func (s *host) identify(ctx context.Context) (string, error) {
	w, err := s.enter(ctx)
	if err != nil {
		return "", err
	}
	defer w.close()
	answer, err := w.ask(marker)
	if err != nil {
		return "", err
	}
	save := []command{{"ACL", "SAVE"}, marker}
	if is, err := marked(answer); err != nil {
		return "", err
	} else if is == "" {
		// Two that do this at once both add their number; both read the first.
		number := make([]byte, 32)
		rand.Read(number)
		save = append([]command{{"ACL", "SETUSER", mark, "off", "#" + hex.EncodeToString(number)}}, save...)
	}
	answers, err := w.exchange(save...)
	if err == nil {
		err = failed(answers)
	}
	if err != nil {
		return "", err
	}
	return marked(answers[len(answers)-1])
}

func (u user) mark() string {
	if len(u.Passwords) == 0 {
		return ""
	}
	return "users marked " + u.Passwords[0]
}

// marked returns the mark in an answer to marker, or "".
func marked(answer any) (string, error) {
	u, err := understand(mark, answer)
	if err != nil || u == nil {
		return "", err
	}
	return u.mark(), nil
}

// here refuses, for another try, unless this is the server that o is for.
func (s *host) here(o order, answer any) error {
	is, err := marked(answer)
	if err != nil || o.Instance == "" || is == o.Instance {
		return err
	}
	s.instance.Store(nil)
	if is == "" {
		is = "not marked"
	}
	return fmt.Errorf("the list of users at %s is %s, but the order is for %s; point the target's configuration to that server", s.addr, is, o.Instance)
}
