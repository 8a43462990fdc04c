package document

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/writhq/writ"
)

const two = `# people
kind: identity
name: human/ann
---
kind: entitlement
name: api/client
target: api
credential: api-key
grant: {audience: api, scopes: [read]}
maxFor: 90d
`

// TestParse reads two documents and what they hold.
func TestParse(t *testing.T) {
	docs, err := Parse("x.yaml", []byte(two))
	if err != nil || len(docs) != 2 {
		t.Fatal(docs, err)
	}
	var e writ.Entitlement
	if err := json.Unmarshal(docs[1], &e); err != nil {
		t.Fatal(err)
	}
	if e.Name != "api/client" || e.MaxFor.String() != "90d" || string(e.Grant) != `{"audience":"api","scopes":["read"]}` {
		t.Errorf("read %s", docs[1])
	}
}

// TestComplaint says where in the file it is wrong, also in its second document.
func TestComplaint(t *testing.T) {
	for what, test := range map[string]struct{ text, want string }{
		"unknown field": {two + "bogus: 1\n", `x.yaml:11:1: unknown field "bogus"`},
		"unknown kind":  {two + "---\nkind: role\nname: x\n", `x.yaml:12: kind "role"`},
		"no duration":   {strings.Replace(two, "90d", "long", 1), `"long" is not a duration`},
		"malformed":     {two + "---\nkind: [\n", "x.yaml:12:"},
	} {
		_, err := Parse("x.yaml", []byte(test.text))
		if !errors.Is(err, writ.Invalid) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", what, err, test.want)
		}
	}
}

// TestPolicyKeepsItsText sends the policy's own words, so that positions and
// digest are those of what was written.
func TestPolicyKeepsItsText(t *testing.T) {
	text := "kind: policy\nname: default # the one\nroutes: []\n"
	docs, err := Parse("p.yaml", []byte("---\n"+text))
	if err != nil {
		t.Fatal(err)
	}
	var p writ.Policy
	if err := json.Unmarshal(docs[0], &p); err != nil || p.Source != text {
		t.Fatalf("got %q, %v", p.Source, err)
	}
}
