package redis

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/internal/realtest/server"
)

// TestEachRightIsNeeded takes one right after the other from Writ's user. The
// refusal must say how to mend it, which the test then runs.
func TestEachRightIsNeeded(t *testing.T) {
	for _, right := range rights {
		t.Run(right, func(t *testing.T) {
			s := newSite(t)
			conn, o := s.open(), s.order("req-a", connector.Password)
			s.do("ACL SETUSER writ -" + right)
			before := s.count()
			_, err := conn.Grant(t.Context(), o)
			if right == "acl|users" { // nothing but the list needs it
				if err != nil {
					t.Fatal(err)
				}
				before++
				err = conn.List(t.Context(), func(connector.Observation) error { return nil })
			}
			if !errors.Is(err, connector.ErrRefused) || s.count() != before {
				t.Fatalf("done without the right: %v", err)
			}
			mend := regexp.MustCompile(`run: (ACL SETUSER writ \+\S+): refused`).FindStringSubmatch(err.Error())
			if mend == nil || !strings.HasSuffix(mend[1], "+"+right) {
				t.Fatalf("the refusal does not say what to run: %v", err)
			}
			s.do(mend[1])
			r, err := conn.Grant(t.Context(), o)
			if err != nil {
				t.Fatalf("after %s: %v", mend[1], err)
			}
			if err := conn.List(t.Context(), func(connector.Observation) error { return nil }); err != nil {
				t.Error(err)
			}
			if err := conn.Revoke(t.Context(), o, r); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestHolderIsLimited tries what the entitlement does not hold.
func TestHolderIsLimited(t *testing.T) {
	s := newSite(t)
	conn, o := s.open(), s.order("req-a", connector.Password)
	o.Grant = marshal(section{Commands: []string{"+@all", "-flushall"}, Keys: []string{"app:${scope.team}:*"}, ReadKeys: []string{"shared:*"},
		WriteKeys: []string{"inbox:*"}, Channels: []string{"events.${scope.team}.*"}})
	r, err := conn.Grant(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	holder, err := entered(t.Context(), r.Credential)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.close()
	for command, may := range map[string]bool{
		"SET app:billing:price 8":                true,
		"GET app:orders:price":                   false,
		"GET shared:a":                           true,
		"SET shared:a 1":                         false,
		"SET inbox:a 1":                          true,
		"GET inbox:a":                            false,
		"PUBLISH events.billing.a x":             true,
		"PUBLISH events.orders.a x":              false,
		"FLUSHALL":                               false,
		"ACL SETUSER " + r.External + " +@admin": false,
		"ACL SETUSER mine on nopass +@all":       false,
		"CONFIG SET requirepass x":               false,
		"MODULE LIST":                            false,
		"EVAL \"return redis.call('get','app:orders:price')\" 0": false,
	} {
		if _, err := holder.do(command); (err == nil) != may {
			t.Errorf("%s: may is %t, but: %v", command, may, err)
		}
	}
}

// kept returns what the user file holds beside user default.
func (s *site) kept() []byte {
	s.Helper()
	data, err := os.ReadFile(s.UserFile)
	if err != nil {
		s.Fatal(err)
	}
	var kept []byte
	for line := range strings.Lines(string(data)) {
		if !strings.HasPrefix(line, "user default ") {
			kept = append(kept, line...)
		}
	}
	return kept
}

// TestRestart lets the server start again from what it has written down: access
// that was there is there, in the same instance, and what was ended stays ended.
func TestRestart(t *testing.T) {
	s := newSite(t)
	conn, o, other := s.open(), s.order("req-a", connector.Password), s.order("req-b", connector.Password)
	before, err := conn.(connector.Locator).Instance(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o.Instance, other.Instance = before, before
	ended, err := conn.Grant(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	r, err := conn.Grant(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Revoke(t.Context(), other, ended); err != nil {
		t.Fatal(err)
	}
	kept := s.kept()
	s.Stop()

	again := siteOn(t, server.RedisConfig{Users: kept})
	conn = again.open()
	after, err := conn.(connector.Locator).Instance(t.Context())
	if err != nil || before != after {
		t.Errorf("instance %q became %q: %v", before, after, err)
	}
	if seen, err := conn.Observe(t.Context(), o, r); err != nil || seen.State != connector.Present || len(seen.Differs) > 0 {
		t.Errorf("observed %+v, %v", seen, err)
	}
	if seen, err := conn.Observe(t.Context(), other, ended); err != nil || seen.State != connector.Absent {
		t.Errorf("what was ended is observed: %+v, %v", seen, err)
	}
	if err := conn.Revoke(t.Context(), o, r); err != nil {
		t.Error(err)
	}
	if strings.Contains(string(again.kept()), r.External) {
		t.Error("a restart would bring the user back")
	}
}

// TestUsersInMemoryOnly: what a restart would change unseen is not begun.
func TestUsersInMemoryOnly(t *testing.T) {
	s := siteOn(t, server.RedisConfig{NoUserFile: true})
	conn, o := s.open(), s.order("req-a", connector.Password)
	before := s.count()
	if _, err := conn.(connector.Locator).Instance(t.Context()); !errors.Is(err, connector.ErrRefused) || !strings.Contains(err.Error(), "aclfile") {
		t.Errorf("instance: %v", err)
	}
	if _, err := conn.Grant(t.Context(), o); !errors.Is(err, connector.ErrRefused) || !strings.Contains(err.Error(), "aclfile") {
		t.Errorf("grant: %v", err)
	}
	if got := s.count(); got != before {
		t.Errorf("%d users, %d before", got, before)
	}
	if err := conn.Revoke(t.Context(), o, connector.Receipt{}); err != nil {
		t.Errorf("revoke: %v", err)
	}
}

// TestUsersCannotBeWrittenDown takes the server's folder away from it. An end that
// a restart would undo is none.
func TestUsersCannotBeWrittenDown(t *testing.T) {
	s := newSite(t)
	conn, o, other := s.open(), s.order("req-a", connector.Password), s.order("req-b", connector.Password)
	r, err := conn.Grant(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(s.UserFile)
	if err := os.Rename(dir, dir+"-away"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Grant(t.Context(), other); err == nil || errors.Is(err, connector.ErrRefused) {
		t.Errorf("grant: %v, want an error that another try can mend", err)
	}
	if err := conn.Revoke(t.Context(), o, r); err == nil || errors.Is(err, connector.ErrRefused) {
		t.Errorf("revoke: %v, want an error that another try can mend", err)
	}
	if works(t.Context(), o, r.Credential) == nil {
		t.Error("the holder can still log in")
	}
	if users := s.do("ACL USERS"); strings.Contains(users, prefix) {
		t.Errorf("left behind: %s", users)
	}
	if err := os.Rename(dir+"-away", dir); err != nil {
		t.Fatal(err)
	}
	if err := conn.Revoke(t.Context(), o, r); err != nil {
		t.Error(err)
	}
	if strings.Contains(string(s.kept()), prefix) {
		t.Error("a restart would bring the user back")
	}
}

// TestMark: many that mark a server at once agree, a mark that was lost makes
// another instance, and the error says what to restore.
func TestMark(t *testing.T) {
	s := newSite(t)
	var all sync.WaitGroup
	marks := make([]string, 8)
	for i := range marks {
		conn := s.open()
		all.Go(func() {
			is, err := conn.(connector.Locator).Instance(t.Context())
			if err != nil {
				t.Error(err)
			}
			marks[i] = is
		})
	}
	all.Wait()
	for _, is := range marks {
		if is == "" || is != marks[0] {
			t.Errorf("marked %q and %q", marks[0], is)
		}
	}
	conn, o := s.open(), s.order("req-a", connector.Password)
	o.Instance = marks[0]
	r, err := conn.Grant(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	s.do("ACL DELUSER " + mark)
	if _, err := conn.Observe(t.Context(), o, r); err == nil || !strings.Contains(err.Error(), marks[0]) {
		t.Errorf("want an error that names the mark: %v", err)
	}
	s.do("ACL SETUSER " + mark + " #" + strings.TrimPrefix(marks[0], "users marked "))
	if err := conn.Revoke(t.Context(), o, r); err != nil {
		t.Error(err)
	}
}

// slow is a way to the server on which everything from the first message with a
// certain word on waits, also when whoever sent it has given up.
func slow(t *testing.T, upstream, word string) (addr string, waits <-chan string, let func()) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	arrived, free := make(chan string, 1), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		client, err := l.Accept()
		if err != nil {
			return
		}
		defer client.Close()
		target, err := net.Dial("tcp", upstream)
		if err != nil {
			t.Error(err)
			return
		}
		defer target.Close()
		all.Go(func() {
			_, _ = io.Copy(client, target)
			client.Close()
		})
		buf := make([]byte, 1<<16)
		for {
			n, err := client.Read(buf)
			if err != nil {
				return
			}
			if strings.Contains(string(buf[:n]), word) {
				arrived <- string(buf[:n])
				<-free
			}
			if _, err := target.Write(buf[:n]); err != nil {
				return
			}
			time.Sleep(50 * time.Millisecond) // for the server to carry it out, if it would
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return l.Addr().String(), arrived, sync.OnceFunc(func() { close(free) })
}

// TestRevokeDuringGrant lets what a Grant sent arrive after the Revoke. It must
// not be carried out. Nor does it hold the password.
func TestRevokeDuringGrant(t *testing.T) {
	s := newSite(t)
	addr, waits, let := slow(t, s.Addr, "SETUSER")
	defer let()
	far, err := Driver{}.Open(t.Context(), s.config(addr), connector.Env{Target: "far", Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	o, before := s.order("req-a", connector.Password), s.count()
	ctx, giveUp := context.WithCancel(t.Context())
	granted := make(chan error, 1)
	go func() {
		_, err := far.Grant(ctx, o)
		granted <- err
	}()
	sent := <-waits
	giveUp()
	if err := <-granted; !errors.Is(err, context.Canceled) {
		t.Errorf("grant: %v", err)
	}
	if err := s.open().Revoke(t.Context(), o, connector.Receipt{}); err != nil {
		t.Error(err)
	}
	let()
	time.Sleep(100 * time.Millisecond)
	if got := s.count(); got != before {
		t.Errorf("%d users, %d before: %s", got, before, s.do("ACL USERS"))
	}
	if strings.Contains(sent, "\n>") || !strings.Contains(sent, "\n#") {
		t.Errorf("sent is %q, want the hash of a password and no password", sent)
	}
}

// TestOlderGrantIsOvertaken lets what a first Grant sent arrive after a second
// one: the credential returned last works.
func TestOlderGrantIsOvertaken(t *testing.T) {
	s := newSite(t)
	addr, waits, let := slow(t, s.Addr, "SETUSER")
	defer let()
	far, err := Driver{}.Open(t.Context(), s.config(addr), connector.Env{Target: "far", Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	o := s.order("req-a", connector.Password)
	granted := make(chan error, 1)
	go func() {
		_, err := far.Grant(t.Context(), o)
		granted <- err
	}()
	<-waits
	r, err := s.open().Grant(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	let()
	if err := <-granted; err == nil || errors.Is(err, connector.ErrRefused) {
		t.Errorf("the first grant returned %v, want an error that another try can mend", err)
	}
	if err := works(t.Context(), o, r.Credential); err != nil {
		t.Error(err)
	}
}

// TestLastUsed: open sessions tell when they last did something.
func TestLastUsed(t *testing.T) {
	s := newSite(t)
	conn, o := s.open(), s.order("req-a", connector.Password)
	r, err := conn.Grant(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if seen, err := conn.Observe(t.Context(), o, r); err != nil || !seen.LastUsed.IsZero() || seen.Detail["sessions"] != "0" {
		t.Errorf("before anybody used it: %+v, %v", seen, err)
	}
	use, err := open(t.Context(), o, r.Credential)
	if err == nil {
		err = use()
	}
	if err != nil {
		t.Fatal(err)
	}
	seen, err := conn.Observe(t.Context(), o, r)
	if err != nil || time.Since(seen.LastUsed) > 5*time.Second || seen.Detail["sessions"] != "1" {
		t.Errorf("with a session open: %+v, %v", seen, err)
	}
}

// TestRedisCLIReadsTheCredential gives redis-cli nothing but what was issued.
func TestRedisCLIReadsTheCredential(t *testing.T) {
	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		t.Skipf("not tested here: %v", err)
	}
	s := newSite(t)
	r, err := s.open().Grant(t.Context(), s.order("req-a", connector.Password))
	if err != nil {
		t.Fatal(err)
	}
	issued := r.Credential.Env
	for name, args := range map[string][]string{
		"url":  {"--no-auth-warning", "-u", issued["REDIS_URL"].Reveal()},
		"auth": {"-h", issued["REDIS_HOST"].Reveal(), "-p", issued["REDIS_PORT"].Reveal(), "--user", issued["REDIS_USERNAME"].Reveal()},
	} {
		cmd := exec.CommandContext(t.Context(), cli, append(args, "GET", "app:billing:price")...)
		if name == "auth" {
			cmd.Env = []string{"REDISCLI_AUTH=" + issued["REDISCLI_AUTH"].Reveal()}
		}
		if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "7" {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}
