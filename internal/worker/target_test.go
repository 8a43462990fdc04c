package worker

import (
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/door"
	"github.com/writhq/writ/internal/realtest"
	"github.com/writhq/writ/internal/realtest/server"
)

// TestLifeOnRealTargets is one life of each kind, on two real systems and both
// databases.
func TestLifeOnRealTargets(t *testing.T) {
	for name, dsn := range map[string]func(testing.TB) string{
		"sqlite":   func(testing.TB) string { return "" },
		"postgres": realtest.Database,
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			w := newWorld(t, setup{DSN: dsn(t), Target: s.dsn(s.addr)}, faults{})
			w.work(t)
			key := w.active(t, machine(1), stagedKey, time.Hour)
			user := w.active(t, machine(1), stagedLogin, time.Hour)
			member := w.active(t, machine(1), membership(3), time.Hour)
			w.balance(t, s)
			if got, want := s.access(t), []string{"deploy/account-03", external(user)}; !equal(got, want) {
				t.Errorf("PostgreSQL has %v, not %v", got, want)
			}
			credential := w.claim(t, machine(1), user.ID)
			if who, err := login(t.Context(), credential); err != nil || who != external(user) {
				t.Errorf("logged in as %q: %v", who, err)
			}
			for _, r := range []writ.Request{key, user, member} {
				if _, err := w.door.Release(t.Context(), w.as(machine(1)), r.ID); err != nil {
					t.Fatal(err)
				}
				w.reach(t, r.ID, writ.StatusClosed)
			}
			if who, err := login(t.Context(), credential); err == nil {
				t.Errorf("%s logs in after the end", who)
			}
			want := []writ.Kind{"submitted", "approved", "approved", "authorized", "grant-begun", "granted", "claimed", "ended", "revoke-begun", "revoked"}
			if got := w.kinds(t, user.ID); !slices.Equal(got, want) {
				t.Errorf("its life was %v", got)
			}
			w.balance(t, s)
		})
	}
}

// TestTargetThatBecameAnother points the document of a target at another kind of
// system, which knows nothing of the access that was given.
func TestTargetThatBecameAnother(t *testing.T) {
	s := newSite(t)
	w := newWorld(t, setup{Target: s.dsn(s.addr)}, faults{})
	w.work(t)
	r := w.active(t, machine(1), someKey, time.Hour)
	key := w.claim(t, machine(1), r.ID)[envKey]
	was := w.store.Directory().Targets["keys"]
	w.put(t, targetDocument("keys", "postgres", ordersConfig(s.dsn(s.addr))))
	if _, err := w.door.Release(t.Context(), w.as(machine(1)), r.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.await(r.ID, func(r writ.Request) bool { return r.Tries > 0 || r.Status == writ.StatusClosed }); err != nil {
		t.Fatal(err)
	}
	if now := w.get(t, r.ID); now.Status != writ.StatusRevoking || !w.works(t, key) {
		t.Errorf("with another system in its place it is %s", now.Status)
	}
	w.put(t, targetDocument("keys", was.Connector, string(was.Config)))
	w.reach(t, r.ID, writ.StatusClosed)
	if w.works(t, key) {
		t.Error("the key works after its end")
	}
}

// TestTargetThatMovedAway points the configuration of a target at another server,
// where nobody has ever heard of the access that was given: that it is absent
// there proves nothing, L1. What was never given anywhere is over all the same.
func TestTargetThatMovedAway(t *testing.T) {
	s, other := newSite(t), realtest.OwnPostgres(t, server.PostgresConfig{})
	setUp, err := pgxpool.New(t.Context(), other.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer setUp.Close()
	there := &site{super: setUp, addr: net.JoinHostPort(setUp.Config().ConnConfig.Host, strconv.Itoa(int(setUp.Config().ConnConfig.Port))), name: setUp.Config().ConnConfig.Database}
	there.exec(t, "create role reader; create role deploy; create role writ login createrole password '"+passwordOfWrit+"'; grant reader, deploy to writ with admin option; grant pg_signal_backend to writ")
	there.exec(t, `create role "`+account(1)+`" login; set role writ; grant deploy to "`+account(1)+`"`) // the same name, and none of our business

	w := newWorld(t, setup{Target: s.dsn("127.0.0.1:1")}, faults{})
	w.work(t)
	never := w.authorized(t, machine(1), someLogin, time.Hour)
	if _, err := w.await(never.ID, func(r writ.Request) bool { return r.Tries > 0 }); err != nil {
		t.Fatal(err)
	}
	point := func(dsn string) { t.Helper(); w.put(t, targetDocument("orders", "postgres", ordersConfig(dsn))) }
	point(s.dsn(s.addr)) // which mends a mistake, and ends what was asked for before
	w.reach(t, never.ID, writ.StatusClosed)

	login, member := w.active(t, machine(1), someLogin, time.Hour), w.active(t, machine(1), membership(1), time.Hour)
	point(there.dsn(there.addr))
	for _, r := range []writ.Request{login, member} {
		if _, err := w.door.Release(t.Context(), w.as(machine(1)), r.ID); err != nil {
			t.Fatal(err)
		}
		now, err := w.await(r.ID, func(r writ.Request) bool { return r.Tries > 0 || r.Status == writ.StatusClosed })
		if err != nil || now.Status != writ.StatusRevoking || !strings.Contains(now.Problem, "point its configuration back") {
			t.Errorf("read at another server it is %s, %q: %v", now.Status, now.Problem, err)
		}
	}
	if got := there.access(t); len(got) != 1 {
		t.Errorf("the other server has %v: something of its own was taken", got)
	}
	if got := s.access(t); len(got) != 2 {
		t.Errorf("there is %v", got)
	}
	point(s.dsn(s.addr) + "&application_name=moved") // another way to the same server
	w.reach(t, login.ID, writ.StatusClosed)
	w.reach(t, member.ID, writ.StatusClosed)
	w.balance(t, s)
}

// TestRemovingDocuments removes what is in use, and what is not there.
func TestRemovingDocuments(t *testing.T) {
	w := newWorld(t, setup{}, faults{})
	r := w.authorized(t, machine(1), someKey, time.Hour)
	for h, want := range map[writ.Header]error{
		{Kind: "identity", Name: string(r.Terms.Subject.Name)}: writ.Conflict, // in use
		{Kind: "identity", Name: "human/nobody"}:               writ.NotFound,
	} {
		_, err := w.door.Put(t.Context(), door.System, door.Put{Remove: []writ.Header{h}})
		if !errors.Is(err, want) {
			t.Errorf("removing %s: %v", h.Name, err)
		}
	}
}
