package worker

import (
	"context"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/realtest"
	"github.com/writhq/writ/internal/store"
)

// A site is the PostgreSQL server that access is given to: roles deploy and
// reader, accounts that become members, and Writ's own role with the rights that
// its documentation asks for. Its roles belong to the whole server.
type site struct {
	super *pgxpool.Pool // who looks, and is not Writ
	addr  string        // host:port
	name  string        // of the database
	many  bool          // several worlds use it: what is not of this one is of another
}

func newSite(t testing.TB) *site {
	t.Helper()
	server := realtest.Postgres(t)
	t.Cleanup(func() { sweepRoles(t, server.DSN) })
	dsn := realtest.Database(t)
	super, err := pgxpool.New(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(super.Close)
	c := super.Config().ConnConfig
	s := &site{super: super, addr: net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))), name: c.Database}
	s.exec(t, "create role reader; create role deploy; create role writ login createrole password '"+passwordOfWrit+"'")
	s.exec(t, "grant reader, deploy to writ with admin option; grant pg_signal_backend to writ")
	for n := range accounts {
		s.exec(t, `create role "`+account(n)+`" login`)
	}
	return s
}

// dsn is how Writ's role reaches the site at an address: its own, or a proxy's.
func (s *site) dsn(addr string) string {
	u := url.URL{Scheme: "postgres", User: url.User("writ"), Host: addr, Path: "/" + s.name, RawQuery: "sslmode=disable&pool_max_conns=8"}
	return u.String()
}

func (s *site) exec(t testing.TB, text string) {
	t.Helper()
	if _, err := s.super.Exec(t.Context(), text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// sweepRoles removes every role that a site left, after its database is gone.
func sweepRoles(t testing.TB, dsn string) {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close(ctx)
	names, err := textColumn(ctx, conn, `select rolname from pg_roles where oid >= 16384 order by rolname = 'writ'`) // who granted goes last
	if err != nil {
		t.Error(err)
	}
	for _, name := range names {
		ident := pgx.Identifier{name}.Sanitize()
		if _, err := conn.Exec(ctx, "drop owned by "+ident+"; drop role "+ident); err != nil {
			t.Error(err)
		}
	}
}

type queryer interface {
	Query(ctx context.Context, text string, args ...any) (pgx.Rows, error)
}

func textColumn(ctx context.Context, q queryer, text string) ([]string, error) {
	rows, err := q.Query(ctx, text)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// access returns what there is, as the superuser sees it: login roles that Writ
// made, and accounts that are members of deploy.
func (s *site) access(t testing.TB) []string {
	t.Helper()
	names, err := textColumn(context.Background(), s.super, `select rolname::text from pg_roles where rolname like 'writ\_%' and rolcanlogin
		union all select 'deploy/' || m.member::regrole::text from pg_auth_members m
		where m.roleid = 'deploy'::regrole and m.member::regrole::text like '"account-%'`)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		names[i] = strings.ReplaceAll(name, `"`, "")
	}
	slices.Sort(names)
	return names
}

// settle waits until nothing is due or under way any more.
func (w *world) settle(t testing.TB) {
	t.Helper()
	until(t, "nothing is left to do", func() bool {
		for _, r := range w.all(t, writ.StatusAuthorized, writ.StatusGranting, writ.StatusRevoking) {
			if r.Status != writ.StatusAuthorized || r.Terms.StartAt.IsZero() {
				return false
			}
		}
		return true
	})
}

// balance holds what exists in the targets against what the ledger says is
// active: both ways, by the connector's word and by an independent look. No
// request may have been granted or ended twice.
func (w *world) balance(t testing.TB, s *site) {
	t.Helper()
	want, own := map[string][]string{}, map[string]bool{}
	for _, r := range w.all(t) {
		own[external(r)] = true
		if r.Status == writ.StatusActive {
			target := r.Terms.Entitlement.Target
			want[target] = append(want[target], external(r))
		}
		w.once(t, r)
	}
	if got := named(w.listed(t, "keys"), "req-"); !equal(got, want["keys"]) {
		t.Errorf("the issuer has %v, active are %v", got, want["keys"])
	}
	if s == nil {
		return
	}
	others := func(name string) bool { return s.many && !own[name] }
	if got := slices.DeleteFunc(named(w.listed(t, "orders"), "writ_", "deploy/account-"), others); !equal(got, want["orders"]) {
		t.Errorf("the connector lists %v, active are %v", got, want["orders"])
	}
	if got := slices.DeleteFunc(s.access(t), others); !equal(got, want["orders"]) {
		t.Errorf("PostgreSQL has %v, active are %v", got, want["orders"])
		w.tell(t, got)
	}
}

// tell tells the story of each access by one of these names.
func (w *world) tell(t testing.TB, names []string) {
	t.Helper()
	for _, r := range w.all(t) {
		if !slices.Contains(names, external(r)) {
			continue
		}
		entries, err := w.store.Events(context.Background(), string(r.ID))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			t.Logf("%s %s %s", external(r), e.Event.At.Format("05.000000"), e.Record)
		}
	}
}

// external is the name by which the access of a request goes in its target.
func external(r writ.Request) string {
	switch {
	case r.Terms.Entitlement.Target == "keys":
		return string(r.ID)
	case r.Terms.Entitlement.Credential == writ.SharedCredential:
		_, account, _ := strings.Cut(r.Terms.Entitlement.Name, "/")
		return "deploy/" + account
	}
	return "writ_" + strings.TrimPrefix(string(r.ID), "req-")
}

// once refuses a life in which something happened twice that must not.
func (w *world) once(t testing.TB, r writ.Request) {
	t.Helper()
	count := map[writ.Kind]int{}
	for _, k := range w.kinds(t, r.ID) {
		count[k]++
	}
	for _, k := range []writ.Kind{"submitted", "authorized", "granted", "claimed", "ended"} {
		if count[k] > 1 {
			t.Errorf("%s was %s %d times", r.ID, k, count[k])
		}
	}
	if count["revoked"] > 1+count["strayed"] || r.Status == writ.StatusClosed && count["revoked"] == 0 {
		t.Errorf("%s is %s and was revoked %d times, strayed %d times", r.ID, r.Status, count["revoked"], count["strayed"])
	}
}

func named(names []string, prefixes ...string) (out []string) {
	for _, name := range names {
		if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			out = append(out, name)
		}
	}
	return out
}

// equal compares two sets, given as lists.
func equal(a, b []string) bool {
	a, b = slices.Compact(slices.Sorted(slices.Values(a))), slices.Compact(slices.Sorted(slices.Values(b)))
	return slices.Equal(a, b)
}

// end ends everything that lives, and waits until it is gone.
func (w *world) end(t testing.TB, s *site) {
	t.Helper()
	for n := range machines {
		if _, err := w.door.RevokeIdentity(context.Background(), w.as(sue), machine(n), "the test is over"); err != nil {
			t.Fatal(err)
		}
	}
	w.settle(t)
	if live := w.all(t, writ.StatusPending, writ.StatusAuthorized, writ.StatusGranting, writ.StatusActive, writ.StatusRevoking); len(live) > 0 {
		t.Errorf("%d requests live after everything was revoked, the first: %s is %s", len(live), live[0].ID, live[0].Status)
	}
	w.balance(t, s)
}

// stats returns how the store is doing.
func (w *world) stats(t testing.TB) store.Stats {
	t.Helper()
	s, err := w.store.Stats(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// login tries to log in with a credential, and returns who that is then.
func login(ctx context.Context, env map[string]string) (string, error) {
	conn, err := pgx.Connect(ctx, env["DATABASE_URL"])
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	var who string
	err = conn.QueryRow(ctx, "select current_user").Scan(&who)
	return who, err
}
