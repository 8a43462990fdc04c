package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/writhq/writ/connector"
)

// List calls f for every role that can log in, and for every membership. The
// memberships of a role made by Writ belong to it and are not called on their own.
func (c *cluster) List(ctx context.Context, f func(connector.Observation) error) error {
	var r role
	stop, err := c.each(ctx, `with me as (select * from pg_roles where rolname = current_user)
		select `+columns+source+`where x.rolcanlogin or shobj_description(x.oid, 'pg_authid') like '`+markPrefix+`%' order by x.rolname`,
		r.fields(), func() error { return f(r.observation()) })
	if stop != nil {
		return stop
	}
	if err != nil {
		return fault(ctx, "list roles", err)
	}
	var group, member string
	var admin bool
	stop, err = c.each(ctx, `select r.rolname::text, a.rolname::text, bool_or(m.admin_option)
		from pg_auth_members m join pg_roles r on r.oid = m.roleid join pg_roles a on a.oid = m.member
		where coalesce(shobj_description(a.oid, 'pg_authid'), '') not like '`+markPrefix+`%'
		and coalesce(shobj_description(r.oid, 'pg_authid'), '') not like '`+markPrefix+`%'
		group by 1, 2 order by 1, 2`,
		[]any{&group, &member, &admin}, func() error {
			seen := observedMembership(group, member)
			if admin {
				seen.Detail["admin"] = "true"
			}
			return f(seen)
		})
	if stop != nil {
		return stop
	}
	return fault(ctx, "list memberships", err)
}

// each scans every row of a query into fields and calls f. It keeps apart the
// error that f stopped with, which is the caller's own, and that of the server.
func (c *cluster) each(ctx context.Context, query string, fields []any, f func() error) (stop, err error) {
	rows, err := c.pool.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	_, err = pgx.ForEachRow(rows, fields, func() error {
		stop = f()
		return stop
	})
	return stop, err
}
