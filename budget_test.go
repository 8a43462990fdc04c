package writ

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What a reader can hold at once. A budget is raised only in a commit that says why.
const (
	maxFunc      = 60   // lines of a function
	maxNesting   = 3    // blocks within blocks
	maxFile      = 500  // lines of a file
	maxPackage   = 1500 // lines of a package, without tests
	maxInterface = 5    // methods

	maxTestFunc    = 100 // of a test: the table stands with what runs it
	maxTestNesting = 4   // of a test: each case is a function inside the loop over cases
)

// raised are the budgets of single places, with the reason.
var raised = map[string]string{
	"package .": "the core: one verb per file, and nothing that knows less than all of them could decide",
}

// TestBudgets holds the whole tree to its budgets.
func TestBudgets(t *testing.T) {
	packages, broken := map[string]int{}, []string{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == "node_modules" || len(d.Name()) > 1 && strings.HasPrefix(d.Name(), ".")) {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		s, err := survey(path, nil)
		if err != nil {
			return err
		}
		broken = append(broken, s.broken...)
		if !s.test {
			packages[filepath.Dir(path)] += s.lines
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, lines := range packages {
		if lines > maxPackage {
			broken = append(broken, fmt.Sprintf("package %s has %d lines, not %d", name, lines, maxPackage))
		}
	}
	for _, what := range broken {
		if reason := reasonFor(what); reason == "" {
			t.Error(what)
		}
	}
}

func reasonFor(what string) string {
	for place, reason := range raised {
		if strings.HasPrefix(what, place+" ") {
			return reason
		}
	}
	return ""
}

// A source is one file under survey.
type source struct {
	path   string
	test   bool
	lines  int
	set    *token.FileSet
	broken []string
}

// survey reads a file, or the text given for it.
func survey(path string, text any) (*source, error) {
	s := &source{path: path, test: strings.HasSuffix(path, "_test.go"), set: token.NewFileSet()}
	file, err := parser.ParseFile(s.set, path, text, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	s.lines = s.set.File(file.Pos()).LineCount()
	if s.lines > maxFile {
		s.broken = append(s.broken, fmt.Sprintf("%s has %d lines, not %d", path, s.lines, maxFile))
	}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			s.function(d)
		case *ast.GenDecl:
			s.declaration(d)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if i, ok := n.(*ast.InterfaceType); ok && i.Methods.NumFields() > maxInterface {
			s.say(i, "an interface has %d methods, not %d", i.Methods.NumFields(), maxInterface)
		}
		return true
	})
	return s, nil
}

func (s *source) say(at ast.Node, format string, args ...any) {
	s.broken = append(s.broken, fmt.Sprintf("%s:%d ", s.path, s.set.Position(at.Pos()).Line)+fmt.Sprintf(format, args...))
}

func (s *source) function(f *ast.FuncDecl) {
	if f.Name.Name == "init" && f.Recv == nil {
		s.say(f, "init runs before anybody asked for it")
	}
	lines, deep := maxFunc, maxNesting
	if s.test {
		lines, deep = maxTestFunc, maxTestNesting
	}
	if n := s.set.Position(f.End()).Line - s.set.Position(f.Pos()).Line + 1; n > lines {
		s.say(f, "%s has %d lines, not %d", f.Name.Name, n, lines)
	}
	if n := nesting(f); n > deep {
		s.say(f, "%s nests %d deep, not %d", f.Name.Name, n, deep)
	}
	if !s.test && f.Doc == nil && f.Name.IsExported() && exported(f.Recv) {
		s.say(f, "%s is exported and not documented", f.Name.Name)
	}
}

// exported reports whether a method's type can be seen from outside; a function's can.
func exported(recv *ast.FieldList) bool {
	seen := true
	if recv != nil {
		ast.Inspect(recv.List[0].Type, func(n ast.Node) bool {
			name, ok := n.(*ast.Ident)
			seen = seen && (!ok || name.IsExported())
			return !ok && seen
		})
	}
	return seen
}

func (s *source) declaration(d *ast.GenDecl) {
	for _, spec := range d.Specs {
		var names []*ast.Ident
		documented := d.Doc != nil
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			names, documented = []*ast.Ident{spec.Name}, documented || spec.Doc != nil || spec.Comment != nil
		case *ast.ValueSpec:
			names, documented = spec.Names, documented || spec.Doc != nil || spec.Comment != nil
		}
		for _, name := range names {
			if !s.test && !documented && name.IsExported() {
				s.say(spec, "%s is exported and not documented", name.Name)
			}
		}
	}
}

// nest counts the blocks that stand in each other. An else that is an if goes on
// where it was, and a function within starts anew.
type nest struct {
	depth   int
	deepest *int
	chained map[ast.Node]bool
}

func nesting(f *ast.FuncDecl) (deepest int) {
	ast.Walk(nest{0, &deepest, map[ast.Node]bool{}}, f)
	return deepest
}

// Visit implements ast.Visitor.
func (n nest) Visit(node ast.Node) ast.Visitor {
	switch node := node.(type) {
	case *ast.FuncLit:
		n.depth = 0
	case *ast.IfStmt:
		n.chained[node.Else] = true
		if !n.chained[node] {
			n.depth++
		}
	case *ast.ForStmt, *ast.RangeStmt, *ast.SwitchStmt, *ast.TypeSwitchStmt, *ast.SelectStmt:
		n.depth++
	}
	*n.deepest = max(*n.deepest, n.depth)
	return n
}

// overspent breaks every budget of a file.
var overspent = `package p

type Seen interface{ A(); B(); C(); D(); E(); F() }

// Fine is documented.
type Fine int

func (Fine) Method() {}

func (hidden) Method() {}

const (
	One = 1
	Two = 2 // documented
)

func init() {}

func fine() {
	if a {
	} else if b {
	} else if c {
		for {
			switch {
			case func() bool { for { if a { return b } } }():
			}
		}
	}
}

func deep() {
	for {
		for {
			switch {
			case a:
				if b {
				}
			}
		}
	}
}

func Long() {` + strings.Repeat("\n", maxFunc-1) + `}
` + strings.Repeat("\n", maxFile)

// TestBudgetsAreHeld proves that the test above can fail.
func TestBudgetsAreHeld(t *testing.T) {
	s, err := survey("p/p.go", overspent)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"p/p.go has 602 lines, not 500",
		"p/p.go:3 Seen is exported and not documented",
		"p/p.go:8 Method is exported and not documented",
		"p/p.go:13 One is exported and not documented",
		"p/p.go:17 init runs before anybody asked for it",
		"p/p.go:31 deep nests 4 deep, not 3",
		"p/p.go:43 Long is exported and not documented",
		"p/p.go:3 an interface has 6 methods, not 5",
	}
	if diff := cmp.Diff(want, s.broken); diff != "" {
		t.Error(diff)
	}
	more := strings.NewReplacer("Long() {", "Long() {"+strings.Repeat("\n", maxTestFunc-maxFunc+1), "if b {", "if b { for {}")
	s, err = survey("p/p_test.go", more.Replace(overspent))
	if err != nil || len(s.broken) != 5 {
		t.Errorf("as a test: %v, %v", s.broken, err)
	}
}
