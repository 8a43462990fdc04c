package redis

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/connector/connectortest"
	"github.com/writhq/writ/internal/realtest"
	"github.com/writhq/writ/internal/realtest/server"
)

// A site is a server with something to protect: key app:billing:price. Writ's user
// has exactly the rights that the documentation asks for.
type site struct {
	testing.TB
	*server.Redis
	admin *session
}

const writsPassword = "the-password-of-writ"

// rights are those that the documentation asks for.
var rights = []string{"acl|setuser", "acl|deluser", "acl|getuser", "acl|users", "acl|save", "client|setname", "client|list", "client|kill"}

func newSite(t testing.TB) *site {
	t.Helper()
	return siteOn(t, server.RedisConfig{})
}

func siteOn(t testing.TB, c server.RedisConfig) *site {
	t.Helper()
	s := &site{TB: t, Redis: realtest.Redis(t, c)}
	admin, err := login(t.Context(), s.Addr, "default", s.Password)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.close)
	s.admin = admin
	s.do("SET app:billing:price 7")
	s.do("ACL SETUSER writ reset on >" + writsPassword + " +" + strings.Join(rights, " +"))
	return s
}

// A session is a client that writes commands as lines, as people do with telnet.
// It has nothing in common with the connector.
type session struct {
	conn net.Conn
	in   *bufio.Reader
}

func login(ctx context.Context, addr, user, password string) (*session, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	s := &session{conn, bufio.NewReader(conn)}
	if _, err = s.do("AUTH " + user + " " + password); err != nil {
		s.close()
	}
	return s, err
}

func (s *session) close() { s.conn.Close() }

// do returns the answer to a command, of a list one element a line.
func (s *session) do(command string) (string, error) {
	_ = s.conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := fmt.Fprintf(s.conn, "%s\r\n", command); err != nil {
		return "", err
	}
	return s.answer()
}

func (s *session) answer() (string, error) {
	line, err := s.in.ReadString('\n')
	line = strings.TrimSpace(line)
	if err != nil || line == "" {
		return "", errors.Join(err, errors.New("no answer"))
	}
	n, _ := strconv.Atoi(line[1:])
	switch line[0] {
	case '-':
		return "", errors.New(line)
	case '$':
		text := make([]byte, max(n, 0)+2)
		if n >= 0 {
			_, err = s.in.Read(text)
		}
		return strings.TrimSpace(string(text)), err
	case '*':
		var all []string
		for range n {
			item, err := s.answer()
			if err != nil {
				return "", err
			}
			all = append(all, item)
		}
		return strings.Join(all, "\n"), nil
	}
	return line[1:], nil
}

func (s *site) do(command string) string {
	s.Helper()
	answer, err := s.admin.do(command)
	if err != nil {
		s.Fatalf("%s: %v", command, err)
	}
	return answer
}

// count returns how many users there are, but for the mark.
func (s *site) count() (n int) {
	s.Helper()
	for name := range strings.Lines(s.do("ACL USERS")) {
		if strings.TrimSpace(name) != mark {
			n++
		}
	}
	return n
}

func (s *site) config(addr string) json.RawMessage {
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		s.Fatal(err)
	}
	return marshal(config{URL: "redis://writ@" + addr, PasswordFrom: "env:WRIT_REDIS", Host: host, Port: port})
}

func secret(ref string) (connector.Secret, error) {
	if ref != "env:WRIT_REDIS" {
		return connector.Secret{}, fmt.Errorf("no secret %s", ref)
	}
	return connector.Conceal(writsPassword), nil
}

func (*site) order(request string, kind connector.Kind) connector.Order {
	return connector.Order{
		Request: request, Serial: "s-1", Kind: kind, From: time.Now().UTC(), Until: time.Now().UTC().Add(time.Hour),
		Scope: map[string]string{"team": "billing"},
		Grant: marshal(section{Commands: []string{"+@read", "+@pubsub", "-keys"}, Keys: []string{"app:${scope.team}:*"},
			ReadKeys: []string{"shared:*"}, Channels: []string{"events.${scope.team}.*"}}),
	}
}

// entered logs in with what was issued.
func entered(ctx context.Context, c *connector.Credential) (*session, error) {
	return login(ctx, net.JoinHostPort(c.Env["REDIS_HOST"].Reveal(), c.Env["REDIS_PORT"].Reveal()), c.Env["REDIS_USERNAME"].Reveal(), c.Env["REDIS_PASSWORD"].Reveal())
}

func works(ctx context.Context, _ connector.Order, c *connector.Credential) error {
	s, err := entered(ctx, c)
	if err != nil {
		return err
	}
	defer s.close()
	if got, err := s.do("GET app:billing:price"); err != nil || got != "7" {
		return fmt.Errorf("got %q, %w", got, err)
	}
	return nil
}

func open(ctx context.Context, _ connector.Order, c *connector.Credential) (use func() error, err error) {
	s, err := entered(ctx, c)
	return func() error {
		_, err := s.do("GET app:billing:price")
		return err
	}, err
}

// alter are the ways in which somebody may change a user behind Writ's back.
var alter = map[string]string{
	"off":                "off",
	"no password needed": "nopass",
	"another password":   "resetpass >another",
	"a second password":  ">another",
	"all keys":           "allkeys",
	"more keys":          "~more:*",
	"no keys":            "resetkeys",
	"write shared keys":  "%W~shared:*",
	"all channels":       "allchannels",
	"more channels":      "&more",
	"no channels":        "resetchannels",
	"all commands":       "allcommands",
	"more commands":      "+set",
	"fewer commands":     "-get",
	"a selector":         "(+@all ~*)",
	"unchecked payloads": "skip-sanitize-payload",
}

func (s *site) alter() map[string]func(connector.Order, connector.Receipt) bool {
	ways := map[string]func(connector.Order, connector.Receipt) bool{}
	for name, rules := range alter {
		ways[name] = func(_ connector.Order, r connector.Receipt) bool {
			if strings.Contains(rules, " ~") {
				rules = `"` + rules + `"`
			}
			s.do("ACL SETUSER " + r.External + " " + rules)
			return true
		}
	}
	return ways
}

func (s *site) foreign() string {
	s.do("ACL SETUSER by-hand on nopass ~* +get")
	return "by-hand"
}

func refused(connector.Kind) map[string]connector.Order {
	orders := map[string]connector.Order{
		"a command that does not exist":  {Grant: marshal(section{Commands: []string{"+nosuch"}})},
		"a category that does not exist": {Grant: marshal(section{Commands: []string{"+@nosuch"}})},
		"a parameter that is not there":  {Grant: marshal(section{Commands: []string{"+get"}, Keys: []string{"a:${scope.nothing}"}})},
		"two patterns that become one": {Grant: marshal(section{Commands: []string{"+get"}, Keys: []string{"a:${scope.x}"}, ReadKeys: []string{"a:b"}}),
			Scope: map[string]string{"x": "b"}},
	}
	for _, value := range []string{"*", "a*", "?", "[a-z]", "a:b", "a.b", "a/b", `\`, "a b", "a\n~*", "${scope.team}", "%RW~*", "", strings.Repeat("a", 129), "ä"} {
		orders["a parameter "+strconv.Quote(value)] = connector.Order{Scope: map[string]string{"team": value},
			Grant: marshal(section{Commands: []string{"+get"}, Channels: []string{"a:${scope.team}:*"}})}
	}
	return orders
}

func (s *site) target() connectortest.Target {
	return connectortest.Target{Addr: s.Addr, Config: s.config, Secret: secret, Order: s.order, Works: works, Count: s.count,
		Session: open, Alter: s.alter(), Foreign: s.foreign, Refuse: refused}
}

// open returns the connector of the site.
func (s *site) open() connector.Connector {
	s.Helper()
	c, err := Driver{}.Open(s.Context(), s.config(s.Addr), connector.Env{Target: "site", Secret: secret})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { c.Close() })
	return c
}

func marshal(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

// TestContract holds the connector to the contract, by the rights that the
// documentation asks for and no more.
func TestContract(t *testing.T) {
	connectortest.Run(t, connectortest.Harness{
		Driver: Driver{},
		Public: []string{"REDIS_HOST", "REDIS_PORT", "REDIS_USERNAME"},
		Target: func(t testing.TB) connectortest.Target { return newSite(t).target() },
	})
}
