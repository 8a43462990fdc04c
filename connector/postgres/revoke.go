package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/writhq/writ/connector"
)

// Revoke makes the ordered access not exist and ends its sessions. What the
// holder of a password made goes to grant.reassignTo. For a membership all
// sessions of the member end, for there is no telling which of them have taken
// the role on with SET ROLE, and such a session would keep it.
func (c *cluster) Revoke(ctx context.Context, co connector.Order, r connector.Receipt) error {
	o := locate(co)
	switch {
	case !o.possible():
		return ctx.Err()
	case o.Kind == connector.Membership:
		return c.revokeMembership(ctx, o, r.External != "")
	}
	return c.revokePassword(ctx, o, r)
}

// revokePassword drops the role and then ends its sessions. In this order nobody
// can come in between, and both are one message, which the server carries out
// whatever becomes of us. Sessions of a role that is gone are found by the oid in
// the receipt; without a receipt nobody ever had the password.
func (c *cluster) revokePassword(ctx context.Context, o order, r connector.Receipt) error {
	var name, comment string
	known := oidOf(r)
	oid, err := c.settled(ctx, o, readMark, pgx.NamedArgs{"name": o.name, "oid": known}, &name, &comment)
	switch {
	case err != nil:
		return fault(ctx, "look before revoking", err)
	case oid == 0:
		return fault(ctx, "end what is left of "+o.name, c.end(ctx, "", known))
	case marked(comment) != o.Request:
		return refuse("role %s is not marked as made for request %s, so it may be somebody else's; look at it and drop it", ident(name), o.Request)
	}
	drop := "drop role " + ident(name)
	err = c.end(ctx, drop, oid)
	if sqlState(err) == dependentObjects {
		if err = c.end(ctx, "alter role "+ident(name)+" nologin", oid); err == nil {
			err = c.clear(ctx, o, name, oid)
		}
		if err == nil {
			err = c.end(ctx, drop, oid)
		}
	}
	return fault(ctx, "end "+name, err)
}

// found is the row x of pg_roles that was made for an order: by its oid, where
// the receipt tells that, for it may have been renamed.
const found = `where x.oid = @oid or x.rolname = @name order by x.oid = @oid desc limit 1`

const readMark = `select x.oid, x.rolname::text, coalesce(shobj_description(x.oid, 'pg_authid'), '') from pg_roles x ` + found

// oidOf returns the oid of the role that the receipt is for; zero: it has none.
func oidOf(r connector.Receipt) uint32 {
	oid, _ := strconv.ParseUint(r.Detail["oid"], 10, 32)
	return uint32(oid)
}

// settled returns the oid and further columns of the row that look finds, once
// no earlier Grant of the order is under way. Its caller may have given it up, or
// may be a process that died; it would grant after we looked.
func (c *cluster) settled(ctx context.Context, o order, look string, args pgx.NamedArgs, more ...any) (oid uint32, err error) {
	err = c.askAfter(ctx, o, `select pg_terminate_backend(pid, 5000) from pg_stat_get_activity(null)
		where usesysid = quote_ident(current_user)::regrole and pid <> pg_backend_pid() and state = 'active' and starts_with(query, $1)`, []any{o.tag()},
		look, args, append([]any{&oid}, more...)...)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return oid, err
}

// end makes sure by statement that nobody can come in any more through an
// account, and once all can see that, ends its sessions.
func (c *cluster) end(ctx context.Context, statement string, oid uint32) error {
	if statement != "" {
		statement = "begin; " + statement + "; commit;"
	} else if oid == 0 {
		return nil
	}
	// What ends them stands behind select, never behind where: the planner may try
	// conditions in any order, and would end the sessions of others.
	ended, err := c.run(ctx, fmt.Sprintf(`%s select pg_terminate_backend(pid, 5000)
		from pg_stat_get_activity(null) where usesysid = %d and pid <> pg_backend_pid()`, statement, oid))
	if slices.Contains(ended, "f") {
		return errors.New("a session did not end within 5 s; another try may find it ended")
	}
	return err
}

// run sends statements as one message and returns the first column of what the
// last of them answers.
func (c *cluster) run(ctx context.Context, statements string) (column []string, err error) {
	conn, err := c.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	results, err := conn.Conn().PgConn().Exec(ctx, statements).ReadAll()
	if err != nil {
		return nil, err
	}
	for _, row := range results[len(results)-1].Rows {
		column = append(column, string(row[0]))
	}
	return column, nil
}

// clear hands over what the role owns and takes away what it was given, in every
// database where there is something. Only a member of both roles may do that, so
// Writ's own is one for as long as the transaction lasts.
//
// What the holder made goes to a role whose rights the holder had, never to Writ's
// own: a function that runs by the rights of its owner may be among it.
func (c *cluster) clear(ctx context.Context, o order, name string, oid uint32) error {
	heir := cmp.Or(o.ReassignTo, o.Role)
	var member bool
	var databases []string
	err := c.pool.QueryRow(ctx, `select pg_has_role(r.oid, 'usage'), array(
			select distinct coalesce(d.datname, current_database())::text from pg_shdepend s left join pg_database d on d.oid = s.dbid
			where s.refclassid = 'pg_authid'::regclass and s.refobjid = $2)
		from pg_roles r where r.rolname = $1`, heir, oid).Scan(&member, &databases)
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("it owns something, and role %s that gets it does not exist; run: reassign owned by %s to another one", ident(heir), ident(name))
	}
	if err != nil {
		return err
	}
	lend, giveBack := "", ""
	if !member {
		lend, giveBack = fmt.Sprintf("grant %s to current_user;", ident(heir)), fmt.Sprintf("; revoke %s from current_user", ident(heir))
	}
	for _, database := range databases {
		err := c.in(ctx, database, fmt.Sprintf("%s grant %s to current_user; reassign owned by %[2]s to %[3]s; drop owned by %[2]s %[4]s", lend, ident(name), ident(heir), giveBack))
		if err != nil {
			return fmt.Errorf("hand over what it holds in database %s: %w", ident(database), err)
		}
	}
	return nil
}

// in runs sql in another database of the server.
func (c *cluster) in(ctx context.Context, database, sql string) error {
	settings := c.pool.Config()
	if prepare := settings.BeforeConnect; prepare != nil {
		if err := prepare(ctx, settings.ConnConfig); err != nil {
			return err
		}
	}
	settings.ConnConfig.Database = database
	conn, err := pgx.ConnectConfig(ctx, settings.ConnConfig)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, sql)
	return err
}

// revokeMembership ends the membership if Writ granted it: the server says so, or
// the receipt does, also if somebody else has granted it since. What was there
// before is not Writ's to end. Sessions end also where the membership is gone but
// the receipt shows it: an earlier call may have got no further.
func (c *cluster) revokeMembership(ctx context.Context, o order, receipt bool) error {
	var revoke string
	oid, err := c.settled(ctx, o, readOurs, pgx.NamedArgs{"role": o.Role, "member": o.Member, "receipt": receipt}, &revoke)
	if err == nil && (revoke != "" || receipt) {
		err = c.end(ctx, revoke, oid)
	}
	return fault(ctx, "end "+o.external(), err)
}

// readOurs returns the statements that end a membership, first of all what Writ's
// role granted. Since version 16 each grantor's is a membership of its own; before,
// there is one, and a superuser alone may name its grantor.
const readOurs = `select a.oid, coalesce(string_agg(
		format('revoke %I from %I', r.rolname, a.rolname) || case when current_setting('server_version_num')::int >= 160000
			then format(' granted by %I', g.rolname) else '' end || ' cascade',
		'; commit; begin; ' order by not ` + mine + `) filter (where m.roleid is not null and (` + mine + ` or @receipt)), '')
	from pg_roles me cross join pg_roles r cross join pg_roles a
	left join pg_auth_members m on m.roleid = r.oid and m.member = a.oid left join pg_roles g on g.oid = m.grantor
	where me.rolname = current_user and r.rolname = @role and a.rolname = @member group by a.oid`

// sqlState returns the SQLSTATE of what the server said, or "".
func sqlState(err error) string {
	var said *pgconn.PgError
	if errors.As(err, &said) {
		return said.Code
	}
	return ""
}
