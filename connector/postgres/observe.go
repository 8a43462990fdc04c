package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/writhq/writ/connector"
)

// Observe reads what is there for the order.
func (c *cluster) Observe(ctx context.Context, co connector.Order, r connector.Receipt) (connector.Observation, error) {
	o := locate(co)
	var seen connector.Observation
	var err error
	switch {
	case !o.possible():
		return connector.Observation{State: connector.Absent}, ctx.Err()
	case o.Kind == connector.Membership:
		seen, err = c.observeMembership(ctx, o, r.External != "")
	default:
		seen, err = c.observePassword(ctx, o, oidOf(r))
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return connector.Observation{State: connector.Absent}, nil
	}
	return seen, fault(ctx, "observe "+o.external(), err)
}

// A role is what the server says of a login role.
type role struct {
	Name     string
	Comment  string
	Login    bool
	Powers   []string // superuser, createrole, …
	Limit    int
	Until    pgtype.Timestamptz
	MemberOf []string
	Members  []string // all but Writ's own role
	Settings []string // name=value
	Sessions int
	Used     pgtype.Timestamptz // the latest that open sessions did, where Writ's role may see it
}

// columns are the fields of a role, for a row x of pg_roles and Writ's own role me.
const columns = `x.rolname::text,
	coalesce(shobj_description(x.oid, 'pg_authid'), ''),
	x.rolcanlogin,
	array_remove(array[case when x.rolsuper then 'superuser' end, case when x.rolcreaterole then 'createrole' end,
		case when x.rolcreatedb then 'createdb' end, case when x.rolreplication then 'replication' end,
		case when x.rolbypassrls then 'bypassrls' end, case when not x.rolinherit then 'noinherit' end], null),
	x.rolconnlimit,
	x.rolvaliduntil,
	array(select distinct r.rolname::text || case when m.admin_option then ' with admin option' else '' end
		from pg_auth_members m join pg_roles r on r.oid = m.roleid where m.member = x.oid order by 1),
	array(select distinct r.rolname::text from pg_auth_members m join pg_roles r on r.oid = m.member
		where m.roleid = x.oid and m.member <> me.oid order by 1),
	array(select unnest(setconfig) from pg_db_role_setting where setrole = x.oid order by 1),
	coalesce(open.sessions, 0),
	open.used`

// source is where columns are read from.
const source = ` from me cross join pg_roles x left join (
		select usesysid, count(*) as sessions, max(greatest(backend_start, state_change)) as used
		from pg_stat_get_activity(null) group by usesysid
	) open on open.usesysid = x.oid `

func (r *role) fields() []any {
	return []any{&r.Name, &r.Comment, &r.Login, &r.Powers, &r.Limit, &r.Until, &r.MemberOf, &r.Members, &r.Settings, &r.Sessions, &r.Used}
}

var readRole = with + ` select ` + danger + `, ` + columns + source + found

func (c *cluster) observePassword(ctx context.Context, o order, oid uint32) (connector.Observation, error) {
	var r role
	var danger []string
	args := pgx.NamedArgs{"role": o.Role, "heir": o.ReassignTo, "name": o.name, "oid": oid}
	if err := c.ask(ctx, o, readRole, args, append([]any{&danger}, r.fields()...)...); err != nil {
		return connector.Observation{}, err
	}
	seen := r.observation()
	seen.Differs = slices.Concat(r.differs(o), grown(o, danger))
	return seen, nil
}

// observation returns what was seen of the role, compared with nothing.
func (r *role) observation() connector.Observation {
	seen := connector.Observation{External: r.Name, Request: marked(r.Comment), State: connector.Present, Detail: map[string]string{}}
	if r.bounded() {
		seen.Until = r.Until.Time.UTC()
	}
	if r.Used.Valid {
		seen.LastUsed = r.Used.Time.UTC()
	}
	for name, value := range map[string]string{
		"memberOf": strings.Join(r.MemberOf, ", "),
		"members":  strings.Join(r.Members, ", "),
		"powers":   strings.Join(r.Powers, ", "),
		"settings": strings.Join(r.Settings, ", "),
	} {
		if value != "" {
			seen.Detail[name] = value
		}
	}
	seen.Detail["login"] = strconv.FormatBool(r.Login)
	seen.Detail["sessions"] = strconv.Itoa(r.Sessions)
	return seen
}

// bounded reports whether the server ends the role by itself.
func (r *role) bounded() bool { return r.Until.Valid && r.Until.InfinityModifier == pgtype.Finite }

// differs says in which ways the role is not as ordered.
func (r *role) differs(o order) (ways []string) {
	differ := func(format string, args ...any) { ways = append(ways, fmt.Sprintf(format, args...)) }
	if r.Name != o.name {
		differ("it is called %s, ordered was %s", ident(r.Name), ident(o.name))
	}
	if marked(r.Comment) != o.Request {
		differ("it is not marked as made for %s; its comment is %q", o.Request, r.Comment)
	}
	if !r.Login {
		differ("it cannot log in")
	}
	if len(r.Powers) > 0 {
		differ("it is %s", strings.Join(r.Powers, ", "))
	}
	switch want := until(o.Until); {
	case !r.bounded():
		differ("it is valid for ever, ordered was until %s", want.Format(time.RFC3339))
	case !r.Until.Time.Equal(want):
		differ("it is valid until %s, ordered was %s", r.Until.Time.UTC().Format(time.RFC3339), want.Format(time.RFC3339))
	}
	if want := o.limit(); r.Limit != want {
		differ("its connection limit is %d, ordered was %d", r.Limit, want)
	}
	if !slices.Equal(r.MemberOf, []string{o.Role}) {
		differ("it is a member of %q, ordered was %q", r.MemberOf, o.Role)
	}
	if len(r.Members) > 0 {
		differ("its rights were given on to %s", strings.Join(r.Members, ", "))
	}
	if have, want := plain(r.Settings), plain(o.settings()); !slices.Equal(have, want) {
		differ("its settings are %q, ordered were %q", r.Settings, o.settings())
	}
	return ways
}

// settings returns the ordered settings as name=value.
func (o order) settings() (all []string) {
	for _, name := range slices.Sorted(maps.Keys(o.Settings)) {
		all = append(all, name+"="+o.Settings[name])
	}
	return all
}

// plain returns settings without the quotes and spaces that the server puts in.
func plain(settings []string) (all []string) {
	for _, s := range settings {
		all = append(all, strings.ToLower(strings.NewReplacer(`"`, "", `'`, "", " ", "").Replace(s)))
	}
	slices.Sort(all)
	return all
}

// grown says that the entitled role has become one that would not be granted.
func grown(o order, danger []string) []string {
	if len(danger) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s has come to reach %s", o.roles(), strings.Join(danger, ", "))}
}

var readMembership = with + ` select ` + danger + `, bool_or(m.admin_option),
	array_remove(array_agg(distinct case when not ` + mine + ` then coalesce(g.rolname::text, m.grantor::text) end), null)
	from me cross join pg_auth_members m join pg_roles r on r.oid = m.roleid join pg_roles a on a.oid = m.member
	left join pg_roles g on g.oid = m.grantor
	where r.rolname = @role and a.rolname = @member having bool_or(` + mine + `) or @receipt and count(*) > 0`

func (c *cluster) observeMembership(ctx context.Context, o order, granted bool) (connector.Observation, error) {
	var danger, others []string
	var admin bool
	args := pgx.NamedArgs{"role": o.Role, "heir": "", "member": o.Member, "receipt": granted}
	if err := c.ask(ctx, o, readMembership, args, &danger, &admin, &others); err != nil {
		return connector.Observation{}, err
	}
	seen := observedMembership(o.Role, o.Member)
	if admin {
		seen.Differs = append(seen.Differs, "it came to be with admin option: the member can give it on")
	}
	if len(others) > 0 {
		seen.Differs = append(seen.Differs, "it was granted by "+strings.Join(others, ", "))
	}
	seen.Differs = append(seen.Differs, grown(o, danger)...)
	return seen, nil
}

func observedMembership(role, member string) connector.Observation {
	return connector.Observation{External: membership(role, member), State: connector.Present, Detail: map[string]string{"role": role, "member": member}}
}
