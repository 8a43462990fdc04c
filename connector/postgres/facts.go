package postgres

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/writhq/writ/connector"
)

// Facts are what the server knows that decides whether an order can be carried
// out, and later be taken back.
type facts struct {
	Me      string   // Writ's own role
	Creates bool     // it may make roles
	Signals bool     // it may end sessions
	Gives   bool     // it may give the entitled role to others
	RoleIs  bool     // the entitled role exists
	Danger  []string // roles that the entitled role, or the heir, reaches and nobody may be given
	Exists  bool     // the role of the grant, or the member, exists
	Super   bool     // and is a superuser
	Comment string   // on it
	Others  []string // who else made the member a member
	Heir    bool     // Writ's role has the rights of the role in reassignTo
}

// me is Writ's own role, and reach is, recursively, the roles @role and @heir and
// every role whose rights their members have.
const with = `with recursive me as (select * from pg_roles where rolname = current_user), reach (oid) as (
	select oid from pg_roles where rolname in (@role, @heir)
	union select m.roleid from pg_auth_members m join reach on m.member = reach.oid)`

// danger is those among reach that could undo the end of a grant: who has their
// rights can make roles, become anybody, or run programs on the server. What runs
// by the rights of the role that gets what a holder made is as bad.
var danger = `array(select rolname::text from reach join pg_roles using (oid)
	where rolsuper or rolcreaterole or rolname in ('` + strings.Join(dangerous, "', '") + `') order by 1)`

// mine says whether a membership m was granted by Writ's own role me. From
// version 16 on, whatever a superuser grants is granted by the first superuser.
const mine = `(m.grantor = me.oid or me.rolsuper and m.grantor = 10 and current_setting('server_version_num')::int >= 160000)`

var readFacts = with + `
select me.rolname::text,
	me.rolsuper or me.rolcreaterole,
	pg_has_role(me.oid, 'pg_signal_backend', 'usage'),
	me.rolcreaterole and current_setting('server_version_num')::int < 160000
		or coalesce(pg_has_role(me.oid, role.oid, 'member with admin option'), false),
	role.oid is not null,
	` + danger + `,
	account.oid is not null,
	coalesce(account.rolsuper, false),
	coalesce(shobj_description(account.oid, 'pg_authid'), ''),
	array(select g.rolname::text from pg_auth_members m left join pg_roles g on g.oid = m.grantor
		where m.roleid = role.oid and m.member = account.oid and not ` + mine + ` order by 1),
	coalesce(pg_has_role(me.oid, heir.oid, 'usage'), @heir = '')
from me
left join pg_roles role on role.rolname = @role
left join pg_roles account on account.rolname = @account
left join pg_roles heir on heir.rolname = @heir`

func (c *cluster) facts(ctx context.Context, o order) (facts, error) {
	account := o.name
	if o.Kind == connector.Membership {
		account = o.Member
	}
	var f facts
	err := c.ask(ctx, o, readFacts, pgx.NamedArgs{"role": o.Role, "account": account, "heir": o.ReassignTo}, &f.Me, &f.Creates, &f.Signals, &f.Gives,
		&f.RoleIs, &f.Danger, &f.Exists, &f.Super, &f.Comment, &f.Others, &f.Heir)
	return f, fault(ctx, "look before granting", err)
}

// allow refuses what cannot be granted, or could not be taken back, and says how
// to mend it.
func (f facts) allow(o order) error {
	me, role := ident(f.Me), ident(o.Role)
	switch {
	case !f.RoleIs:
		return refuse("role %s does not exist; create it or change grant.role", role)
	case len(f.Danger) > 0:
		return refuse("%s reaches %s: a superuser, a role that makes roles, or one that reaches the server's files and programs; name roles that do not", o.roles(), strings.Join(f.Danger, ", "))
	case !f.Gives:
		return refuse("Writ's role %s may not give role %s to others; run: grant %s to %s with admin option", me, role, role, me)
	case !f.Signals:
		return refuse("Writ's role %s may not end sessions; run: grant pg_signal_backend to %s", me, me)
	case o.Kind == connector.Membership:
		return f.allowMember(o)
	case !f.Creates:
		return refuse("Writ's role %s may not make roles; run: alter role %s createrole", me, me)
	case !f.Heir:
		return refuse("Writ's role %s cannot hand over to grant.reassignTo; run: grant %s to %s, or create it", me, ident(o.ReassignTo), me)
	case f.Exists && marked(f.Comment) != o.Request:
		return refuse("role %s exists, but was not made for request %s; look at it and drop it", ident(o.name), o.Request)
	}
	return nil
}

func (f facts) allowMember(o order) error {
	member := ident(o.Member)
	switch {
	case !f.Exists:
		return refuse("account %s does not exist; create it or change grant.member", member)
	case f.Super:
		return refuse("account %s is a superuser: no membership limits it; change grant.member", member)
	case len(f.Others) > 0:
		return refuse("account %s is a member of %s already, granted by %s; its end would not be Writ's to bring: revoke that first", member, ident(o.Role), strings.Join(f.Others, ", "))
	}
	return nil
}
