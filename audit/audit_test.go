package audit_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writhq/writ"
	"github.com/writhq/writ/audit"
	"github.com/writhq/writ/evidence/evidencetest"
)

// TestPublishedSampleSizes holds sizes against the tables of AICPA's audit
// sampling guide, and those of finite populations against hypergeometric ones.
func TestPublishedSampleSizes(t *testing.T) {
	for _, d := range []struct {
		confidence, tolerable, expected string
		population, size, deviations    int64
	}{
		{"95", "5", "0", 0, 59, 0},
		{"95", "10", "0", 0, 29, 0},
		{"90", "5", "0", 0, 45, 0},
		{"90", "10", "0", 0, 22, 0},
		{"95", "2", "0", 0, 149, 0},
		{"95", "3", "0", 0, 99, 0},
		{"95", "5", "0.25", 0, 93, 1},
		{"95", "5", "1", 0, 93, 1},
		{"95", "5", "1.5", 0, 124, 2},
		{"95", "5", "2", 0, 181, 4},
		{"95", "10", "1", 0, 46, 1},
		{"90", "5", "1", 0, 77, 1},
		{"95", "5", "0", 50, 31, 0},
		{"95", "5", "0", 100, 45, 0},
		{"95", "5", "0", 500, 56, 0},
		{"95", "5", "0", 1000, 57, 0},
		{"95", "5", "0", 5000, 59, 0},
		{"95", "5", "0", 3, 3, 0},
		{"95", "5", "0", 1, 1, 0},
	} {
		size, deviations, err := audit.Plan{Confidence: d.confidence, Tolerable: d.tolerable, Expected: d.expected}.Size(d.population)
		if err != nil || size != d.size || deviations != d.deviations {
			t.Errorf("%s/%s/%s of %d: %d with %d deviations, want %d with %d: %v", d.confidence, d.tolerable, d.expected, d.population, size, deviations, d.size, d.deviations, err)
		}
	}
	for _, bad := range []audit.Plan{
		{"100", "5", "0"}, {"95", "0", "0"}, {"95", "5", "5"}, {"95", "5", "-1"}, {"x", "5", "0"}, {"95", "", "0"}, {"95", "5", "4.99"},
	} {
		if size, _, err := bad.Size(0); !errors.Is(err, writ.Invalid) {
			t.Errorf("%v: %d, %v", bad, size, err)
		}
	}
}

func period(t testing.TB, c *evidencetest.Company, from, to int) audit.Period {
	t.Helper()
	out := audit.Period{From: audit.Start()}
	for i, n := range []int{from, to} {
		if n < 0 {
			continue
		}
		p, err := audit.At(c.Notes[n], c.Keys().Log)
		if err != nil {
			t.Fatal(err)
		}
		*[]*audit.Point{&out.From, &out.To}[i] = p
	}
	return out
}

func find(t testing.TB, c *evidencetest.Company, p audit.Period) audit.Population {
	t.Helper()
	out, err := audit.Find(t.Context(), c, p)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func ids(p []audit.Item) (out []string) {
	for _, item := range p {
		out = append(out, string(item.Request))
	}
	return out
}

// TestPopulationIsEveryLifeThatTouches: over before is out, asked for later is
// out, and everything between is in, also what only lasted.
func TestPopulationIsEveryLifeThatTouches(t *testing.T) {
	c := evidencetest.New(t)
	c.Life("req-before")
	c.Ask("req-denied", "no")
	c.Ask("req-lasting", "release 1 of the order service")
	c.Approve("req-lasting")
	c.Grant("req-lasting")
	c.Ask("req-waiting", "release 2 of the order service")
	from := len(c.Notes) - 1
	c.Life("req-within")
	c.Ask("req-denied-within", "no")
	to := len(c.Notes) - 1
	c.End("req-lasting")
	c.Life("req-after")
	p := find(t, c, period(t, c, from, to))
	if diff := cmp.Diff([]string{"req-lasting", "req-waiting", "req-within", "req-denied-within"}, ids(p.Requests)); diff != "" {
		t.Errorf("the population is another:\n%s", diff)
	}
	if whole := find(t, c, period(t, c, -1, len(c.Notes)-1)); len(whole.Requests) != 7 {
		t.Errorf("of the whole ledger there are %v", ids(whole.Requests))
	}
	if _, err := audit.Find(t.Context(), c, period(t, c, to, from)); !errors.Is(err, writ.Invalid) {
		t.Errorf("a period that ends before it begins: %v", err)
	}
}

// without is a ledger that leaves out or changes a record.
type without struct {
	*evidencetest.Company
	change func(pos int64, record []byte) []byte
}

func (w without) Entries(ctx context.Context, from, to int64) (out [][]byte, err error) {
	all, err := w.Company.Entries(ctx, from, to)
	for i, record := range all {
		if record = w.change(from+int64(i), record); record != nil {
			out = append(out, record)
		}
	}
	return out, err
}

// TestNothingCanBeLeftOut: a record that is missing, changed or there twice
// gives no population at all.
func TestNothingCanBeLeftOut(t *testing.T) {
	c := evidencetest.New(t)
	c.Life("req-1")
	c.Life("req-2")
	p := period(t, c, 3, len(c.Notes)-1)
	for name, change := range map[string]func(int64, []byte) []byte{
		"a request left out": func(_ int64, r []byte) []byte {
			if strings.Contains(string(r), `"stream":"req-1"`) {
				return nil
			}
			return r
		},
		"the end left out": func(pos int64, r []byte) []byte {
			if pos == p.To.Size-1 {
				return nil
			}
			return r
		},
		"a record changed": func(pos int64, r []byte) []byte {
			if pos == 14 {
				return []byte(strings.Replace(string(r), "2026", "2027", 1))
			}
			return r
		},
	} {
		if found, err := audit.Find(t.Context(), without{c, change}, p); err == nil {
			t.Errorf("%s: found %v", name, ids(found.Requests))
		}
	}
}

const nonce = "a nonce that nobody could guess"

func commit(t testing.TB, c *evidencetest.Company, nonce string) {
	t.Helper()
	hash, err := audit.Commit(nonce)
	if err != nil {
		t.Fatal(err)
	}
	c.Record(writ.Event{Stream: writ.LedgerStream, Seq: 2, At: c.Now, Actor: writ.System, Body: writ.AuditCommitted{Hash: hash}})
}

// TestDrawIsAsDocumented draws as docs/reference/evidence.md says, written anew.
func TestDrawIsAsDocumented(t *testing.T) {
	c := evidencetest.New(t)
	commit(t, c, nonce)
	for i := range 20 {
		c.Ask(writ.ID(fmt.Sprintf("req-%02d", i)), "no")
	}
	p := find(t, c, period(t, c, -1, len(c.Notes)-1))
	got, err := p.Draw(nonce, 7)
	if err != nil {
		t.Fatal(err)
	}
	key := sha256.Sum256([]byte(string(p.Period.To.Root[:]) + nonce))
	left, want := ids(p.Requests), []string{}
	for i := uint64(0); len(want) < 7; i++ {
		mac := hmac.New(sha256.New, key[:])
		mac.Write(binary.BigEndian.AppendUint64(nil, i))
		x, m := binary.BigEndian.Uint64(mac.Sum(nil)), uint64(len(left)-len(want))
		if x >= math.MaxUint64/m*m {
			continue // one in 2^59: the numbers that are refused are not worth telling from their neighbour
		}
		k, j := len(want), len(want)+int(x%m)
		left[k], left[j] = left[j], left[k]
		want = append(want, left[k])
	}
	if diff := cmp.Diff(want, ids(got)); diff != "" {
		t.Errorf("drawn otherwise than documented:\n%s", diff)
	}
	again, err := p.Draw(nonce, 7)
	if err != nil || !slices.Equal(ids(again), ids(got)) {
		t.Errorf("drawn again: %v, %v", ids(again), err)
	}
	all, err := p.Draw(nonce, 100)
	if err != nil || len(all) != 20 {
		t.Errorf("of 20, 100 were drawn: %d, %v", len(all), err)
	}
}

// TestNonceIsCommittedBefore refuses a nonce that was chosen too late.
func TestNonceIsCommittedBefore(t *testing.T) {
	c := evidencetest.New(t)
	c.Ask("req-1", "no")
	before := len(c.Notes) - 1
	commit(t, c, nonce)
	for to, want := range map[int]writ.Fault{before: writ.Conflict, len(c.Notes) - 1: ""} {
		_, err := find(t, c, period(t, c, -1, to)).Draw(nonce, 1)
		if want == "" && err != nil || want != "" && !errors.Is(err, want) {
			t.Errorf("up to note %d: %v", to, err)
		}
	}
	if _, err := find(t, c, period(t, c, -1, len(c.Notes)-1)).Draw(nonce+"!", 1); !errors.Is(err, writ.Conflict) {
		t.Errorf("another nonce: %v", err)
	}
	if _, err := audit.Commit("short"); !errors.Is(err, writ.Invalid) {
		t.Errorf("a nonce that can be guessed: %v", err)
	}
}

// TestAttributes plants what the rules do not let happen, by writing to the
// ledger past them, and finds each for what it is.
func TestAttributes(t *testing.T) {
	for _, d := range []struct {
		name string
		do   func(*evidencetest.Company)
		want map[string]string // attribute: part of why
	}{
		{"a good life", func(c *evidencetest.Company) { c.Life("req-1") }, nil},
		{"revoked late", func(c *evidencetest.Company) {
			c.Ask("req-1", "release 42 of the order service")
			c.Approve("req-1")
			c.Grant("req-1")
			c.Do("req-1", "human/ann", writ.Release{})
			c.Now = c.Now.Add(time.Hour)
			r := c.Do("req-1", writ.System.Name, writ.BeginRevoke{})
			c.Gone(r)
		}, map[string]string{audit.Revoked: "was seen to be gone"}},
		{"never revoked", func(c *evidencetest.Company) {
			c.Ask("req-1", "release 42 of the order service")
			c.Approve("req-1")
			c.Grant("req-1")
			c.Now = c.Now.Add(3 * time.Hour)
			c.Ask("req-2", "no")
		}, map[string]string{audit.Revoked: "is not known to be gone"}},
		{"approved by who asked", func(c *evidencetest.Company) {
			r := c.Ask("req-1", "release 42 of the order service")
			c.Record(writ.Event{Stream: "req-1", Seq: 2, At: c.Now, Actor: r.Terms.Requester, Body: writ.Approved{Stage: "manager", Digest: r.Digest}})
		}, map[string]string{audit.Eligible: "was not asked there", audit.Independent: "it is theirs"}},
		{"approved other terms", func(c *evidencetest.Company) {
			c.Ask("req-1", "release 42 of the order service")
			max := c.Document("identity", "human/max").(writ.Identity).Party()
			c.Record(writ.Event{Stream: "req-1", Seq: 2, At: c.Now, Actor: max, Body: writ.Approved{Stage: "manager", Digest: "sha256:0"}})
		}, map[string]string{audit.SameTerms: "human/max approved sha256:0"}},
		{"granted without approval, too long, without a writ, by nobody", func(c *evidencetest.Company) {
			r := c.Ask("req-1", "release 42 of the order service")
			ann := c.Document("identity", "human/ann").(writ.Identity)
			ann.State = "disabled"
			c.Put(ann)
			c.Record(writ.Event{Stream: "req-1", Seq: 2, At: c.Now, Actor: writ.System, Body: writ.Authorized{From: c.Now, Until: c.Now.Add(2 * r.Terms.For.Std())}})
			c.Record(writ.Event{Stream: "req-1", Seq: 3, At: c.Now, Actor: writ.System, Body: writ.GrantBegun{Attempt: 1, Writ: "eyJ.x.y"}})
		}, map[string]string{audit.Approved: "without the approvals of stage manager", audit.Limits: "its terms say 1h", audit.SameTerms: "no signature of the type writ+jws", audit.Owner: "nobody active answered"}},
		{"out of order", func(c *evidencetest.Company) {
			c.Ask("req-1", "release 42 of the order service")
			c.Record(writ.Event{Stream: "req-1", Seq: 2, At: c.Now, Actor: writ.System, Body: writ.Revoked{}})
		}, map[string]string{audit.History: "revoked cannot follow"}},
	} {
		t.Run(d.name, func(t *testing.T) { found(t, d.do, d.want) })
	}
}

func found(t *testing.T, do func(*evidencetest.Company), want map[string]string) {
	c := evidencetest.New(t)
	do(c)
	p := find(t, c, period(t, c, -1, len(c.Notes)-1))
	result, err := audit.Test(t.Context(), c, p, writ.Of(15*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range result.Failures {
		why, expected := want[f.Attribute]
		if !expected {
			t.Errorf("%s of %s failed: %s", f.Attribute, f.Request, f.Why)
		} else if strings.Contains(f.Why, why) {
			want[f.Attribute] = ""
		}
	}
	for attribute, why := range want {
		if why != "" {
			t.Errorf("%s did not fail with %q: %v", attribute, why, result.Failures)
		}
	}
	for _, a := range result.Attributes {
		if _, expected := want[a.Name]; expected != (a.Failed > 0) || a.Failed > a.Tested {
			t.Errorf("%s was tested %d times and failed %d times", a.Name, a.Tested, a.Failed)
		}
	}
}
