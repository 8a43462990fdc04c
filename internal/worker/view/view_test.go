package view

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/ledger"
)

// A log is a ledger that whoever tests can forge.
type log struct {
	signer  *ledger.Signer
	records [][]byte
	signed  [][]byte // what checkpoints are of
	reads   int
	down    error
}

func newLog(t testing.TB) *log {
	t.Helper()
	s, err := ledger.NewSigner("writ.test", make([]byte, ed25519.SeedSize))
	if err != nil {
		t.Fatal(err)
	}
	return &log{signer: s}
}

func (l *log) add(t testing.TB, stream string, seq int, b writ.Body) {
	t.Helper()
	record, err := writ.Encode(writ.Event{Stream: stream, Seq: seq, At: time.Unix(int64(len(l.records)), 0).UTC(), Actor: writ.System, Body: b})
	if err != nil {
		t.Fatal(err)
	}
	l.records, l.signed = append(l.records, record), append(l.signed, record)
}

func (l *log) document(t testing.TB, seq int, kind, name, content string) {
	l.add(t, kind+":"+name, seq, writ.Changed{Of: kind, Name: name, UID: writ.UID("uid-" + name), Content: []byte(content)})
}

func (l *log) Checkpoint(context.Context) (string, error) {
	l.reads++
	edge, _, err := ledger.Edge{}.Append(l.signed)
	if err != nil {
		return "", err
	}
	note, err := l.signer.Sign(edge.Size(), edge.Root())
	return note, errors.Join(err, l.down)
}

func (l *log) Entries(_ context.Context, from, to int64) ([][]byte, error) {
	return slices.Clone(l.records[min(from, int64(len(l.records))):min(to, int64(len(l.records)))]), l.down
}

func life(t testing.TB) *log {
	l := newLog(t)
	l.add(t, writ.LedgerStream, 1, writ.Opened{Origin: "writ.test"})
	l.document(t, 1, "identity", "human/ann", `{"kind":"identity","name":"human/ann"}`)
	for n := range 3 {
		id := fmt.Sprintf("req-%d", n)
		l.add(t, id, 1, writ.Submitted{Terms: writ.Terms{Request: writ.ID(id)}})
		l.add(t, id, 2, writ.Authorized{Serial: "writ-" + id})
	}
	return l
}

func TestViewFollowsTheLedger(t *testing.T) {
	l := life(t)
	v := New(l, l.signer.VerifierKey())
	if err := v.Catch(t.Context()); err != nil || v.Size() != 8 {
		t.Fatalf("size %d: %v", v.Size(), err)
	}
	if _, ok := v.Directory().Identities["human/ann"]; !ok {
		t.Error("a document is missing")
	}
	r, err := v.Request("req-1", l.records[4:6])
	if err != nil || r.Status != writ.StatusAuthorized {
		t.Errorf("%s: %v", r.Status, err)
	}
	for name, records := range map[string][][]byte{
		"one event less": l.records[4:5], "others": l.records[2:4], "in another order": {l.records[5], l.records[4]}, "none": nil,
		"changed": {l.records[4], []byte(strings.Replace(string(l.records[5]), "req-1", "req-2", 1))},
	} {
		if _, err := v.Request("req-1", records); err == nil {
			t.Errorf("%s: it is believed", name)
		}
	}
	l.add(t, "req-1", 3, writ.Ended{Cause: writ.CutOff})
	if err := v.Catch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Request("req-1", l.records[4:6]); err == nil {
		t.Error("a request that is over leads to access")
	}
}

// TestViewSeesThroughForgery (T5): what was read once cannot be changed behind it,
// and what is read the first time has to have the root that was signed.
func TestViewSeesThroughForgery(t *testing.T) {
	for name, forge := range map[string]func(*log){
		"a record that was changed": func(l *log) {
			l.records[9] = []byte(strings.Replace(string(l.records[9]), "writ-req-9", "writ-req-8", 1))
		},
		"records that are gone": func(l *log) { l.records = l.records[:9] },
		"records out of order":  func(l *log) { l.records[8], l.records[9] = l.records[9], l.records[8] },
		"an older copy":         func(l *log) { l.records, l.signed = l.records[:4], l.signed[:4] },
		"another history": func(l *log) {
			l.records[3], l.records[5] = l.records[5], l.records[3]
			l.signed = slices.Clone(l.records)
		},
		"no JSON": func(l *log) { l.records[9] = []byte("{") },
		"signed by another": func(l *log) {
			l.signer, _ = ledger.NewSigner("writ.test", []byte(strings.Repeat("x", ed25519.SeedSize)))
		},
	} {
		l := life(t)
		v := New(l, l.signer.VerifierKey())
		if err := v.Catch(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.add(t, "req-9", 1, writ.Submitted{Terms: writ.Terms{Request: "req-9"}})
		l.add(t, "req-9", 2, writ.Authorized{Serial: "writ-req-9"})
		whole := *l
		whole.records, whole.signed = slices.Clone(l.records), slices.Clone(l.signed)
		forge(l)
		if err := v.Catch(t.Context()); !errors.Is(err, ErrBroken) {
			t.Errorf("%s: %v", name, err)
		}
		*l = whole
		if err := v.Catch(t.Context()); !errors.Is(err, ErrBroken) {
			t.Errorf("%s: it is believed again: %v", name, err)
		}
	}
}

// TestViewThatCannotBeReadIsNotBroken: a database that is down proves nothing.
func TestViewThatCannotBeReadIsNotBroken(t *testing.T) {
	l := life(t)
	v := New(l, l.signer.VerifierKey())
	l.down = errors.New("down")
	if err := v.Catch(t.Context()); err == nil || errors.Is(err, ErrBroken) {
		t.Errorf("got %v", err)
	}
	l.down = nil
	if err := v.Catch(t.Context()); err != nil || v.Size() != 8 {
		t.Errorf("size %d: %v", v.Size(), err)
	}
}

func TestManyCatchUpTogether(t *testing.T) {
	l := life(t)
	v := New(l, l.signer.VerifierKey())
	var all sync.WaitGroup
	v.reading.Lock() // nobody begins before all are there
	for range 50 {
		all.Go(func() {
			if err := v.Catch(t.Context()); err != nil || v.Size() != 8 {
				t.Errorf("size %d: %v", v.Size(), err)
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	v.reading.Unlock()
	all.Wait()
	if l.reads > 5 {
		t.Errorf("%d reads for 50 who came at once", l.reads)
	}
}

func TestKeysStayKnownWhenTheyAreTakenAway(t *testing.T) {
	l := life(t)
	l.document(t, 1, "key", "k1", `{"kind":"key","name":"k1","identity":"human/ann","identityUid":"uid-human/ann","method":"ssh","public":"x","enrolled":"2026-11-02T09:00:00Z"}`)
	l.add(t, "key:k1", 2, writ.Removed{Of: "key", Name: "k1", UID: "uid-k1"})
	v := New(l, l.signer.VerifierKey())
	if err := v.Catch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if k, ok := v.Key("k1", "uid-k1"); !ok || k.Identity != "human/ann" || len(v.Directory().Keys) != 0 {
		t.Errorf("%+v", k)
	}
	if _, ok := v.Key("k2", "uid-k1"); ok {
		t.Error("a key under another name")
	}
}

func TestBears(t *testing.T) {
	l := life(t)
	v := New(l, l.signer.VerifierKey())
	if err := v.Catch(t.Context()); err != nil {
		t.Fatal(err)
	}
	read := func(extra ...writ.Document) *writ.Directory {
		return writ.NewDirectory(append(v.Directory().All(), extra...)...)
	}
	if err := v.Bears(read()); err != nil {
		t.Error(err)
	}
	ann := v.Directory().Identities["human/ann"]
	ann.Manager = "human/eve"
	for name, dir := range map[string]*writ.Directory{
		"a document that was changed": read(ann),
		"one too many":                read(writ.Group{Header: writ.Header{Kind: "group", Name: "g"}}),
		"one too few":                 writ.NewDirectory(),
	} {
		if v.Bears(dir) == nil {
			t.Errorf("%s is believed", name)
		}
	}
}
