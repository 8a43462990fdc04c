package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/connector/connectortest"
	"github.com/writhq/writ/internal/realtest"
)

// A site is a database with something to protect: table vault, which only role
// deploy may read. Writ's role has exactly the rights that the documentation asks
// for. Roles belong to the whole server, so there is one site at a time.
type site struct {
	testing.TB
	super *pgx.Conn // to the database, as superuser
	addr  string
	name  string // of the database
}

const writsPassword = "the-password-of-writ"

func newSite(t testing.TB) *site {
	t.Helper()
	return siteOn(t, realtest.Database(t))
}

// siteOn builds the site in a database, as its superuser, and leaves none of it.
func siteOn(t testing.TB, dsn string) *site {
	t.Helper()
	t.Cleanup(func() { sweep(t, dsn) })
	super := connect(t, dsn)
	s := &site{t, super, net.JoinHostPort(super.Config().Host, strconv.Itoa(int(super.Config().Port))), super.Config().Database}
	s.exec(`create role deploy; create table vault (id int); grant select on vault to deploy; grant create on schema public to deploy`)
	s.exec(`create role writ login createrole password ` + quick(t, writsPassword) + `; grant pg_signal_backend to writ`)
	if s.version() < 16 {
		s.exec(`grant deploy to writ with admin option`)
	} else {
		s.exec(`grant deploy to writ with admin true, inherit false, set false`)
	}
	return s
}

// quick returns a password in a form that is checked without the many rounds of
// hashing, most of the time that a login takes.
func quick(t testing.TB, password string) string {
	t.Helper()
	v, err := verifier(password, make([]byte, 16), 1)
	if err != nil {
		t.Fatal(err)
	}
	return literal(v)
}

func connect(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// sweep removes every role and table that a site left.
func sweep(t testing.TB, dsn string) {
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(context.Background(), `select rolname::text from pg_roles where oid >= 16384`)
	if err != nil {
		t.Error(err)
		return
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Error(err)
	}
	if _, err := conn.Exec(context.Background(), "drop table if exists vault"); err != nil {
		t.Error(err)
	}
	for range 2 { // who granted something goes after what was granted
		err = nil
		for _, name := range names {
			if _, dropErr := conn.Exec(context.Background(), "drop owned by "+ident(name)+"; drop role "+ident(name)); dropErr != nil && !strings.Contains(dropErr.Error(), undefinedObject) {
				err = dropErr
			}
		}
	}
	if err != nil {
		t.Error(err)
	}
}

func (s *site) exec(sql string) {
	s.Helper()
	if _, err := s.super.Exec(s.Context(), sql); err != nil {
		s.Fatalf("%s: %v", sql, err)
	}
}

// count returns login roles and memberships, all but the accounts that the tests
// themselves use and what version 16 grants the maker of a role.
func (s *site) count() (n int) {
	s.Helper()
	err := s.super.QueryRow(s.Context(), `select (select count(*) from pg_roles where rolcanlogin and rolname not like 'account-%')
		+ (select count(*) from pg_auth_members m join pg_roles a on a.oid = m.member where a.rolname <> 'writ')`).Scan(&n)
	if err != nil {
		s.Fatal(err)
	}
	return n
}

func (s *site) config(addr string) json.RawMessage {
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		s.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		s.Fatal(err)
	}
	return marshal(config{DSN: "postgres://writ@" + addr + "/" + s.name + "?sslmode=disable", PasswordFrom: "env:WRIT_DB", Host: host, Port: uint16(n)})
}

func secret(ref string) (connector.Secret, error) {
	if ref != "env:WRIT_DB" {
		return connector.Secret{}, fmt.Errorf("no secret %s", ref)
	}
	return connector.Conceal(writsPassword), nil
}

func (s *site) order(request string, kind connector.Kind) connector.Order {
	o := connector.Order{Request: request, Serial: "s-1", Kind: kind, From: time.Now().UTC(), Until: time.Now().UTC().Add(time.Hour)}
	if kind == connector.Membership {
		o.Grant = marshal(map[string]any{"role": "deploy", "member": "account-" + request})
		s.exec(`create role "account-` + request + `" login password ` + quick(s, "of-the-account"))
		return o
	}
	o.Scope = map[string]string{"team": "deploy"}
	o.Grant = marshal(map[string]any{"role": "${scope.team}", "connectionLimit": 5,
		"settings": map[string]string{"search_path": "vault, public", "statement_timeout": "5s"}})
	return o
}

// login returns a connection of the holder of the access, and the way to use it.
func (s *site) login(ctx context.Context, o connector.Order, c *connector.Credential) (*pgx.Conn, error) {
	u := url.URL{Scheme: "postgres", User: url.UserPassword("account-"+o.Request, "of-the-account"), Host: s.addr, Path: "/" + s.name}
	dsn := u.String()
	if c != nil {
		dsn = c.Env["DATABASE_URL"].Reveal()
	}
	return pgx.Connect(ctx, dsn)
}

func (s *site) works(ctx context.Context, o connector.Order, c *connector.Credential) error {
	conn, err := s.login(ctx, o, c)
	if err != nil {
		return err
	}
	defer conn.Close(context.Background())
	_, err = conn.Exec(ctx, "select from vault")
	return err
}

// session takes the entitled role on, which outlives the membership.
func (s *site) session(ctx context.Context, o connector.Order, c *connector.Credential) (func() error, error) {
	conn, err := s.login(ctx, o, c)
	if err != nil {
		return nil, err
	}
	s.Cleanup(func() { conn.Close(context.Background()) })
	_, err = conn.Exec(ctx, "set role deploy")
	return func() error {
		_, err := conn.Exec(context.Background(), "select from vault")
		return err
	}, err
}

// alter are the ways in which somebody may change access behind Writ's back, as
// statements about the role or account.
var alter = map[connector.Kind]map[string]string{
	connector.Password: {
		"superuser":         "alter role %s superuser",
		"createrole":        "alter role %s createrole",
		"longer":            "alter role %s valid until '2099-01-01'",
		"for ever":          "alter role %s valid until 'infinity'",
		"more connections":  "alter role %s connection limit -1",
		"renamed":           "alter role %s rename to somebody",
		"no login":          "alter role %s nologin",
		"another setting":   "alter role %s set statement_timeout to 0",
		"another role":      "grant pg_read_all_data to %s",
		"admin of the role": "grant deploy to %s with admin option",
		"not a member":      "revoke deploy from %s granted by writ",
		"given on":          "grant %s to deploy_friend",
		"of nobody":         "comment on role %s is null",
		"of another":        "comment on role %s is 'made by Writ for request req-other serial s-2'",
		"entitled role":     "grant pg_write_server_files to deploy; select '%s'",
	},
	connector.Membership: {
		"admin option":  "grant deploy to %s with admin option",
		"entitled role": "alter role deploy superuser; select '%s'",
	},
}

func (s *site) alter() map[string]func(connector.Order, connector.Receipt) bool {
	ways := map[string]func(connector.Order, connector.Receipt) bool{}
	for kind, statements := range alter {
		for name, statement := range statements {
			ways[string(kind)+": "+name] = func(o connector.Order, r connector.Receipt) bool {
				if o.Kind != kind {
					return false
				}
				account := r.External
				if kind == connector.Membership {
					account = "account-" + o.Request
				}
				s.exec(`do 'begin create role deploy_friend; exception when duplicate_object then end'`)
				s.exec(fmt.Sprintf(statement, ident(account)))
				return true
			}
		}
	}
	return ways
}

// restore takes back what reaches above the rights of Writ's role, and mends what
// makes it leave a role alone.
func (s *site) restore(o connector.Order, r connector.Receipt) {
	s.exec(`alter role deploy nosuperuser; revoke pg_write_server_files from deploy`)
	if o.Kind == connector.Password {
		s.exec(fmt.Sprintf(`do $do$ begin
			alter role %s nosuperuser;
			comment on role %[1]s is 'made by Writ for request %s serial s-1';
			exception when undefined_object then end $do$`, ident(r.External), o.Request))
		return
	}
	s.exec(`revoke deploy from "account-` + o.Request + `" granted by postgres cascade`)
}

func (s *site) foreign() string {
	s.exec(`create role "by hand" login; grant deploy to "by hand"`)
	return "by hand"
}

func (s *site) refuse(kind connector.Kind) map[string]connector.Order {
	s.exec(`create role boss superuser; create role bosses; grant boss to bosses; create role maker createrole; create role stranger`)
	orders := map[string]connector.Order{}
	for name, role := range map[string]string{
		"a role that does not exist":      "no such role",
		"a superuser":                     "boss",
		"a role that reaches a superuser": "bosses",
		"a role that makes roles":         "maker",
		"a role that runs programs":       "pg_execute_server_program",
		"a parameter that is not there":   "${scope.nothing}",
	} {
		grant := map[string]any{"role": role}
		if kind == connector.Membership {
			grant["member"] = "by whom"
		}
		orders[name] = connector.Order{Grant: marshal(grant)}
	}
	if kind == connector.Password {
		for name, heir := range map[string]string{"an heir that does not exist": "no such role", "an heir that makes roles": "writ", "an heir out of reach": "stranger"} {
			orders[name] = connector.Order{Grant: marshal(map[string]any{"role": "deploy", "reassignTo": heir})}
		}
	}
	if kind == connector.Membership {
		for name, member := range map[string]string{"an account that does not exist": "nobody", "an account that needs nothing": "boss"} {
			orders[name] = connector.Order{Grant: marshal(map[string]any{"role": "deploy", "member": member})}
		}
	}
	return orders
}

func (s *site) target() connectortest.Target {
	return connectortest.Target{Addr: s.addr, Config: s.config, Secret: secret, Order: s.order, Works: s.works, Count: s.count,
		Session: s.session, Alter: s.alter(), Restore: s.restore, Foreign: s.foreign, Refuse: s.refuse}
}

// open returns the connector of the site.
func (s *site) open() connector.Connector {
	s.Helper()
	return s.openWith(s.config(s.addr))
}

func (s *site) openDSN(dsn string) connector.Connector {
	s.Helper()
	return s.openWith(marshal(config{DSN: dsn, PasswordFrom: "env:WRIT_DB"}))
}

func (s *site) openWith(config json.RawMessage) connector.Connector {
	s.Helper()
	c, err := Driver{}.Open(s.Context(), config, connector.Env{Target: "site", Secret: secret})
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
	dsn := realtest.Database(t)
	connectortest.Run(t, connectortest.Harness{
		Driver: Driver{patience: 50 * time.Millisecond},
		Public: []string{"PGHOST", "PGPORT", "PGDATABASE", "PGUSER"},
		Target: func(t testing.TB) connectortest.Target { return siteOn(t, dsn).target() },
	})
}
