// Package evidencetest is a small company with a ledger in memory, for tests of
// what can be shown of its requests. Its decisions are made by the real rules.
package evidencetest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/crypto/ssh"

	"github.com/writhq/writ"
	"github.com/writhq/writ/assent"
	"github.com/writhq/writ/evidence"
	"github.com/writhq/writ/ledger"
	"github.com/writhq/writ/policy"
)

// A Company is people, machines, a policy and the ledger of what they do. Each
// decision takes a minute.
type Company struct {
	testing.TB
	Now    time.Time
	Signer *ledger.Signer
	Writs  ed25519.PrivateKey
	Notes  []string // every checkpoint; Notes[n] is of the n+1st decision
	Texts  map[writ.ID]evidence.Text
	Sue    ssh.Signer // her key, enrolled as SueKey
	SueKey writ.Key

	dir      *writ.Directory
	requests map[writ.ID]writ.Request
	records  []evidence.Entry
	edge     ledger.Edge
	tiles    map[[2]int64][]byte
	judge    *policy.Judge
	uids     int
}

// Policy is the text that New applies: a manager and then security say yes.
const Policy = `kind: policy
name: default
authority:
  administer: [human/pat]
  audit: [human/sue]
guardrails:
  - name: justified
    when: '"risk" in entitlement.labels'
    require: {justification: 10}
routes:
  - name: production
    when: subject.environment == "production"
    maxFor: 24h
    decideIn: 72h
    stages:
      - name: manager
        approvers: [{manager-of: requester}]
      - name: security
        approvers: [{group: security}]
`

// New returns the company with its documents applied and Sue's key enrolled.
func New(t testing.TB) *Company {
	t.Helper()
	_, writs, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	log, err := ledger.NewSigner("ledger.example/company", bytes.Repeat([]byte{7}, 32))
	must(t, err)
	c := &Company{
		TB: t, Now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC), Signer: log, Writs: writs, Texts: map[writ.ID]evidence.Text{},
		dir: writ.NewDirectory(), requests: map[writ.ID]writ.Request{}, tiles: map[[2]int64][]byte{}, judge: policy.NewJudge(),
	}
	public := base64.StdEncoding.EncodeToString(writs.Public().(ed25519.PublicKey))
	c.Record(writ.Event{Stream: writ.LedgerStream, Seq: 1, At: c.Now, Actor: writ.System, Body: writ.Opened{Origin: "ledger.example/company", LogKey: log.VerifierKey(), WritKey: public}})
	identity := func(name, owner, manager string) writ.Identity {
		return writ.Identity{Header: head("identity", name), Owner: writ.Ref(owner), Manager: writ.Ref(manager), Environment: "production"}
	}
	c.Put(
		identity("human/max", "", ""), identity("human/ann", "", "human/max"), identity("human/sue", "", ""), identity("human/sam", "", ""),
		identity("human/pat", "", ""), identity("service/ci", "human/ann", ""), writ.Group{Header: head("group", "security"), Members: []writ.Ref{"human/sue", "human/sam"}},
		writ.Target{Header: head("target", "db"), Connector: "postgres", Environment: "production", Owners: []writ.Ref{"human/max"}},
		writ.Entitlement{
			Header: head("entitlement", "db/deploy"), Target: "db", Credential: "password", Grant: json.RawMessage(`{"role":"<deploy> & more"}`),
			MaxFor: writ.Of(24 * time.Hour), Labels: map[string]string{"risk": "high"},
		},
		writ.Policy{Header: head("policy", "default"), Source: Policy},
	)
	c.enrol()
	return c
}

func head(kind, name string) writ.Header { return writ.Header{Kind: kind, Name: name} }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (c *Company) enrol() {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	must(c, err)
	c.Sue, err = ssh.NewSignerFromKey(private)
	must(c, err)
	key, err := assent.SSHKey(string(ssh.MarshalAuthorizedKey(c.Sue.PublicKey())))
	must(c, err)
	f := c.facts("human/sue")
	f.Nonce = &writ.Nonce{Value: []byte("sixteen bytes it is"), Person: f.Actor.UID, Decision: writ.Enrolment, Until: c.Now.Add(time.Minute)}
	events, err := writ.DecideEnrol(writ.Enrol{Key: key, UID: "key-1", Nonce: f.Nonce.Value}, f)
	must(c, err)
	c.Record(events...)
	c.SueKey = c.dir.Keys[key.Name]
}

// Put applies documents.
func (c *Company) Put(docs ...writ.Document) {
	c.Helper()
	p := writ.Put{Documents: docs}
	for range docs {
		c.uids++
		p.UIDs = append(p.UIDs, writ.UID(fmt.Sprintf("uid-%02d", c.uids)))
	}
	f := c.facts("human/pat")
	f.Authority.Administer = true
	events, _, err := writ.DecidePut(p, f)
	must(c, err)
	c.Record(events...)
}

// Away has somebody decide in a person's place from now on, for a week.
func (c *Company) Away(from, to writ.Ref) {
	c.Helper()
	events, err := writ.DecideDelegate(writ.Delegate{To: to, Until: c.Now.Add(7 * 24 * time.Hour), UID: "del-1"}, c.facts(from))
	must(c, err)
	c.Record(events...)
}

// Document returns a document as it is now.
func (c *Company) Document(kind, name string) writ.Document {
	doc, _ := c.dir.Get(kind, name)
	return doc
}

func (c *Company) facts(actor writ.Ref) writ.Facts {
	f := writ.Facts{Now: c.Now, Directory: c.dir, Actor: writ.System}
	if actor != writ.System.Name {
		f.Actor = writ.Party{Name: actor, UID: c.dir.Identities[actor].UID}
	}
	return f
}

// Do makes a decision on a request and records it.
func (c *Company) Do(id writ.ID, actor writ.Ref, cmd writ.Command) writ.Request {
	c.Helper()
	f := c.facts(actor)
	r := c.requests[id]
	f.Verdict = c.judge.Verdict(policy.Query{Terms: r.Terms, Facts: f})
	if cmd, ok := cmd.(writ.Approve); ok {
		f.Nonce = &writ.Nonce{Value: cmd.Evidence.Nonce, Person: f.Actor.UID, Request: id, Digest: r.Digest, Decision: writ.Yes, Until: c.Now.Add(time.Minute)}
	}
	events, err := writ.Decide(r, id, cmd, f)
	must(c, err)
	c.Record(events...)
	return c.requests[id]
}

// Ask has Ann ask for an hour of access for the pipeline, with this reason.
func (c *Company) Ask(id writ.ID, why string) writ.Request {
	c.Helper()
	salt := bytes.Repeat([]byte{9}, 16)
	note, err := writ.Commit(salt, why)
	must(c, err)
	c.Texts[id] = evidence.Text{Name: "why", Salt: salt, Text: why}
	f := c.facts("human/ann")
	for _, id := range slices.Sorted(maps.Keys(c.requests)) {
		if r := c.requests[id]; r.Status.Live() {
			f.Live = append(f.Live, r.Live())
		}
	}
	terms, err := writ.Ask{Subject: "service/ci", Entitlement: "db/deploy", For: writ.Of(time.Hour), Why: note}.Terms(id, f)
	must(c, err)
	f.Verdict = c.judge.Verdict(policy.Query{Terms: terms, Why: &why, Facts: f})
	events, err := writ.Decide(writ.Request{}, id, writ.Submit{Terms: terms}, f)
	must(c, err)
	c.Record(events...)
	return c.requests[id]
}

// Signed returns Sue's signature of a yes to the request.
func (c *Company) Signed(id writ.ID) writ.Evidence {
	c.Helper()
	nonce := []byte("sixteen bytes it is")
	challenge, err := writ.Challenge(nonce, c.requests[id].Digest, writ.Yes)
	must(c, err)
	proof, err := assent.SignSSH(rand.Reader, c.Sue, assent.ApprovalNamespace, challenge[:])
	must(c, err)
	return writ.Evidence{Method: writ.BySSH, Nonce: nonce, Key: c.SueKey.Name, KeyUID: c.SueKey.UID, Proof: proof}
}

// Approve has Max say yes in a session, and Sue with her key.
func (c *Company) Approve(id writ.ID) writ.Request {
	c.Helper()
	r := c.requests[id]
	c.Do(id, "human/max", writ.Approve{Digest: r.Digest})
	return c.Do(id, "human/sue", writ.Approve{Digest: r.Digest, Evidence: c.Signed(id)})
}

// Grant carries an approved request out.
func (c *Company) Grant(id writ.ID) writ.Request {
	c.Helper()
	system := writ.System.Name
	r := c.Do(id, system, writ.BeginGrant{Writ: c.Sign(c.requests[id])})
	b := writ.Granted{Attempt: r.Attempt, Receipt: writ.Receipt{External: "role_" + string(id)}, Seen: writ.Observation{State: writ.Present, Until: r.Until}}
	return c.Do(id, system, writ.ReportGrant{Attempt: b.Attempt, Receipt: b.Receipt, Seen: b.Seen, Signed: c.Deed(b.Deed(r))})
}

// End has Ann release access, and takes it away.
func (c *Company) End(id writ.ID) writ.Request {
	c.Helper()
	c.Do(id, "human/ann", writ.Release{})
	r := c.Do(id, writ.System.Name, writ.BeginRevoke{})
	return c.Gone(r)
}

// Gone reports that access of a request is gone.
func (c *Company) Gone(r writ.Request) writ.Request {
	c.Helper()
	b := writ.Revoked{Attempt: r.Attempt, Seen: writ.Observation{State: writ.Absent}}
	return c.Do(r.ID, writ.System.Name, writ.ReportRevoke{Attempt: b.Attempt, Seen: b.Seen, Signed: c.Deed(b.Deed(r))})
}

// Deed returns the JWS of what was done at a target.
func (c *Company) Deed(d writ.Deed) string {
	c.Helper()
	payload, err := d.Canonical()
	must(c, err)
	return c.seal(evidence.DeedType, payload)
}

// Life is a whole life: asked for, approved, granted, ended.
func (c *Company) Life(id writ.ID) writ.Request {
	c.Helper()
	c.Ask(id, "release 42 of the order service")
	c.Approve(id)
	c.Grant(id)
	return c.End(id)
}

// Sign returns the JWS of an authorized request's writ.
func (c *Company) Sign(r writ.Request) string {
	c.Helper()
	o, err := r.Order()
	must(c, err)
	payload, err := o.Canonical()
	must(c, err)
	return c.Seal(payload)
}

// Seal returns the JWS of any payload as a writ.
func (c *Company) Seal(payload []byte) string {
	c.Helper()
	return c.seal(evidence.WritType, payload)
}

func (c *Company) seal(typ jose.ContentType, payload []byte) string {
	c.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: c.Writs}, (&jose.SignerOptions{}).WithType(typ))
	must(c, err)
	signed, err := s.Sign(payload)
	must(c, err)
	text, err := signed.CompactSerialize()
	must(c, err)
	return text
}

// Record appends events to the ledger as they are: tests forge with it, too.
func (c *Company) Record(events ...writ.Event) {
	c.Helper()
	var records [][]byte
	for _, e := range events {
		record, err := writ.Encode(e)
		must(c, err)
		back, err := writ.Decode(record)
		must(c, err)
		c.records = append(c.records, evidence.Entry{Pos: int64(len(c.records)), Record: record, Event: back})
		records = append(records, record)
		if !e.OfDocument() && e.Stream != writ.LedgerStream {
			if next, err := c.requests[writ.ID(e.Stream)].Apply(back); err == nil {
				c.requests[writ.ID(e.Stream)] = next
			}
		}
	}
	var err error
	c.dir, err = c.dir.With(events...)
	must(c, err)
	edge, tiles, err := c.edge.Append(records)
	must(c, err)
	c.edge = edge
	for _, t := range tiles {
		c.tiles[[2]int64{int64(t.Level), t.N}] = bytes.Clone(t.Hashes)
	}
	signed, err := c.Signer.Sign(edge.Size(), edge.Root())
	must(c, err)
	c.Notes = append(c.Notes, signed)
	c.Now = c.Now.Add(time.Minute)
}

// Keys are what evidence is held against.
func (c *Company) Keys() evidence.Keys { return evidence.Keys{Log: c.Signer.VerifierKey()} }

// Request returns a request as it is now.
func (c *Company) Request(id writ.ID) writ.Request { return c.requests[id] }

// Tile returns a tile of the ledger.
func (c *Company) Tile(_ context.Context, level int, n int64) ([]byte, error) {
	return c.tiles[[2]int64{int64(level), n}], nil
}

// Checkpoint returns the newest.
func (c *Company) Checkpoint(context.Context) (string, error) {
	return c.Notes[len(c.Notes)-1], nil
}

// Entries returns records of the ledger.
func (c *Company) Entries(_ context.Context, from, to int64) (out [][]byte, err error) {
	for _, e := range c.records[min(from, int64(len(c.records))):min(to, int64(len(c.records)))] {
		out = append(out, e.Record)
	}
	return out, nil
}

// Events returns the history of a stream.
func (c *Company) Events(_ context.Context, stream string) (out []evidence.Entry, err error) {
	for _, e := range c.records {
		if e.Event.Stream == stream {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b evidence.Entry) int { return cmp.Compare(a.Event.Seq, b.Event.Seq) })
	return out, nil
}

// Streams returns the documents of a kind that there ever were.
func (c *Company) Streams(_ context.Context, kind string) (out []string, err error) {
	for _, e := range c.records {
		if e.Event.OfDocument() && strings.HasPrefix(e.Event.Stream, kind+":") && !slices.Contains(out, e.Event.Stream) {
			out = append(out, e.Event.Stream)
		}
	}
	return out, nil
}
