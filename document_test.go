package writ

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"encoding/json"

	"github.com/google/go-cmp/cmp"
)

func TestParseDocumentRefuses(t *testing.T) {
	for text, says := range map[string]string{
		``:                           "send a JSON object with kind and name",
		`[]`:                         "send a JSON object with kind and name",
		`{"name":"x"}`:               `document "x": kind "" is not one of entitlement, group, identity, policy, target`,
		`{"kind":"role","name":"x"}`: `kind "role" is not one of`,
		`{"kind":"group","name":"x","menbers":[]}`:                                         `group x: unknown field "menbers"`,
		`{"kind":"group","name":"x","members":"human/ann"}`:                                "group x: cannot unmarshal string",
		`{"kind":"group","name":"x"} {}`:                                                   "after top-level value",
		`{"kind":"group","name":"x","members":[],"members":[]}`:                            "Duplicate key",
		"{\"kind\":\"group\",\"name\":\"x\",\"title\":\"\xff\"}":                           "group x: ",
		`{"kind":"entitlement","name":"x","grant":{"a":1,"a":2}}`:                          "Duplicate key",
		`{"kind":"entitlement","name":"x","grant":{"limit":9007199254740993}}`:             "9007199254740993 is too long a number to be exact everywhere; write it as text",
		`{"kind":"entitlement","name":"x","maxFor":24}`:                                    `24 is not a duration; write it as text: "24h"`,
		`{"kind":"policy","name":"x","source":"` + strings.Repeat("x", maxDocument) + `"}`: "a document has at most 49152: split it",
	} {
		doc, err := ParseDocument([]byte(text))
		refused(t, text[:min(len(text), 60)], err, Invalid, says)
		if doc != nil {
			t.Errorf("%s: refused, and there all the same", text)
		}
	}
}

// TestDocumentRefused is what cannot stand, alone or beside the others.
func TestDocumentRefused(t *testing.T) {
	for text, says := range map[string]string{
		`{"kind":"identity","name":"ann"}`:                                                                           "a name has the form kind/name",
		`{"kind":"identity","name":"human/Ann"}`:                                                                     "each part up to 63 of a-z 0-9",
		`{"kind":"identity","name":"human/"}`:                                                                        "a name has the form kind/name",
		`{"kind":"identity","name":"human/a/b"}`:                                                                     "a name has the form kind/name",
		`{"kind":"identity","name":"robot/r2"}`:                                                                      "the kind is one of human, service, workload, agent, application",
		`{"kind":"identity","name":"system/writ"}`:                                                                   "the kind is one of",
		`{"kind":"identity","name":"group/security"}`:                                                                "the kind is one of",
		`{"kind":"identity","name":"human/new","state":"asleep"}`:                                                    `state "asleep" is not active, disabled or retired`,
		`{"kind":"identity","name":"human/new","owner":"human/ann"}`:                                                 "a human answers for themselves; remove owner and deputy",
		`{"kind":"identity","name":"service/new"}`:                                                                   "a service needs an accountable owner; set owner to a human",
		`{"kind":"identity","name":"service/new","owner":"human/nobody"}`:                                            "owner: there is no human/nobody; apply it first or in the same call",
		`{"kind":"identity","name":"service/new","owner":"service/ci"}`:                                              "owner service/ci must be another human",
		`{"kind":"identity","name":"service/new","owner":"group/security"}`:                                          "owner: there is no group/security",
		`{"kind":"identity","name":"service/new","owner":"human/ann","deputy":"agent/aide"}`:                         "deputy agent/aide must be another human",
		`{"kind":"identity","name":"human/ann","manager":"human/ann"}`:                                               "manager human/ann must be another human",
		`{"kind":"identity","name":"human/new","askers":["group/nobody"]}`:                                           "identity human/new: askers: there is no group/nobody",
		`{"kind":"identity","name":"human/new","accounts":[{"subject":"x"}]}`:                                        "an account needs an issuer and a subject or claims",
		`{"kind":"identity","name":"human/new","accounts":[{"issuer":"https://i"}]}`:                                 "an account needs an issuer and a subject or claims",
		`{"kind":"identity","name":"human/new","accounts":[{"issuer":"i","claims":{"a":"*"}}]}`:                      "compared exactly, without wildcards",
		`{"kind":"identity","name":"human/new","accounts":[{"issuer":"i","claims":{"a":""}}]}`:                       "compared exactly, without wildcards",
		`{"kind":"identity","name":"human/new","accounts":[{"issuer":"i","subject":"repo:*"}]}`:                      "without wildcards",
		`{"kind":"group","name":"a/b","members":[]}`:                                                                 "a name has the form name",
		`{"kind":"group","name":"new","members":["group/security"]}`:                                                 "member group/security is a group; list its members",
		`{"kind":"group","name":"new","members":["human/nobody"]}`:                                                   "members: there is no human/nobody",
		`{"kind":"target","name":"new","environment":"test"}`:                                                        "connector and environment are required",
		`{"kind":"target","name":"new","connector":"postgres"}`:                                                      "connector and environment are required",
		`{"kind":"target","name":"new","connector":"postgres","environment":"test","owners":["x"]}`:                  "owners: there is no x",
		`{"kind":"entitlement","name":"db/new","target":"nowhere","credential":"password","grant":{},"maxFor":"1h"}`: `target "nowhere" must exist and be the first part of the name`,
		`{"kind":"entitlement","name":"dbx/new","target":"db","credential":"password","grant":{},"maxFor":"1h"}`:     `target "db" must exist and be the first part of the name`,
		`{"kind":"entitlement","name":"db/new","target":"db","credential":"password","grant":{}}`:                    "maxFor is required; access without an end is not given",
		`{"kind":"entitlement","name":"db/new","target":"db","grant":{},"maxFor":"1h"}`:                              "credential and grant are required",
		`{"kind":"entitlement","name":"db/new","target":"db","credential":"password","maxFor":"1h"}`:                 "credential and grant are required",
		`{"kind":"policy","name":"new","source":" \n"}`:                                                              "source is empty",
		`{"kind":"policy","name":"a b","source":"x"}`:                                                                "a name has the form name",
	} {
		_, err := newWorld().put(gus, text)
		refused(t, text, err, Invalid, says)
	}
	for param, says := range map[string]string{
		`{}`:                                 "scope.p needs oneOf or pattern; anything at all is no scope",
		`{"pattern":"["}`:                    "scope.p.pattern: error parsing regexp",
		`{"pattern":"a)|(?:b"}`:              "scope.p.pattern: error parsing regexp",
		`{"pattern":"[a-z]+","default":"7"}`: `default "7" is not allowed by the parameter itself`,
		`{"oneOf":["a"],"default":"b"}`:      `default "b" is not allowed by the parameter itself`,
	} {
		_, err := newWorld().put(gus, `{"kind":"entitlement","name":"db/new","target":"db","credential":"password","grant":{},"maxFor":"1h","scope":{"p":`+param+`}}`)
		refused(t, param, err, Invalid, says)
	}
}

func TestParamTakesTheWholeValue(t *testing.T) {
	for _, c := range []struct {
		param Param
		value string
		takes bool
	}{
		{Param{Pattern: "a|b"}, "a", true},
		{Param{Pattern: "a|b"}, "ax", false},
		{Param{Pattern: "a|b"}, "xb", false},
		{Param{Pattern: "a"}, "a\n", false},
		{Param{Pattern: "(?m)a"}, "a\nb", false},
		{Param{Pattern: "[a-z]+", OneOf: []string{"a", "7"}}, "7", false},
		{Param{Pattern: "[a-z]+", OneOf: []string{"a", "7"}}, "a", true},
		{Param{Pattern: "["}, "[", false},
	} {
		if got := c.param.allows(c.value); got != c.takes {
			t.Errorf("%+v takes %q: %t", c.param, c.value, got)
		}
	}
}

func TestNames(t *testing.T) {
	long := strings.Repeat("a", 63)
	for name, ok := range map[string]bool{
		"a": true, "a-b.c_d9": true, long: true, long + "a": false, "": false, "-a": false, "a-": false, ".": false, "a/b": false,
		"A": false, "ä": false, "a b": false, "a\n": false, "..": false,
	} {
		if err := checkName("group", name, 1); ok != (err == nil) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if kind := Ref("service/ci").Kind(); kind != "service" {
		t.Errorf("kind %q", kind)
	}
	if Ref("groups").IsGroup() || !GroupRef("security").IsGroup() {
		t.Error("what is a group")
	}
}

// FuzzParseDocument reads anything. What is read has one canonical form, which
// reads as the same document with the same digest.
func FuzzParseDocument(f *testing.F) {
	data, err := os.ReadFile("testdata/world.json")
	var world []json.RawMessage
	if err == nil {
		err = json.Unmarshal(data, &world)
	}
	if err != nil {
		f.Fatal(err)
	}
	for _, doc := range world {
		f.Add([]byte(doc))
	}
	f.Add([]byte(`{"kind":"policy","name":"p","source":"routes: []","uid":"pol-01","version":3}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := ParseDocument(data)
		if err != nil {
			if !errors.Is(err, Invalid) {
				t.Fatalf("refused without a kind: %v", err)
			}
			return
		}
		content, sum, err := body(doc)
		if err != nil {
			t.Fatalf("read, but without a digest: %v", err)
		}
		again, err := ParseDocument(content)
		if err != nil {
			t.Fatalf("its canonical form is refused: %v\n%s", err, content)
		}
		second, sum2, err := body(again)
		if err != nil || sum2 != sum || !bytes.Equal(content, second) {
			t.Fatalf("another document: %v\n%s", err, cmp.Diff(string(content), string(second)))
		}
		_ = doc.check(worldDocuments())
	})
}
