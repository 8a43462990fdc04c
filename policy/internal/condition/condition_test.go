package condition

import (
	"os"
	"strings"
	"testing"
)

// TestReferenceNamesEveryField keeps the reference from missing what a
// condition may look at.
func TestReferenceNamesEveryField(t *testing.T) {
	text, err := os.ReadFile("../../../docs/reference/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	env, err := language()
	if err != nil {
		t.Fatal(err)
	}
	names := variables[:]
	for _, kind := range []string{"Identity", "Entitlement", "Target", "Request", "Live"} {
		fields, ok := env.CELTypeProvider().FindStructFieldNames(kind)
		if !ok || len(fields) == 0 {
			t.Fatalf("there is no type %s", kind)
		}
		names = append(names, fields...)
	}
	for _, name := range names {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("%s is not described", name)
		}
	}
}
