package redis

import (
	"context"
	"crypto/rand"

	"github.com/writhq/writ/connector"
)

// Revoke deletes the user, which also cuts its connections, and has the server
// write that down: a restart must not bring it back.
func (s *host) Revoke(ctx context.Context, co connector.Order, _ connector.Receipt) error {
	o := locate(co)
	if o.name == "" {
		return ctx.Err()
	}
	return s.fault(ctx, "end user "+o.name, s.end(ctx, o))
}

func (s *host) end(ctx context.Context, o order) error {
	w, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	first, err := s.settle(w, o)
	if err != nil {
		return err
	}
	answers, err := w.exchange(append(first, command{"ACL", "DELUSER", o.name}, command{"ACL", "SAVE"})...)
	if err != nil {
		return err
	}
	last := len(answers) - 1
	if said, ok := answers[last].(failure); ok && said.volatile() {
		answers = answers[:last] // nothing is kept that could come back
	}
	return failed(answers)
}

// settle makes sure that this is the server that o is for, and returns the
// commands after which no earlier Grant of it is under way any more. Its caller may
// have given it up, or may be a process that died; what it sent could still arrive.
// A connection is named before it changes anything, so all that could are found.
func (s *host) settle(w *wire, o order, harmless ...command) ([]command, error) {
	family := "writ:" + o.Request + ":"
	self := family + rand.Text()
	answers, err := w.exchange(append([]command{{"CLIENT", "SETNAME", self}, {"CLIENT", "LIST"}, marker}, harmless...)...)
	if err == nil {
		err = failed(answers)
	}
	if err == nil {
		err = s.here(o, answers[2])
	}
	if err != nil {
		return nil, err
	}
	var kills []command
	for _, c := range clients(text(answers[1])) {
		if name := c["name"]; len(name) > len(family) && name[:len(family)] == family && name != self {
			kills = append(kills, command{"CLIENT", "KILL", "ID", c["id"]})
		}
	}
	return kills, nil
}
