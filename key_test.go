package writ

import (
	"testing"
	"time"
)

func TestKeysAreTheirPersonsOwn(t *testing.T) {
	w := newWorld()
	key := func(name string) Key {
		return Key{Header: Header{Kind: "key", Name: name}, Method: BySSH, Public: "ssh-ed25519 AAAA", Identity: cyd, Enrolled: monday.Add(-1000 * time.Hour)}
	}
	enrol := func(by Ref, k Key) error {
		c, f := enrolling(w, by, k.Name)
		c.Key = k
		events, err := DecideEnrol(c, f)
		return w.learn(events, err)
	}
	if err := enrol(ann, key("k1")); err != nil {
		t.Fatal(err)
	}
	if k := w.dir.Keys["k1"]; k.Party() != w.party(ann) || !k.Enrolled.Equal(monday) {
		t.Errorf("whoever enrols it has it, from then on; got %s since %s", k.Identity, k.Enrolled)
	}
	refused(t, "twice", enrol(ann, key("k1")), Conflict, "enrolled already")
	refused(t, "somebody else's", enrol(cyd, key("k1")), Conflict, "somebody else's")
	refused(t, "a machine's", enrol(ci, key("k2")), Forbidden, "only a person")
	weak := key("k2")
	weak.Method = BySession
	refused(t, "no key's method", enrol(ann, weak), Invalid, "not ssh or passkey")
	bare := key("k2")
	bare.Method = ByPasskey
	refused(t, "a passkey without its credential", enrol(ann, bare), Invalid, "too little")

	_, err := w.put(gus, `{"kind":"key","name":"k3","identity":"human/ann","identityUid":"x","method":"ssh","public":"x","enrolled":"2020-01-01T00:00:00Z"}`)
	refused(t, "an administrator", err, Forbidden, "its person enrols it")
	_, err = w.change(gus, Put{Remove: []Header{{Kind: "key", Name: "k1"}}})
	refused(t, "an administrator", err, Forbidden, "its person enrols it")
	_, err = w.change(gus, Put{Remove: []Header{{Kind: "identity", Name: "human/ann"}}})
	refused(t, "whose keys are there", err, Invalid, "human/ann")

	for _, by := range []Ref{cyd, ivy, ci} {
		_, err := DecideDisenrol("k1", w.facts(by, ""))
		refused(t, string(by), err, NotFound, "you have no key")
	}
	for _, by := range []Ref{ann, sol, gus} {
		if _, err := DecideDisenrol("k1", w.facts(by, "")); err != nil {
			t.Errorf("%s: %v", by, err)
		}
	}
	events, err := DecideDisenrol("k1", w.facts(ann, ""))
	if err := w.learn(events, err); err != nil || len(w.dir.KeysOf(w.party(ann))) != 0 {
		t.Errorf("it is still there (%v)", err)
	}
	if err := enrol(ann, key("k1")); err != nil {
		t.Errorf("again: %v", err)
	}
}
