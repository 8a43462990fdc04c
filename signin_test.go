package writ

import (
	"encoding/json"
	"slices"
	"testing"
	"time"
)

const login = "https://login.example.org"

// feeding is a world in which an issuer says who is on call, and who somebody's manager is.
func feeding(t *testing.T) *world {
	t.Helper()
	w := newWorld()
	for name, subject := range map[Ref]string{ann: "1", cyd: "2", gus: "3"} {
		i := w.dir.Identities[name]
		i.Accounts = []Account{{Issuer: login, Subject: subject}}
		content, err := json.Marshal(i)
		if err != nil {
			t.Fatal(err)
		}
		must(t)(w.put(gus, string(content)))
	}
	must(t)(w.put(gus, `{"kind":"group","name":"on-call","members":["human/ivy"],"claims":[{"issuer":"`+login+`","value":"oncall"},{"issuer":"`+login+`","value":"sre"}]}`,
		`{"kind":"group","name":"other","members":["human/ivy"],"claims":[{"issuer":"https://elsewhere.example","value":"oncall"}]}`))
	return w
}

func (w *world) signIn(by Ref, c SignIn) (events []Event, err error) {
	events, err = DecideSignIn(c, w.facts(by, ""))
	return events, w.learn(events, err)
}

// TestGroupsFollowWhatTheIssuerSays, of who signs in and of nobody else.
func TestGroupsFollowWhatTheIssuerSays(t *testing.T) {
	w := feeding(t)
	begin := w.now
	for _, step := range []struct {
		what   string
		by     Ref
		said   SignIn
		events int
		want   []Ref
	}{
		{"it is not asked", ann, SignIn{Issuer: login}, 0, []Ref{ivy}},
		{"nothing", ann, SignIn{Issuer: login, Groups: []string{}}, 0, []Ref{ivy}},
		{"another group", ann, SignIn{Issuer: login, Groups: []string{"on-call", "ONCALL", ""}}, 0, []Ref{ivy}},
		{"another issuer", ann, SignIn{Issuer: "https://other.example", Groups: []string{"oncall"}}, 0, []Ref{ivy}},
		{"it", gus, SignIn{Issuer: login, Groups: []string{"x", "oncall"}}, 1, []Ref{ivy, gus}},
		{"it, of another", ann, SignIn{Issuer: login, Groups: []string{"oncall"}}, 1, []Ref{ivy, ann, gus}},
		{"it again, by another value", gus, SignIn{Issuer: login, Groups: []string{"sre"}}, 0, []Ref{ivy, ann, gus}},
		{"not any more", ann, SignIn{Issuer: login, Groups: []string{}}, 1, []Ref{ivy, gus}},
		{"not of who is listed", ivy, SignIn{Issuer: login, Groups: []string{}}, 0, []Ref{ivy, gus}},
	} {
		w.now = w.now.Add(time.Hour)
		events, err := w.signIn(step.by, step.said)
		if got := w.dir.Groups["group/on-call"].Members; err != nil || len(events) != step.events || !slices.Equal(got, step.want) {
			t.Errorf("%s: %d events, members %v, %v", step.what, len(events), got, err)
		}
	}
	j, _ := w.dir.Groups["group/on-call"].Since(w.dir.Identities[gus])
	if j.From != login || j.By != System || !j.At.Equal(begin.Add(5*time.Hour)) {
		t.Errorf("gus joined %+v", j)
	}
	if !w.dir.In(gus, "group/on-call") || w.dir.In(ann, "group/on-call") || len(w.dir.Groups["group/other"].Members) != 1 {
		t.Error("the directory does not know it")
	}
}

// TestWhoWritesAGroupKeepsWhomAnIssuerPutThere, as long as it feeds the group.
func TestWhoWritesAGroupKeepsWhomAnIssuerPutThere(t *testing.T) {
	w := feeding(t)
	must(t)(w.signIn(gus, SignIn{Issuer: login, Groups: []string{"oncall"}}))
	fed := w.dir.Groups["group/on-call"]
	claims := `"claims":[{"issuer":"` + login + `","value":"oncall"}]`
	must(t)(w.put(gus, `{"kind":"group","name":"on-call","members":["human/cyd"],`+claims+`}`))
	g := w.dir.Groups["group/on-call"]
	if !slices.Equal(g.Members, []Ref{cyd, gus}) || g.Joined[gus] != fed.Joined[gus] || g.Joined[cyd].From != "" {
		t.Errorf("members %v, %v", g.Members, g.Joined)
	}
	content, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	if events, err := w.put(gus, string(content)); err != nil || len(events) != 0 {
		t.Errorf("what is written as it was read is %d changes, %v", len(events), err)
	}
	must(t)(w.put(gus, `{"kind":"group","name":"on-call","members":["human/cyd"]}`))
	if got := w.dir.Groups["group/on-call"].Members; !slices.Equal(got, []Ref{cyd}) {
		t.Errorf("a group that is not fed any more has %v", got)
	}
	for _, bad := range []string{`{"issuer":"","value":"x"}`, `{"issuer":"x","value":""}`} {
		_, err := w.put(gus, `{"kind":"group","name":"on-call","members":[],"claims":[`+bad+`]}`)
		refused(t, bad, err, Invalid, "a claim needs an issuer")
	}
}

// TestManagerIsWhomTheIssuerSays, if that is exactly one other person.
func TestManagerIsWhomTheIssuerSays(t *testing.T) {
	w := feeding(t)
	was := w.dir.Identities[ann].Manager
	for _, step := range []struct {
		subject string
		events  int
		want    Ref
	}{
		{"", 0, was}, {"9", 0, was}, {"1", 0, was}, {"3", 1, gus}, {"3", 0, gus}, {"2", 1, cyd},
	} {
		events, err := w.signIn(ann, SignIn{Issuer: login, Manager: step.subject})
		if got := w.dir.Identities[ann].Manager; err != nil || len(events) != step.events || got != step.want {
			t.Errorf("%q: %d events, manager %s, %v", step.subject, len(events), got, err)
		}
	}
	if _, err := w.signIn(ann, SignIn{Issuer: "https://other.example", Manager: "3"}); err != nil || w.dir.Identities[ann].Manager != cyd {
		t.Errorf("another issuer's: %s, %v", w.dir.Identities[ann].Manager, err)
	}
	_, err := w.signIn(ci, SignIn{Issuer: login})
	refused(t, "a machine", err, Forbidden, "only a person can")
}
