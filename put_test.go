package writ

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const shift = `{"kind":"group","name":"shift","members":["human/ann"]}`

func TestPutWho(t *testing.T) {
	for _, by := range []Ref{dee, ann, sol, ci, writ} {
		_, err := newWorld().put(by, shift)
		refused(t, string(by), err, Forbidden, "may not change documents; policy names who administers")
	}
}

// TestPutVersions: each change is the next version of the same document, and
// what is as it was changes nothing.
func TestPutVersions(t *testing.T) {
	w := newWorld()
	head := func() Header {
		doc, ok := w.dir.Get("group", "shift")
		if !ok {
			t.Fatal("there is no group shift")
		}
		return doc.Head()
	}
	must(t)(w.put(gus, shift))
	first := head()
	if first.Version != 1 || first.UID == "" || first.Digest == "" {
		t.Errorf("new: %+v", first)
	}
	if events, err := w.put(gus, `{"name":"shift","members":["human/ann"],"kind":"group","title":""}`); err != nil || len(events) > 0 {
		t.Errorf("as it was: got %v, %v", events, err)
	}
	must(t)(w.put(gus, `{"kind":"group","name":"shift","version":1,"members":["human/ben"]}`))
	if w.dir.In(ann, "group/shift") || !w.dir.In("human/ben", "group/shift") {
		t.Error("who is in the group is as before")
	}
	if h := head(); h.Version != 2 || h.UID != first.UID || h.Digest == first.Digest {
		t.Errorf("changed: %+v, was %+v", h, first)
	}
	for text, says := range map[string]string{
		`{"kind":"group","name":"shift","version":1,"members":[]}`:        "group shift is at version 2, not 1; read it again",
		`{"kind":"group","name":"shift","uid":"another","members":[]}`:    "group shift is another one than another by now",
		`{"kind":"group","name":"nightshift","version":1,"members":[]}`:   "group nightshift is no more; leave out uid and version to make another",
		`{"kind":"group","name":"nightshift","uid":"uid-1","members":[]}`: "group nightshift is no more; leave out uid and version to make another",
	} {
		_, err := w.put(gus, text)
		refused(t, text, err, Stale, says)
	}
}

// TestPutIsAllOrNothing: documents may name each other in any order, and one
// that is refused takes all with it.
func TestPutIsAllOrNothing(t *testing.T) {
	w := newWorld()
	must(t)(w.put(gus, `{"kind":"group","name":"new","members":["human/new"]}`, `{"kind":"identity","name":"human/new"}`))
	before := w.dir
	_, err := w.put(gus, shift, `{"kind":"group","name":"bad","members":["human/nobody"]}`)
	refused(t, "one of two", err, Invalid, "there is no human/nobody")
	if _, ok := w.dir.Get("group", "shift"); ok || w.dir != before {
		t.Error("the other of the two is there")
	}
	_, _, err = DecidePut(Put{Documents: []Document{Group{}}}, w.facts(gus, ""))
	refused(t, "without a UID", err, Invalid, "each document needs one")
}

// TestRemoveLeavesNothingBehind: what others still name is not removed.
func TestRemoveLeavesNothingBehind(t *testing.T) {
	for _, c := range []struct {
		kind, name string
		fault      Fault
		says       string
	}{
		{"group", "nobody", NotFound, `there is no group "nobody"`},
		{"identity", "human/dee", Invalid, "there is no human/dee"},
		{"identity", "human/ben", Invalid, "group security: members: there is no human/ben"},
		{"group", "release", Invalid, "identity service/ci: askers: there is no group/release"},
		{"target", "db", Invalid, `target "db" must exist`},
	} {
		w := newWorld()
		_, err := w.change(gus, Put{Remove: []Header{{Kind: c.kind, Name: c.name}}})
		refused(t, c.kind+" "+c.name, err, c.fault, c.says)
	}
	w := newWorld()
	must(t)(w.put(gus, shift, `{"kind":"policy","name":"p","source":"x"}`))
	all := Put{Remove: []Header{
		{Kind: "group", Name: "shift"}, {Kind: "policy", Name: "p"}, {Kind: "target", Name: "db"},
		{Kind: "entitlement", Name: "db/deploy"}, {Kind: "entitlement", Name: "db/readers"}, {Kind: "entitlement", Name: "db/tunnel"},
	}}
	must(t)(w.change(gus, all))
	for _, h := range all.Remove {
		if _, ok := w.dir.Get(h.Kind, h.Name); ok {
			t.Errorf("%s %s is still there", h.Kind, h.Name)
		}
	}
	if w.dir.In(ann, "group/shift") {
		t.Error("and who was in it still is")
	}
}

// TestANameMadeAgainIsAnother: it has another UID and gets nothing that was
// meant for the first, L12; and its events go on where the first's ended.
func TestANameMadeAgainIsAnother(t *testing.T) {
	w := in(t, StatusAuthorized, deploy)
	was := w.dir.Identities[ci]
	doc := was.withHead(Header{Kind: "identity", Name: "service/ci"})
	events, err := w.change(gus, Put{Documents: []Document{doc}, Remove: []Header{doc.Head()}})
	must(t)(events, err)
	now := w.dir.Identities[ci]
	if now.UID == was.UID || now.Version != 3 || events[0].Seq != 2 || events[1].Seq != 3 {
		t.Errorf("made again: %+v, was %+v", now.Header, was.Header)
	}
	if _, ok := w.dir.Who(was.Party()); ok {
		t.Error("the first is somebody still")
	}
	must(t)(w.do(writ, "req-a", BeginGrant{Writ: "jws"}))
	wantEnd(t, "made again", w, IdentityRetired, "")
}

// TestDirectoryIsItsEvents changes documents at random and replays the events
// from their bytes: the directory must be the same, and what was shared before
// must not have changed.
func TestDirectoryIsItsEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		w.dir = NewDirectory()
		var stored [][]byte
		var snapshots []*Directory
		var pictures []string
		for range rapid.IntRange(1, 12).Draw(t, "changes") {
			events, err := w.change(gus, drawPut(t))
			if err != nil {
				continue
			}
			for _, e := range events {
				data, err := Encode(e)
				if err != nil {
					t.Fatal(err)
				}
				stored = append(stored, data)
			}
			snapshots, pictures = append(snapshots, w.dir), append(pictures, picture(w.dir))
		}
		again := NewDirectory()
		for _, data := range stored {
			e, err := Decode(data)
			if err == nil {
				again, err = again.With(e)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(picture(w.dir), picture(again)); diff != "" {
			t.Fatalf("replayed from its bytes it is another:\n%s", diff)
		}
		for i, d := range snapshots {
			if picture(d) != pictures[i] {
				t.Fatalf("the directory after change %d was changed later", i)
			}
		}
	})
}

// TestDirectoriesBranch: two changes of one directory, of which at most one
// comes to be, know nothing of each other.
func TestDirectoriesBranch(t *testing.T) {
	group := func(name string) string { return `{"kind":"group","name":"` + name + `","members":["human/ann"]}` }
	w := newWorld()
	must(t)(w.put(gus, group("a"), group("b"), group("c")))
	one, two := w.with(group("one")), w.with(group("two"))
	if !one.In(ann, "group/one") || one.In(ann, "group/two") || two.In(ann, "group/one") || !two.In(ann, "group/two") {
		t.Errorf("groups: %v and %v", one.GroupsOf(ann), two.GroupsOf(ann))
	}
}

func picture(d *Directory) string {
	text, err := json.Marshal([]any{d.All(), d.member, d.seqs})
	return fmt.Sprint(string(text), err)
}

// drawPut draws a change of a few people and groups.
func drawPut(t *rapid.T) (c Put) {
	person := rapid.SampledFrom([]Ref{"human/a", "human/b", "human/c"})
	group := rapid.SampledFrom([]string{"x", "y"})
	for range rapid.IntRange(0, 3).Draw(t, "documents") {
		if rapid.Bool().Draw(t, "person") {
			h := Header{Kind: "identity", Name: string(person.Draw(t, "name"))}
			c.Documents = append(c.Documents, Identity{Header: h, Title: rapid.SampledFrom([]string{"", "<&>"}).Draw(t, "title")})
			continue
		}
		members := rapid.SliceOfN(person, 0, 3).Draw(t, "members")
		c.Documents = append(c.Documents, Group{Header: Header{Kind: "group", Name: group.Draw(t, "name")}, Members: members})
	}
	if rapid.Bool().Draw(t, "remove") {
		c.Remove = []Header{{Kind: "group", Name: group.Draw(t, "removed")}}
	}
	return c
}

func TestDirectoryLooksUp(t *testing.T) {
	d := worldDocuments()
	if got := d.GroupsOf("human/fay2"); fmt.Sprint(got) != "[group/security]" {
		t.Errorf("groups: %v", got)
	}
	for _, c := range []struct {
		refs []Ref
		in   bool
	}{{[]Ref{cyd}, true}, {[]Ref{"group/security"}, true}, {[]Ref{"group/release", ann}, false}, {nil, false}} {
		if d.In(cyd, c.refs...) != c.in {
			t.Errorf("cyd in %v: %t", c.refs, !c.in)
		}
	}
	var names []string
	for _, i := range d.Expand("group/release", fay, "human/nobody", "group/nobody", ann) {
		names = append(names, i.Name)
	}
	if got := strings.Join(names, " "); got != "human/fay service/robot agent/aide human/ann" {
		t.Errorf("expanded: %s", got)
	}
	if d.Answers("", "human/ann") || !d.Answers(eli, ci) || d.Answers(ann, ci) || d.Answers(dee, "service/nobody") {
		t.Error("who answers for whom")
	}
	if got := len(d.All()); got != 22 {
		t.Errorf("%d documents", got)
	}
	for _, doc := range d.All() {
		if back, ok := d.Get(doc.Head().Kind, doc.Head().Name); !ok || back.Head() != doc.Head() {
			t.Errorf("%s %s is not there", doc.Head().Kind, doc.Head().Name)
		}
	}
	if _, ok := d.Get("role", "x"); ok {
		t.Error("there is a role")
	}
}

// TestSpeaks: a token speaks for one active identity, or for nobody.
func TestSpeaks(t *testing.T) {
	d := newWorld().with(
		`{"kind":"identity","name":"human/new","accounts":[{"issuer":"https://i","subject":"new"},{"issuer":"https://i","subject":"new2"}]}`,
		`{"kind":"identity","name":"service/new","owner":"human/ann","accounts":[{"issuer":"https://ci","claims":{"project":"7","branch":"main"}}]}`,
		`{"kind":"identity","name":"service/twin","owner":"human/ann","accounts":[{"issuer":"https://ci","subject":"both","claims":{"project":"7"}}]}`,
		`{"kind":"identity","name":"human/old","state":"disabled","accounts":[{"issuer":"https://i","subject":"old"}]}`,
	)
	claims := map[string]string{"project": "7", "branch": "main"}
	for _, c := range []struct {
		issuer, subject string
		claims          map[string]string
		want            Ref
		says            string
	}{
		{"https://i", "new", nil, "human/new", ""},
		{"https://i", "new2", nil, "human/new", ""},
		{"https://i", "NEW", nil, "", "no identity has an account"},
		{"https://j", "new", nil, "", "no identity has an account"},
		{"https://i", "", nil, "", "no identity has an account"},
		{"https://ci", "any", claims, "service/new", ""},
		{"https://ci", "any", map[string]string{"project": "7"}, "", "no identity has an account"},
		{"https://ci", "both", claims, "", "matches 2 identities; make their accounts exact"},
		{"https://i", "old", nil, "", "human/old is disabled"},
	} {
		got, err := d.Speaks(c.issuer, c.subject, func(name string) string { return c.claims[name] })
		if c.says == "" && (err != nil || got.Ref() != c.want) || c.says != "" && (!errors.Is(err, Unauthenticated) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s %s: got %s, %v", c.issuer, c.subject, got.Name, err)
		}
	}
}
