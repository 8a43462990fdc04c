package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/internal/realtest"
	"github.com/writhq/writ/internal/realtest/server"
)

// TestEachRightIsNeeded takes one right after the other from Writ's role. The
// refusal must name the statement that mends it, which the test then runs.
func TestEachRightIsNeeded(t *testing.T) {
	for name, c := range map[string]struct {
		kind connector.Kind
		take string
	}{
		"make roles":     {connector.Password, "alter role writ nocreaterole"},
		"end sessions":   {connector.Password, "revoke pg_signal_backend from writ"},
		"end members'":   {connector.Membership, "revoke pg_signal_backend from writ"},
		"give the role":  {connector.Membership, "revoke admin option for deploy from writ; alter role writ nocreaterole"},
		"hand over":      {connector.Password, "create role heir"},
		"give, as in 16": {connector.Password, "revoke admin option for deploy from writ"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			conn, o := s.open(), s.order("req-a", c.kind)
			if name == "hand over" {
				o.Grant = json.RawMessage(`{"role": "deploy", "reassignTo": "heir"}`)
			}
			s.exec(c.take)
			before := s.count()
			_, err := conn.Grant(t.Context(), o)
			if name == "give, as in 16" && s.version() < 16 {
				if err != nil {
					t.Errorf("until 15, createrole is enough, but: %v", err)
				}
				return
			}
			if !errors.Is(err, connector.ErrRefused) || s.count() != before {
				t.Fatalf("granted without the right: %v", err)
			}
			mend := regexp.MustCompile(`run: (.*?)(, or create it)?: refused`).FindStringSubmatch(err.Error())
			if mend == nil {
				t.Fatalf("the refusal does not say what to run: %v", err)
			}
			s.exec(mend[1])
			r, err := conn.Grant(t.Context(), o)
			if err != nil {
				t.Fatalf("after %s: %v", mend[1], err)
			}
			if err := conn.Revoke(t.Context(), o, r); err != nil {
				t.Error(err)
			}
		})
	}
}

func (s *site) version() (major int) {
	s.Helper()
	if err := s.super.QueryRow(s.Context(), "select current_setting('server_version_num')::int / 10000").Scan(&major); err != nil {
		s.Fatal(err)
	}
	return major
}

// TestNamesAreQuoted uses names that would end every kind of quotation.
func TestNamesAreQuoted(t *testing.T) {
	s := newSite(t)
	hard := `x"; drop table vault; --'; $$ \'` + "\n/* */ %s @role $1"
	s.exec("create role " + ident(hard) + "; grant " + ident(hard) + " to writ with admin option; grant select on vault to " + ident(hard) + "; grant create on schema public to " + ident(hard))
	s.exec("create role " + ident(hard+" too") + " login")
	s.exec(`alter role writ rename to "Writ's ""own"""`)
	conn := s.openDSN("postgres://" + url.PathEscape(`Writ's "own"`) + "@" + s.addr + "/" + s.name + "?sslmode=disable")
	for _, o := range []connector.Order{
		{Request: "req-a", Kind: connector.Password, Grant: marshal(map[string]any{"role": "${scope.team}", "reassignTo": hard, "settings": map[string]string{"application_name": hard[:20]}})},
		{Request: "req-b", Kind: connector.Membership, Grant: marshal(map[string]any{"role": "${scope.team}", "member": hard + " too"})},
	} {
		o.Serial, o.Until, o.Scope = hard, time.Now().Add(time.Hour), map[string]string{"team": hard}
		r, err := conn.Grant(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if o.Kind == connector.Password {
			s.holds(o, r.Credential, "create table made (); create temp table t ()")
		}
		if seen, err := conn.Observe(t.Context(), o, r); err != nil || seen.State != connector.Present || len(seen.Differs) > 0 {
			t.Errorf("observed %+v, %v", seen, err)
		}
		if err := conn.Revoke(t.Context(), o, r); err != nil {
			t.Error(err)
		}
	}
	s.exec("select from vault")
}

// holds logs in with a credential and runs sql.
func (s *site) holds(o connector.Order, c *connector.Credential, sql string) {
	s.Helper()
	conn, err := s.login(s.Context(), o, c)
	if err != nil {
		s.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(s.Context(), sql); err != nil {
		s.Fatalf("%s: %v", sql, err)
	}
}

// TestWhatTheHolderMadeStays lets a holder make things in two databases. They go
// to grant.reassignTo, or else to the entitled role, and the holder's role goes.
// Writ's own role must come out of it as it went in.
func TestWhatTheHolderMadeStays(t *testing.T) {
	for _, heir := range []string{"deploy", "heir"} {
		t.Run(heir, func(t *testing.T) {
			s := newSite(t)
			conn, o := s.open(), s.order("req-a", connector.Password)
			if o.Grant = json.RawMessage(`{"role": "deploy"}`); heir != "deploy" {
				s.exec("create role heir; grant heir to writ")
				o.Grant = marshal(map[string]string{"role": "deploy", "reassignTo": heir})
			}
			other := connect(t, realtest.Database(t))
			if _, err := other.Exec(t.Context(), "grant create on schema public to deploy"); err != nil {
				t.Fatal(err)
			}
			r, err := conn.Grant(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			s.holds(o, r.Credential, "create table made (); grant select on made to public")
			there := *r.Credential
			there.Env = map[string]connector.Secret{"DATABASE_URL": connector.Conceal(
				strings.Replace(r.Credential.Env["DATABASE_URL"].Reveal(), "/"+s.name, "/"+other.Config().Database, 1))}
			s.holds(o, &there, "create table made ()")

			before := s.memberships()
			if err := conn.Revoke(t.Context(), o, r); err != nil {
				t.Fatal(err)
			}
			if after := s.memberships(); after != before {
				t.Errorf("Writ's role was a member of %s, and is of %s", before, after)
			}
			for _, db := range []*pgx.Conn{s.super, other} {
				var owner string
				err := db.QueryRow(t.Context(), "select tableowner::text from pg_tables where tablename = 'made'").Scan(&owner)
				if err != nil || owner != heir {
					t.Errorf("in %s the table belongs to %q: %v", db.Config().Database, owner, err)
				}
			}
			if seen, err := conn.Observe(t.Context(), o, r); err != nil || seen.State != connector.Absent {
				t.Errorf("observed %+v, %v", seen, err)
			}
		})
	}
}

// memberships returns what Writ's role is a member of, but for roles it made.
func (s *site) memberships() (text string) {
	s.Helper()
	err := s.super.QueryRow(s.Context(), `select string_agg(m::text || r.rolname, ' ' order by m::text) from pg_auth_members m
		join pg_roles a on a.oid = m.member join pg_roles r on r.oid = m.roleid where a.rolname = 'writ' and r.rolname not like 'writ\_%'`).Scan(&text)
	if err != nil {
		s.Fatal(err)
	}
	return text
}

// TestHandOverOutOfReach: where Writ cannot enter a database to hand over, it says
// which, and the holder is out already.
func TestHandOverOutOfReach(t *testing.T) {
	s := newSite(t)
	conn, o := s.open(), s.order("req-a", connector.Password)
	r, err := conn.Grant(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	other := connect(t, realtest.Database(t))
	name := other.Config().Database
	s.exec("revoke connect on database " + name + " from public")
	if _, err := other.Exec(t.Context(), "create table made (); alter table made owner to "+r.External); err != nil {
		t.Fatal(err)
	}
	if err := conn.Revoke(t.Context(), o, r); err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("want an error that names %s: %v", name, err)
	}
	if s.works(t.Context(), o, r.Credential) == nil {
		t.Error("the holder can still log in")
	}
	s.exec("grant connect on database " + name + " to writ")
	if err := conn.Revoke(t.Context(), o, r); err != nil {
		t.Error(err)
	}
}

// TestGiftsOfOthersAreNamed: what a third party granted to the role keeps it from
// being dropped, and only that party can take it. The holder is out all the same.
func TestGiftsOfOthersAreNamed(t *testing.T) {
	s := newSite(t)
	conn, o := s.open(), s.order("req-a", connector.Password)
	r, err := conn.Grant(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	s.exec("grant select on vault to " + r.External)
	if err := conn.Revoke(t.Context(), o, r); err == nil || !strings.Contains(err.Error(), "table vault") || errors.Is(err, connector.ErrRefused) {
		t.Errorf("want an error that names the table, and that trying again may mend: %v", err)
	}
	if s.works(t.Context(), o, r.Credential) == nil {
		t.Error("the holder can still log in")
	}
	s.exec("drop owned by " + r.External)
	if err := conn.Revoke(t.Context(), o, r); err != nil {
		t.Error(err)
	}
}

// TestRoleMadeAnewGetsNothing: a role of the right name that is not the one that
// was made for the request is neither given anything nor taken away.
func TestRoleMadeAnewGetsNothing(t *testing.T) {
	s := newSite(t)
	conn, o := s.open(), s.order("req-a", connector.Password)
	for _, comment := range []string{"null", "'made by Writ for request req-aa serial s-1'"} {
		s.exec("create role writ_a login; comment on role writ_a is " + comment)
		if r, err := conn.Grant(t.Context(), o); !errors.Is(err, connector.ErrRefused) {
			t.Errorf("%s: granted %+v, %v", comment, r, err)
		}
		if err := conn.Revoke(t.Context(), o, connector.Receipt{}); !errors.Is(err, connector.ErrRefused) {
			t.Errorf("%s: revoked: %v", comment, err)
		}
		if seen, err := conn.Observe(t.Context(), o, connector.Receipt{}); err != nil || seen.State != connector.Present || len(seen.Differs) == 0 {
			t.Errorf("%s: observed %+v, %v", comment, seen, err)
		}
		s.exec("drop role writ_a")
	}
}

// TestStandingMembershipStays: what somebody else granted is no grant of ours,
// and no end of ours ends it.
func TestStandingMembershipStays(t *testing.T) {
	s := newSite(t)
	conn, o := s.open(), s.order("req-a", connector.Membership)
	s.exec(`grant deploy to "account-req-a"`)
	if _, err := conn.Grant(t.Context(), o); !errors.Is(err, connector.ErrRefused) || !strings.Contains(err.Error(), "granted by postgres") {
		t.Errorf("want a refusal that names who granted it: %v", err)
	}
	if err := conn.Revoke(t.Context(), o, connector.Receipt{}); err != nil {
		t.Error(err)
	}
	if err := s.works(t.Context(), o, nil); err != nil {
		t.Errorf("the standing membership is gone: %v", err)
	}
	if seen, err := conn.Observe(t.Context(), o, connector.Receipt{}); err != nil || seen.State != connector.Absent {
		t.Errorf("observed %+v, %v", seen, err)
	}
}

// TestRevokeDuringGrant lets a Grant hang inside the server while Revoke comes.
// It must not be carried out afterwards.
func TestRevokeDuringGrant(t *testing.T) {
	for _, kind := range (Driver{}).Manifest().Kinds {
		t.Run(string(kind), func(t *testing.T) {
			s := newSite(t)
			conn, o := s.open(), s.order("req-a", kind)
			before := s.count()
			s.exec("begin; lock table pg_authid, pg_auth_members in share row exclusive mode")
			granted := make(chan error, 1)
			go func() {
				_, err := conn.Grant(t.Context(), o)
				granted <- err
			}()
			s.untilWritWaits()
			if err := conn.Revoke(t.Context(), o, connector.Receipt{}); err != nil {
				t.Error(err)
			}
			s.exec("commit")
			if err := <-granted; err == nil || errors.Is(err, connector.ErrRefused) {
				t.Errorf("the grant returned %v, want an error that another try can mend", err)
			}
			if got := s.count(); got != before {
				t.Errorf("%d pieces of access, %d before", got, before)
			}
		})
	}
}

// TestTwoGrantsOfOneMembership lets another grant of Writ's own come in between:
// the membership is there, so both have succeeded.
func TestTwoGrantsOfOneMembership(t *testing.T) {
	s := newSite(t)
	conn, o := s.open(), s.order("req-a", connector.Membership)
	s.exec(`begin; set local role writ; grant deploy to "account-req-a"; reset role`)
	granted := make(chan error, 1)
	go func() {
		_, err := conn.Grant(t.Context(), o)
		granted <- err
	}()
	s.untilWritWaits()
	s.exec("commit")
	if err := <-granted; err != nil {
		t.Errorf("the second grant returned %v", err)
	}
	if seen, err := conn.Observe(t.Context(), o, connector.Receipt{}); err != nil || seen.State != connector.Present || len(seen.Differs) > 0 {
		t.Errorf("observed %+v, %v", seen, err)
	}
}

// untilWritWaits returns once a statement of Writ's waits for a lock.
func (s *site) untilWritWaits() {
	s.Helper()
	for waits := false; !waits; time.Sleep(10 * time.Millisecond) {
		s.exec("select pg_stat_clear_snapshot()")
		if err := s.super.QueryRow(s.Context(), `select exists (select from pg_stat_activity where usename = 'writ' and wait_event_type = 'Lock')`).Scan(&waits); err != nil {
			s.Fatal(err)
		}
	}
}

// TestSessionOfADroppedRoleEnds: somebody drops the role, whose open session then
// has no name any more.
func TestSessionOfADroppedRoleEnds(t *testing.T) {
	s := newSite(t)
	conn, o := s.open(), s.order("req-a", connector.Password)
	r, err := conn.Grant(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	use, err := s.session(t.Context(), o, r.Credential)
	if err != nil {
		t.Fatal(err)
	}
	s.exec("drop role " + r.External)
	if err := use(); err != nil {
		t.Fatalf("the session should have survived: %v", err)
	}
	if err := conn.Revoke(t.Context(), o, r); err != nil {
		t.Error(err)
	}
	if use() == nil {
		t.Error("the session is still open")
	}
}

// TestPasswordIsInNoStatement has the server log every statement.
func TestPasswordIsInNoStatement(t *testing.T) {
	p := realtest.OwnPostgres(t, server.PostgresConfig{Settings: map[string]string{"log_statement": "all", "log_min_error_statement": "debug5"}})
	s := siteOn(t, p.DSN)
	conn, o := s.open(), s.order("req-a", connector.Password)
	r, err := conn.Grant(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.works(t.Context(), o, r.Credential); err != nil {
		t.Fatal(err)
	}
	var data string
	if err := s.super.QueryRow(t.Context(), "show data_directory").Scan(&data); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(filepath.Join(filepath.Dir(data), "log"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), "SCRAM-SHA-256$") {
		t.Error("the statement is not in the log at all")
	}
	if strings.Contains(string(log), r.Credential.Env["PGPASSWORD"].Reveal()) {
		t.Error("the password is in the log")
	}
}

// TestPsqlReadsTheCredential gives psql nothing but the credential's environment.
func TestPsqlReadsTheCredential(t *testing.T) {
	psql, err := exec.LookPath("psql")
	if err != nil {
		t.Skipf("not tested here: %v", err)
	}
	s := newSite(t)
	conn, o := s.open(), s.order("req-a", connector.Password)
	r, err := conn.Grant(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), psql, "--no-psqlrc", "--tuples-only", "--no-align", "--command", "select current_user, current_setting('search_path'), count(*) from vault")
	for name, value := range r.Credential.Env {
		cmd.Env = append(cmd.Env, name+"="+value.Reveal())
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "writ_a|vault, public|0") {
		t.Errorf("psql: %v: %s", err, out)
	}
}

// TestSocketIsShown connects over a Unix socket and expects holders to do so too.
func TestSocketIsShown(t *testing.T) {
	s := newSite(t)
	var dir string
	if err := s.super.QueryRow(t.Context(), "show unix_socket_directories").Scan(&dir); err != nil {
		t.Fatal(err)
	}
	dsn := fmt.Sprintf("postgres://writ@/%s?host=%s&port=%d", s.name, dir, s.super.Config().Port)
	conn := s.openDSN(dsn)
	o := s.order("req-a", connector.Password)
	r, err := conn.Grant(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.works(t.Context(), o, r.Credential); err != nil || r.Credential.Env["PGHOST"].Reveal() != dir {
		t.Errorf("by %s: %v", r.Credential.Env["PGHOST"].Reveal(), err)
	}
}

// TestRotatedPasswordIsTaken changes the password of Writ's own role.
func TestRotatedPasswordIsTaken(t *testing.T) {
	s := newSite(t)
	password := writsPassword
	conn, err := Driver{}.Open(t.Context(), s.config(s.addr), connector.Env{Target: "site",
		Secret: func(string) (connector.Secret, error) { return connector.Conceal(password), nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	look := func() error { return conn.List(t.Context(), func(connector.Observation) error { return nil }) }
	s.exec("alter role writ password 'another one'")
	if err := look(); err == nil || errors.Is(err, connector.ErrRefused) {
		t.Errorf("with the old password: %v, want an error that another try can mend", err)
	}
	password = "another one"
	if err := look(); err != nil {
		t.Error(err)
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	s := newSite(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	conn := s.open()
	if err := conn.List(t.Context(), func(connector.Observation) error { return nil }); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := conn.Grant(t.Context(), s.order("req-a", connector.Password)); err == nil {
		t.Error("a closed connector granted")
	}
}

// TestWithoutPreparedStatements is how a pooler in transaction mode wants it.
func TestWithoutPreparedStatements(t *testing.T) {
	s := newSite(t)
	conn := s.openDSN("postgres://writ@" + s.addr + "/" + s.name + "?sslmode=disable&default_query_exec_mode=exec")
	for _, kind := range (Driver{}).Manifest().Kinds {
		o := s.order("req-"+string(kind), kind)
		r, err := conn.Grant(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if seen, err := conn.Observe(t.Context(), o, r); err != nil || seen.State != connector.Present || len(seen.Differs) > 0 {
			t.Errorf("observed %+v, %v", seen, err)
		}
		if kind == connector.Password {
			s.holds(o, r.Credential, "create table made ()")
		}
		if err := conn.Revoke(t.Context(), o, r); err != nil {
			t.Error(err)
		}
	}
	if err := conn.List(t.Context(), func(connector.Observation) error { return nil }); err != nil {
		t.Error(err)
	}
}
