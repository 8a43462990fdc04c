package writ

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/writhq/writ"

// meant are arrows between internal packages that are meant, with the reason.
// All others are refused: what two of them share belongs inside, or to cmd.
var meant = map[[2]string]string{
	{"internal/door", "internal/store"}:   "what is decided is recorded in the transaction that loaded its facts",
	{"internal/worker", "internal/store"}: "the work queue is the store's, and each step is recorded in it",
	{"internal/web", "internal/door"}:     "there is one door, and a handler is one call of it",
	{"internal/door", "internal/seal"}:    "a credential is sealed by the worker and opened by the door; seal itself imports neither",
	{"internal/worker", "internal/seal"}:  "a credential is sealed by the worker and opened by the door; seal itself imports neither",

	{"internal/page", "internal/door"}:        "there is one door, and a handler is one call of it",
	{"internal/page", "internal/auth"}:        "who signs in is found by the same rules as who calls",
	{"internal/page", "internal/term"}:        "one place shows every leaf of what is approved, and what the eye does not see",
	{"internal/page/view", "internal/term"}:   "one place shows every leaf of what is approved, and what the eye does not see",
	{"internal/cli", "internal/term"}:         "one place prints for people, and it knows nothing of commands",
	{"internal/cli", "internal/document"}:     "people write the same files for a running server and for its first start",
	{"internal/cli/command", "internal/seal"}: "whoever holds the key opens what was sealed to it",

	{"internal/door/journal", "internal/store"}:        "it is the door to the ledger, which the store keeps",
	{"internal/page/record", "internal/door/journal"}:  "who may read which record is the door's to say",
	{"internal/page/ask", "internal/door"}:             "there is one door, and a handler is one call of it",
	{"internal/page/frame", "internal/door"}:           "a page is for the caller of the door that looks at it",
	{"internal/page/frame", "internal/term"}:           "one place knows what the eye does not see",
	{"internal/page/ask", "internal/page/frame"}:       "what a part of the pages answers with",
	{"internal/page/inventory", "internal/door"}:       "there is one door, and a handler is one call of it",
	{"internal/page/inventory", "internal/page/frame"}: "what a part of the pages answers with",
	{"internal/page/record", "internal/door"}:          "there is one door, and a handler is one call of it",
	{"internal/page/record", "internal/page/frame"}:    "what a part of the pages answers with",
}

// TestArrows keeps the house as it is drawn in docs: cmd, then the internal
// packages, then the store, then the inside, and the root at the bottom.
func TestArrows(t *testing.T) {
	for _, p := range packages(t) {
		for _, to := range p.imports {
			if why := p.mayNot(to); why != "" {
				t.Errorf("%s imports %s: %s", p.name, to, why)
			}
		}
		for _, to := range p.tests {
			if under(to, "cmd") && !under(p.name, "cmd") {
				t.Errorf("the tests of %s import %s: %s", p.name, to, "cmd is where everything is put together")
			}
		}
	}
}

// A house is one package of the tree and what it imports; names of our own are
// below the module, "." is the root.
type house struct {
	name    string
	imports []string
	tests   []string
}

// mayNot says why a package may not import another, if it may not.
func (p house) mayNot(to string) string {
	ours := to == "." || !strings.Contains(to, ".")
	inside := slices.ContainsFunc([]string{"policy", "ledger", "connector", "evidence", "assent", "audit"}, func(in string) bool { return under(p.name, in) })
	_, listed := meant[[2]string{p.name, to}]
	switch {
	case p.name == ".":
		if to != "github.com/gowebpki/jcs" {
			return "the core is pure: the standard library and a canonicaliser are all it needs"
		}
	case !ours || under(to, p.name) || under(p.name, to) && to != ".":
	case under(p.name, "cmd"): // nobody can import a command itself
	case under(to, "cmd"):
		return "cmd is where everything is put together"
	case under(to, "internal/realtest"):
		return "real systems are started by tests and by the demo"
	case inside && under(to, "internal"):
		return "what is inside is for others to use, too"
	case under(p.name, "internal/store") && !slices.Contains([]string{".", "policy", "ledger", "connector", "evidence", "assent"}, to):
		return "the store knows only the inside"
	case under(p.name, "internal") && under(to, "internal") && !listed:
		return "internal packages do not know each other; declare the methods that are needed, or say in the table why it is meant"
	}
	return ""
}

// under reports whether a package is another, or below it.
func under(name, of string) bool { return name == of || strings.HasPrefix(name, of+"/") }

// packages lists the tree without the imports of the standard library.
func packages(t *testing.T) (out []house) {
	t.Helper()
	data, err := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	short := func(paths []string) (names []string) {
		for _, path := range paths {
			name, ours := strings.CutPrefix(path, module)
			switch host, _, _ := strings.Cut(path, "/"); {
			case ours && name == "":
				names = append(names, ".")
			case ours:
				names = append(names, name[1:])
			case strings.Contains(host, "."):
				names = append(names, path)
			}
		}
		return names
	}
	for dec := json.NewDecoder(bytes.NewReader(data)); ; {
		var p struct {
			ImportPath                         string
			Imports, TestImports, XTestImports []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return out
		} else if err != nil {
			t.Fatal(err)
		}
		out = append(out, house{short([]string{p.ImportPath})[0], short(p.Imports), short(slices.Concat(p.TestImports, p.XTestImports))})
	}
}

// TestArrowsAreRefused proves that the test above can fail.
func TestArrowsAreRefused(t *testing.T) {
	for _, c := range []struct {
		from, to string
		may      bool
	}{
		{".", "github.com/gowebpki/jcs", true},
		{".", "github.com/google/uuid", false},
		{".", "ledger", false},
		{"policy", ".", true},
		{"policy", "policy/internal/source", true},
		{"policy", "internal/seal", false},
		{"audit", "internal/store", false},
		{"connector/postgres", "connector", true},
		{"connector/postgres", "internal/realtest", false},
		{"ledger", "github.com/x/y", true},
		{"internal/store", "ledger", true},
		{"internal/store", "internal/store/database", true},
		{"internal/store", "internal/seal", false},
		{"internal/store", "client", false},
		{"internal/worker", "internal/store", true},
		{"internal/worker", "internal/web", false},
		{"internal/worker", "internal/realtest/server", false},
		{"internal/web", "cmd/writ", false},
		{"cmd/writ", "internal/realtest/server", true},
		{"cmd/writ", "internal/web", true},
		{"cmd/writ/server", "cmd/writ/verify", true},
		{"internal/store", "cmd/writ/verify", false},
	} {
		if why := (house{name: c.from}).mayNot(c.to); c.may != (why == "") {
			t.Errorf("%s imports %s: %q", c.from, c.to, why)
		}
	}
}
