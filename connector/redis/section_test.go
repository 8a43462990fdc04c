package redis

import (
	"bufio"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/writhq/writ/connector"
)

func TestGrantSectionMistakesAreNamed(t *testing.T) {
	for _, c := range []struct {
		kind  connector.Kind
		grant string
		want  string
	}{
		{connector.Password, `{}`, "commands is missing"},
		{connector.Password, `{"commands": ["get"]}`, "no rule"},
		{connector.Password, `{"commands": ["+get ~*"]}`, "no rule"},
		{connector.Password, `{"commands": ["allcommands"]}`, "no rule"},
		{connector.Password, `{"commands": ["+${scope.command}"]}`, "no rule"},
		{connector.Password, `{"commands": ["nopass"]}`, "no rule"},
		{connector.Password, `{"commands": ["+@admin"]}`, "never granted"},
		{connector.Password, `{"commands": ["+get"], "keys": [""]}`, "is empty"},
		{connector.Password, `{"commands": ["+get"], "keys": ["a b"]}`, "printable"},
		{connector.Password, `{"commands": ["+get"], "keys": ["a\nuser x on nopass"]}`, "printable"},
		{connector.Password, `{"commands": ["+get"], "keys": ["${env.HOME}"]}`, "other than ${scope.NAME}"},
		{connector.Password, `{"commands": ["+get"], "keys": ["a:[${scope.x}]"]}`, "beside ["},
		{connector.Password, `{"commands": ["+get"], "channels": ["a\\${scope.x}"]}`, "beside ["},
		{connector.Password, `{"commands": ["+get"], "keys": ["a"], "readKeys": ["a"]}`, "twice"},
		{connector.Password, `{"commands": ["+get"], "channels": ["a", "*"]}`, "stands for all"},
		{connector.Membership, `{"commands": ["+get"]}`, "is not password"},
	} {
		if err := (Driver{}).Check(json.RawMessage(c.grant), c.kind); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: got %v, want %q", c.kind, c.grant, err, c.want)
		}
	}
}

// FuzzScope fills in anything: what is accepted matches what the entitlement says,
// with one segment more, and begins no other rule.
func FuzzScope(f *testing.F) {
	for _, value := range []string{"billing", "*", "a b", "a:b", "${scope.team}", "[a]", "\\", "", "\n"} {
		f.Add(value)
	}
	is := regexp.MustCompile(`^~app:[A-Za-z0-9_-]+:\*$`)
	f.Fuzz(func(t *testing.T, value string) {
		o, err := read(connector.Order{Request: "req-a", Kind: connector.Password, Scope: map[string]string{"team": value},
			Grant: marshal(section{Commands: []string{"+get"}, Keys: []string{"app:${scope.team}:*"}})})
		if err == nil && (len(o.rules("")) != 1 || !is.MatchString(o.rules("")[0])) {
			t.Errorf("%q made the rules %q", value, o.rules(""))
		}
	})
}

// FuzzAnswer reads anything that a server, or what is taken for one, may answer.
func FuzzAnswer(f *testing.F) {
	for _, answer := range []string{"+OK\r\n", "-ERR no\r\n", ":7\r\n", "$-1\r\n", "$2\r\nab\r\n", "*2\r\n$1\r\na\r\n*0\r\n", "*-1\r\n",
		"$268435456\r\nab", "*1048577\r\n", strings.Repeat("*1\r\n", 20), "$2\r\nabcd", "HTTP/1.1 400 Bad Request\r\n", "\n"} {
		f.Add(answer)
	}
	f.Fuzz(func(t *testing.T, answer string) {
		w := wire{in: bufio.NewReader(strings.NewReader(answer))}
		got, err := w.read(0)
		if err == nil && !slices.ContainsFunc([]string{"+", "-", ":", "$", "*"}, func(kind string) bool { return strings.HasPrefix(answer, kind) }) {
			t.Errorf("%q is read as %v", answer, got)
		}
		_, _ = understand("a", got)
	})
}
