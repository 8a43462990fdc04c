//go:build unix

package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh"

	"github.com/writhq/writ"
	"github.com/writhq/writ/assent"
	"github.com/writhq/writ/internal/document"
	"github.com/writhq/writ/internal/keyring"
	"github.com/writhq/writ/internal/realtest"
	real "github.com/writhq/writ/internal/realtest/server"
	"github.com/writhq/writ/internal/store"
	"github.com/writhq/writ/ledger"
)

// TestProvisioner plays testdata/provisioner/*.txtar: a server and a provisioner
// as two processes on one PostgreSQL, which also has the orders database. Their
// stories have these commands more:
//
//	grants                     give the roles of docs/howto/provisioner.md, with its very SQL
//	as-server STATEMENT [REGEXP]
//	                           run it with the server's role; the error must say REGEXP
//	provisioner start|stop     `writ provisioner --config provisioner.yaml`; sets PROVISIONER
//	forge HOW ARG…             add to the ledger with the server's keys and role; see forgeries
//	alarm ID REGEXP            wait until the provisioner refuses the request with an alarm that says so
//	signs-in FILE yes|no       whether the password in a claimed credential lets in
//	holds QUERY NUMBER         what the owner of a database counts: [orders] QUERY
func TestProvisioner(t *testing.T) {
	p := realtest.OwnPostgres(t, real.PostgresConfig{})
	n := 0
	stories(t, "testdata/provisioner", func(env *testscript.Env) {
		n++
		ledger, err := p.CreateDatabase(t.Context(), fmt.Sprintf("writ%d", n))
		if err != nil {
			t.Fatal(err)
		}
		env.Setenv("OWNER", ledger)
		dir := env.WorkDir + "/provisioning"
		var o orders
		if err := setUpOrders(t.Context(), p, dir, &o); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(env.WorkDir+"/orders.yaml", o.documents, 0o600); err != nil {
			t.Fatal(err)
		}
		env.Setenv("ORDERS", strings.Replace(ledger, "/writ"+strconv.Itoa(n), "/orders", 1))
		for _, role := range []string{"server", "provisioner"} {
			u, err := url.Parse(ledger)
			if err != nil {
				t.Fatal(err)
			}
			u.User = url.UserPassword("writ_"+role, p.Password)
			env.Setenv(strings.ToUpper(role)+"_DB", u.String())
		}
		env.Setenv("PASSWORD", p.Password)
	})
}

// query runs a statement on a database.
func (s *story) query(dsn, text string, to ...any) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if len(to) > 0 {
		return conn.QueryRow(ctx, text).Scan(to...)
	}
	_, err = conn.Exec(ctx, text)
	return err
}

func (s *story) grants([]string) {
	page, err := os.ReadFile("../../docs/howto/provisioner.md")
	s.Check(err)
	block := regexp.MustCompile("(?s)```sql\n(.*?)```").FindSubmatch(page)
	s.Check(s.query(s.Getenv("OWNER"), strings.ReplaceAll(string(block[1]), "…", s.Getenv("PASSWORD"))))
}

func (s *story) asServer(args []string) {
	err := s.query(s.Getenv("SERVER_DB"), args[0])
	if len(args) == 1 {
		s.Check(err)
	} else if err == nil || !regexp.MustCompile(args[1]).MatchString(err.Error()) {
		s.Fatalf("%s: %v, want %s", args[0], err, args[1])
	}
}

func (s *story) provisioner(args []string) {
	if args[0] == "stop" {
		s.signal([]string{"TERM", "provisioner"})
		<-s.jobs["provisioner"].done
		return
	}
	_ = os.Remove(s.MkAbs("provisioner.err")) // there is none before the first start
	s.spawn([]string{"provisioner", "writ", "provisioner", "--config", s.MkAbs("provisioner.yaml"), "--listen", "127.0.0.1:0"})
	s.see([]string{"provisioner.err", `serves http://\S+`})
	s.Setenv("PROVISIONER", regexp.MustCompile(`http://\S+`).FindString(s.ReadFile("provisioner.err")))
}

func (s *story) signsIn(args []string) {
	var c struct {
		Credential struct{ Env map[string]string }
	}
	s.Check(json.Unmarshal([]byte(s.ReadFile(args[0])), &c))
	err := s.query(c.Credential.Env["DATABASE_URL"], "update orders set state = 'deployed' where id = 42")
	if (err == nil) != (args[1] == "yes") {
		s.Fatalf("signing in: %v, want %s", err, args[1])
	}
}

func (s *story) holds(args []string) {
	dsn, text := s.Getenv("OWNER"), args[0]
	if rest, ok := strings.CutPrefix(text, "[orders] "); ok {
		dsn, text = s.Getenv("ORDERS"), rest
	}
	var n int
	s.Check(s.query(dsn, text, &n))
	if strconv.Itoa(n) != args[1] {
		s.Fatalf("%s: %d, want %s", text, n, args[1])
	}
}

func (s *story) alarm(args []string) {
	s.see([]string{"provisioner.err", `ALARM: [^\n]*"request":"` + args[0] + `"[^\n]*` + args[1]})
}

// A thief has taken over the server: they have its keys and its role, and can
// add whatever they like to the ledger. Nobody's SSH key is theirs.
type thief struct {
	*story
	db  *store.DB
	key ssh.Signer
}

// forgeries are what a thief does.
var forgeries = map[string]func(*thief, []string){
	"policy":     (*thief).policy,     // FILE: as if an administrator had changed a document
	"key":        (*thief).enrol,      // PERSON [NAME]: a key of their own for somebody, or in place of one
	"authorized": (*thief).authorized, // ID: approvals out of nothing
	"moved":      (*thief).moved,      // ID FROM: the signed approvals of another request
	"unrelated":  (*thief).unrelated,  // ID FROM: the same, with the digest that was signed
	"signed":     (*thief).signed,     // ID: approvals that they signed with the key they enrolled
	"granted":    (*thief).granted,    // ID: approvals out of nothing, and a grant that has begun with a writ that nobody signed
}

func (s *story) forge(args []string) {
	keys, err := keyring.Read(s.MkAbs("data/writ.keys"))
	s.Check(err)
	signer, err := ledger.NewSigner(keys.Origin, keys.Log.Seed())
	s.Check(err)
	db, err := store.Open(context.Background(), store.Config{DSN: s.Getenv("SERVER_DB"), Log: signer})
	s.Check(err)
	defer closeAll(db)
	key, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(keys.Public)) // theirs, and the same each time
	s.Check(err)
	forgeries[args[0]](&thief{s, db, key}, args[1:])
}

// add records events past every rule but those of the ledger.
func (t *thief) add(id writ.ID, events func(writ.Request, writ.Facts) []writ.Event) {
	_, err := t.db.Update(context.Background(), store.Change{ID: id, Decide: func(r writ.Request, f writ.Facts) ([]writ.Event, error) {
		return events(r, f), nil
	}})
	t.Check(err)
}

// approve records a yes of everybody that policy asks for, what follows from it,
// and then whatever they like.
func (t *thief) approve(id string, vote func(writ.Request, writ.Stage, writ.Party) (writ.Digest, *writ.Evidence), then ...writ.Body) {
	t.add(writ.ID(id), func(r writ.Request, f writ.Facts) (out []writ.Event) {
		say := func(who writ.Party, b writ.Body) {
			out = append(out, writ.Event{Stream: id, Seq: r.Seq + 1 + len(out), At: f.Now, Actor: who, Body: b})
		}
		for _, stage := range r.Verdict.Stages {
			who := stage.Approvers[0].Party
			digest, evidence := vote(r, stage, who)
			say(who, writ.Approved{Stage: stage.Name, Digest: digest, Evidence: evidence})
		}
		from := f.Now.Truncate(time.Second)
		say(writ.System, writ.Authorized{From: from, Until: from.Add(r.Terms.For.Std()), Serial: "writ-" + id})
		for _, b := range then {
			say(writ.System, b)
		}
		return out
	})
}

func (t *thief) authorized(args []string) {
	t.approve(args[0], func(r writ.Request, _ writ.Stage, _ writ.Party) (writ.Digest, *writ.Evidence) { return r.Digest, nil })
}

// votes returns the signed approvals of a request, by stage.
func (t *thief) votes(id string) map[string]writ.Vote {
	r, err := t.db.Get(context.Background(), writ.ID(id))
	t.Check(err)
	out := map[string]writ.Vote{}
	for _, v := range r.Votes {
		if v.Evidence != nil {
			out[v.Stage] = v
		}
	}
	if len(out) != 2 {
		t.Fatalf("%s has %d signed approvals", id, len(out))
	}
	return out
}

func (t *thief) moved(args []string) {
	votes := t.votes(args[1])
	t.approve(args[0], func(r writ.Request, s writ.Stage, _ writ.Party) (writ.Digest, *writ.Evidence) {
		return r.Digest, votes[s.Name].Evidence
	})
}

func (t *thief) unrelated(args []string) {
	votes := t.votes(args[1])
	t.approve(args[0], func(_ writ.Request, s writ.Stage, _ writ.Party) (writ.Digest, *writ.Evidence) {
		return votes[s.Name].Digest, votes[s.Name].Evidence
	})
}

func (t *thief) signed(args []string) {
	t.approve(args[0], func(r writ.Request, _ writ.Stage, who writ.Party) (writ.Digest, *writ.Evidence) {
		return r.Digest, t.sign(r.Digest, t.theirs(who))
	})
}

// theirs returns the key that the thief has in the ledger for somebody: the one
// that took another's place, if there is one.
func (t *thief) theirs(who writ.Party) writ.Key {
	for _, k := range t.db.Directory().KeysOf(who) {
		if k.Public == t.public() {
			return k
		}
	}
	t.Fatalf("no key of the thief is enrolled for %s", who.Name)
	return writ.Key{}
}

func (t *thief) public() string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(t.key.PublicKey())))
}

func (t *thief) sign(d writ.Digest, as writ.Key) *writ.Evidence {
	nonce := []byte(rand.Text()[:16])
	challenge, err := writ.Challenge(nonce, d, writ.Yes)
	t.Check(err)
	proof, err := assent.SignSSH(rand.Reader, t.key, assent.ApprovalNamespace, challenge[:])
	t.Check(err)
	return &writ.Evidence{Method: writ.BySSH, Nonce: nonce, Key: as.Name, KeyUID: as.UID, Proof: proof}
}

func (t *thief) enrol(args []string) {
	t.add("", func(_ writ.Request, f writ.Facts) []writ.Event {
		who := f.Directory.Identities[writ.Ref(args[0])].Party()
		k := writ.Key{Header: writ.Header{Kind: "key", Name: "ssh-" + strings.TrimPrefix(args[0], "human/")}, Method: writ.BySSH}
		uid, seq := writ.UID("key-"+k.Name), 1
		if len(args) > 1 { // one that is there, with all that the ledger knows it by
			uid, k = f.Directory.Keys[args[1]].UID, f.Directory.Keys[args[1]]
			seq = k.Version + 1
		}
		k.Identity, k.IdentityUID, k.Public, k.Enrolled = who.Name, who.UID, t.public(), f.Now.Add(-24*time.Hour)
		k.UID, k.Version, k.Digest = "", 0, ""
		content, err := json.Marshal(k)
		t.Check(err)
		return []writ.Event{{Stream: k.Stream(), Seq: seq, At: f.Now, Actor: who, Body: writ.Changed{Of: "key", Name: k.Name, UID: uid, Digest: "sha256:0", Content: content}}}
	})
}

func (t *thief) policy(args []string) {
	docs, err := document.Parse(args[0], []byte(t.ReadFile(args[0])))
	t.Check(err)
	t.add("", func(_ writ.Request, f writ.Facts) []writ.Event {
		c := writ.Put{}
		for i, data := range docs {
			doc, err := writ.ParseDocument(data)
			t.Check(err)
			c.Documents, c.UIDs = append(c.Documents, doc), append(c.UIDs, writ.UID(fmt.Sprint("thief", i)))
		}
		f.Actor, f.Authority.Administer = f.Directory.Identities["human/pat"].Party(), true
		events, _, err := writ.DecidePut(c, f)
		t.Check(err)
		return events
	})
}

func (t *thief) granted(args []string) {
	part := base64.RawURLEncoding.EncodeToString
	jws := part([]byte(`{"alg":"EdDSA","typ":"writ+jws"}`)) + "." + part([]byte(`{"v":1}`)) + "." + part(make([]byte, 64))
	yes := func(r writ.Request, _ writ.Stage, _ writ.Party) (writ.Digest, *writ.Evidence) { return r.Digest, nil }
	t.approve(args[0], yes, writ.GrantBegun{Attempt: 1, Writ: jws}, writ.GrantFailed{Attempt: 1, Problem: "no answer"})
}
