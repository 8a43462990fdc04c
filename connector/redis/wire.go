package redis

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// A wire is one connection that speaks RESP2, the protocol that every server
// speaks until it is asked for another (Redis documentation, Redis serialization
// protocol specification).
type wire struct {
	conn net.Conn
	in   *bufio.Reader
	stop func() bool // watching the context
}

// A command is its name and arguments. None of them needs quoting.
type command []string

// A failure is an error that the server answered with. The first word is its code.
type failure string

func (f failure) Error() string { return string(f) }

// volatile reports whether the server said that it has no place to save users to.
func (f failure) volatile() bool {
	return strings.Contains(string(f), "not configured to use an ACL file")
}

// final reports whether the server means no, now and later: all that has no code
// of its own, but for a file that could not be written.
func (f failure) final() bool {
	return strings.HasPrefix(string(f), "ERR ") && !strings.Contains(string(f), "trying to save the ACLs")
}

// dial connects. Once the context is done, so is the connection: what was sent may
// then still be carried out.
func dial(ctx context.Context, addr string, settings *tls.Config) (*wire, error) {
	within, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	dialer := net.Dialer{}
	conn, err := dialer.DialContext(within, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if settings != nil {
		settings.ServerName, _, _ = net.SplitHostPort(addr)
		secure := tls.Client(conn, settings)
		if err := secure.HandshakeContext(within); err != nil {
			_ = conn.Close()
			return nil, err
		}
		conn = secure
	}
	raw := conn
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	return &wire{conn, bufio.NewReader(conn), stop}, nil
}

func (w *wire) close() {
	w.stop()
	_ = w.conn.Close()
}

// ask sends one command and returns its answer; what the server answers with an
// error is one.
func (w *wire) ask(c command) (any, error) {
	answers, err := w.exchange(c)
	if err != nil {
		return nil, err
	}
	if said, ok := answers[0].(failure); ok {
		return nil, said
	}
	return answers[0], nil
}

// exchange sends commands at once and returns their answers, one each: a string,
// an int64, a []any of these, nil for nothing, or a failure.
func (w *wire) exchange(commands ...command) (answers []any, err error) {
	var out []byte
	for _, c := range commands {
		out = fmt.Appendf(out, "*%d\r\n", len(c))
		for _, arg := range c {
			out = fmt.Appendf(out, "$%d\r\n%s\r\n", len(arg), arg)
		}
	}
	if _, err := w.conn.Write(out); err != nil {
		return nil, err
	}
	for range commands {
		answer, err := w.read(0)
		if err != nil {
			return nil, err
		}
		answers = append(answers, answer)
	}
	return answers, nil
}

// What a server may answer with, at most; a list of 100,000 clients is far below.
const (
	maxText  = 256 << 20
	maxItems = 1 << 20
	maxDepth = 8
)

var errProtocol = errors.New("what answers there is no Redis server")

func (w *wire) read(depth int) (any, error) {
	line, err := w.in.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	if len(line) < 3 || line[len(line)-2] != '\r' || depth > maxDepth {
		return nil, errProtocol
	}
	kind, text := line[0], string(line[1:len(line)-2])
	switch kind {
	case '+':
		return text, nil
	case '-':
		return failure(text), nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil:
		return nil, errProtocol
	case kind == ':':
		return n, nil
	case n == -1 && (kind == '$' || kind == '*'):
		return nil, nil
	case kind == '$' && n >= 0 && n <= maxText:
		return w.text(n)
	case kind == '*' && n >= 0 && n <= maxItems:
		return w.items(n, depth)
	}
	return nil, errProtocol
}

// text reads a string of n bytes. Memory grows with what arrives, not with what
// was announced.
func (w *wire) text(n int64) (any, error) {
	var b strings.Builder
	if _, err := io.CopyN(&b, w.in, n); err != nil {
		return nil, err
	}
	var end [2]byte
	if _, err := io.ReadFull(w.in, end[:]); err != nil {
		return nil, err
	}
	if string(end[:]) != "\r\n" {
		return nil, errProtocol
	}
	return b.String(), nil
}

func (w *wire) items(n int64, depth int) (any, error) {
	items := []any{}
	for range n {
		item, err := w.read(depth + 1)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, nil
}

// text returns an answer that is a string, and texts one that is a list of them.
func text(answer any) string {
	s, _ := answer.(string)
	return s
}

func texts(answer any) (all []string) {
	items, _ := answer.([]any)
	for _, item := range items {
		all = append(all, text(item))
	}
	return all
}

// failed returns the first failure among answers.
func failed(answers []any) error {
	for _, answer := range answers {
		if said, ok := answer.(failure); ok {
			return said
		}
	}
	return nil
}
