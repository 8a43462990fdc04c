package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/writhq/writ/connector"
)

// Grant makes the ordered access exist.
func (c *cluster) Grant(ctx context.Context, co connector.Order) (connector.Receipt, error) {
	o, err := read(co)
	if err != nil {
		return connector.Receipt{}, err
	}
	if !time.Now().Before(o.Until) {
		return connector.Receipt{}, refuse("the order for %s ended at %s", o.Request, o.Until.Format(time.RFC3339))
	}
	f, err := c.facts(ctx, o)
	if err != nil {
		return connector.Receipt{}, err
	}
	if err := f.allow(o); err != nil {
		return connector.Receipt{}, err
	}
	if o.Kind == connector.Membership {
		return c.grantMembership(ctx, o)
	}
	return c.grantPassword(ctx, o, f.Exists)
}

// grantPassword makes the role, or gives it a new password if it is there.
func (c *cluster) grantPassword(ctx context.Context, o order, exists bool) (connector.Receipt, error) {
	p := <-c.passwords
	if p.err != nil {
		return connector.Receipt{}, fmt.Errorf("postgres: make a password: %w", p.err)
	}
	oid, err := c.run(ctx, o.role(p.verifier, exists))
	if err != nil {
		return connector.Receipt{}, fault(ctx, "make role "+o.name, err)
	}
	sum := sha256.Sum256([]byte(p.text))
	return connector.Receipt{
		External:    o.external(),
		Fingerprint: "sha256:" + hex.EncodeToString(sum[:]),
		Detail:      map[string]string{"role": o.Role, "database": c.shown.Database, "oid": oid[0]},
		Credential:  c.credential(o, p.text),
	}, nil
}

// role returns the statements that make the role what was ordered and return its
// oid. Sent at once they are one transaction (PostgreSQL documentation, Multiple
// Statements in a Simple Query).
func (o order) role(secret string, exists bool) string {
	name := ident(o.name)
	can := fmt.Sprintf("login password %s valid until %s connection limit %d", literal(secret), literal(until(o.Until).Format(time.RFC3339Nano)), o.limit())
	var sql strings.Builder
	sql.WriteString(o.tag())
	if exists {
		fmt.Fprintf(&sql, "alter role %[1]s %[2]s; alter role %[1]s reset all; grant %[3]s to %[1]s; ", name, can, ident(o.Role))
	} else {
		fmt.Fprintf(&sql, "create role %s %s in role %s; ", name, can, ident(o.Role))
	}
	for _, setting := range slices.Sorted(maps.Keys(o.Settings)) {
		elements := strings.Split(o.Settings[setting], ",")
		for i, e := range elements {
			elements[i] = literal(strings.TrimSpace(e))
		}
		fmt.Fprintf(&sql, "alter role %s set %s to %s; ", name, setting, strings.Join(elements, ", "))
	}
	fmt.Fprintf(&sql, "comment on role %s is %s; select %s::regrole::oid", name, literal(o.mark()+"serial "+o.Serial), literal(name))
	return sql.String()
}

// limit is the connection limit as PostgreSQL writes it.
func (o order) limit() int {
	if o.ConnectionLimit == 0 {
		return -1
	}
	return o.ConnectionLimit
}

// until cuts t to what PostgreSQL can hold, never to a later time.
func until(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

func (c *cluster) grantMembership(ctx context.Context, o order) (connector.Receipt, error) {
	statement := o.tag() + fmt.Sprintf("grant %s to %s", ident(o.Role), ident(o.Member))
	_, err := c.pool.Exec(ctx, statement)
	if sqlState(err) == uniqueViolation { // another grant of it came in between, and now it shows
		_, err = c.pool.Exec(ctx, statement)
	}
	if err != nil {
		return connector.Receipt{}, fault(ctx, "grant "+o.external(), err)
	}
	return connector.Receipt{External: o.external(), Detail: map[string]string{"role": o.Role, "member": o.Member}}, nil
}

// credential is what the holder's process needs, by the names that libpq reads.
func (c *cluster) credential(o order, password string) *connector.Credential {
	port := strconv.Itoa(int(c.shown.Port))
	u := url.URL{Scheme: "postgres", User: url.UserPassword(o.name, password), Host: net.JoinHostPort(c.shown.Host, port), Path: "/" + c.shown.Database}
	if strings.HasPrefix(c.shown.Host, "/") { // the directory of a socket
		u.Host, u.RawQuery = "", url.Values{"host": {c.shown.Host}, "port": {port}}.Encode()
	}
	env := map[string]connector.Secret{}
	for name, value := range map[string]string{
		"PGHOST":       c.shown.Host,
		"PGPORT":       port,
		"PGDATABASE":   c.shown.Database,
		"PGUSER":       o.name,
		"PGPASSWORD":   password,
		"DATABASE_URL": u.String(),
	} {
		env[name] = connector.Conceal(value)
	}
	return &connector.Credential{Kind: o.Kind, Env: env, Until: until(o.Until)}
}

// ident quotes an identifier.
func ident(name string) string { return pgx.Identifier{name}.Sanitize() }

// literal quotes a string; backslashes are plain under standard_conforming_strings.
func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
