package writ

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLives tells the stories of testdata/lives. A story is a conversation:
//
//	# what it is about
//
//	human/fay: submit a db/deploy for=24h schema=app
//	----
//	submitted lapseAt=+7d
//	pending; lapse at +7d
//
// Above the line stands what somebody says, below it what came of it: the
// events or the refusal, and then what the request is and waits for. With
// -update the answers are written anew, and the diff is read. The words are
// those of tongue_test.go; the people and the database are in world.json.
func TestLives(t *testing.T) {
	files, err := filepath.Glob("testdata/lives/*.txt")
	if err != nil || len(files) < 15 {
		t.Fatalf("%d stories, %v", len(files), err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			told, s := tell(string(text))
			golden(t, strings.TrimPrefix(name, "testdata/"), told)
			for id, p := range s.requests {
				if err := p.history.audit(p.Request); err != nil {
					t.Errorf("%s: %v", id, err)
				}
			}
		})
	}
}

// tell answers everything that is said in a story.
func tell(text string) (string, *story) {
	s := &story{newWorld()}
	var out []string
	for block := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		said, _, _ := strings.Cut(block+"\n", "----\n")
		said = strings.TrimSuffix(said, "\n")
		if !strings.HasPrefix(said, "#") {
			said += "\n----\n" + s.answer(said)
		}
		out = append(out, said)
	}
	return strings.Join(out, "\n\n") + "\n", s
}

type story struct{ *world }

// answer does what is said, and tells what came of it.
func (s *story) answer(said string) string {
	first, more, _ := strings.Cut(said, "\n")
	by, rest, spoken := strings.Cut(first, ": ")
	if !spoken {
		by, rest = "", first
	}
	words := strings.Fields(rest)
	if text, ok := s.aside(Ref(by), words, more); ok {
		return text
	}
	if by == "writ" {
		by = string(writ)
	}
	w := parse(words[1:])
	id := ID(w.rest[0])
	events, err := s.act(Ref(by), id, words[0], w)
	if err != nil {
		return s.refusal(err) + "\n" + s.state(id)
	}
	text := ""
	for _, e := range events {
		text += s.event(e) + "\n"
	}
	return text + s.state(id)
}

// aside is what nobody says to a request: the clock, the documents, the policy,
// and questions.
func (s *story) aside(by Ref, words []string, more string) (string, bool) {
	switch arg := strings.Join(words[1:], " "); words[0] {
	case "clock":
		s.now = s.time(arg)
		return s.since(s.now), true
	case "put":
		return s.changed(s.put(gus, strings.Split(more, "\n")...)), true
	case "remove":
		return s.changed(s.change(gus, Put{Remove: []Header{{Kind: words[1], Name: words[2]}}})), true
	case "recreate":
		doc, _ := s.dir.Get(words[1], words[2])
		doc = doc.withHead(Header{Kind: words[1], Name: words[2]})
		return s.changed(s.change(gus, Put{Documents: []Document{doc}, Remove: []Header{doc.Head()}})), true
	case "delegate":
		return s.changed(s.delegate(by, Delegate{To: Ref(words[1]), Until: s.time(parse(words[1:]).take("until", "+0s"))})), true
	case "return":
		events, err := DecideReturn(arg, s.facts(by, ""))
		return s.changed(events, s.learn(events, err)), true
	case "policy":
		s.rule(parse(words[1:]).rules())
		return "from now on", true
	case "bring":
		s.bring(ID(words[1]), Status(words[2]))
		return s.state(ID(words[1])), true
	case "terms":
		data, _ := s.request(ID(arg)).Terms.Canonical()
		return string(data), true
	case "narrows":
		return s.narrows(ID(words[1]), parse(words[2:])), true
	case "life":
		return s.life(ID(arg)), true
	}
	return "", false
}

// life lists all that happened to a request.
func (s *story) life(id ID) string {
	var r Request
	text := ""
	for _, e := range s.request(id).history {
		r, _ = r.Apply(e.Event)
		text += fmt.Sprintf("%2d %-6s %-12s %-56s %s\n", e.Seq, s.since(e.At), e.Actor.Name, s.event(e.Event), r.Status)
	}
	return text + s.state(id)
}

// state is where a request stands, and what it waits for.
func (s *story) state(id ID) string {
	r := s.request(id)
	text := string(orElse(r.Status, "not there"))
	if task, due := r.Todo(); task != Nothing {
		text += fmt.Sprintf("; %s at %s", task, s.since(due))
	}
	if people := r.Waiting(); len(people) > 3 {
		text += fmt.Sprintf("; %d people may decide", len(people))
	} else if len(people) > 0 {
		text += "; waits for"
		for _, a := range people {
			text += " " + string(a.Name)
		}
	}
	if r.KeptBy != "" {
		text += fmt.Sprintf("; kept by %s", r.KeptBy)
	}
	return text
}

// event tells an event: its kind, and what it says that is short.
func (s *story) event(e Event) string {
	text := string(e.Body.Kind())
	data, _ := json.Marshal(e.Body)
	var tree any
	_ = json.Unmarshal(data, &tree)
	leaves(tree, "", func(path string, v any, _ func(any)) {
		word := fmt.Sprint(v)
		if at, err := time.Parse(time.RFC3339Nano, word); err == nil {
			word = s.since(at)
		}
		field, _, nested := strings.Cut(path[1:], ".")
		if nested && field != "seen" || strings.HasPrefix(word, "sha256:") {
			return
		}
		if strings.Contains(word, " ") {
			word = fmt.Sprintf("%q", word)
		}
		text += fmt.Sprintf(" %s=%s", path[1:], word)
	})
	return text
}

func (s *story) changed(events []Event, err error) string {
	if err != nil {
		return s.refusal(err)
	}
	var out []string
	for _, e := range events {
		out = append(out, fmt.Sprintf("%s %s, version %d", strings.TrimPrefix(string(e.Body.Kind()), "document-"), e.Stream, e.Seq))
	}
	return strings.Join(out, "\n")
}

// since tells a time as it stands from the start of the world.
func (s *story) since(at time.Time) string { return "+" + Of(at.Sub(monday)).String() }

func (s *story) time(text string) time.Time {
	d, err := ParseDuration(strings.TrimPrefix(text, "+"))
	if err != nil {
		panic(err) // the story says what nobody understands
	}
	return monday.Add(d.Std())
}
