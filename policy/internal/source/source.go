// Package source reads a YAML file in which every value keeps its place, so
// that whatever is wrong with it can be shown where it stands.
package source

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// A Source is one file while it is read. It gathers what is wrong with it.
type Source struct {
	Name   string // what errors call it
	Text   string // as it was given
	Errors []*Error
	lines  []string
}

// A Node is a part of the file.
type Node = ast.Node

// A Text is a scalar of the file. At is nil if its key was left out.
type Text struct {
	Value string
	At    Node
}

// maxBytes bounds a file as a document is bounded.
const maxBytes = 48 << 10

// New returns the source of a text.
func New(name, text string) *Source {
	lines := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text) // as YAML counts them
	return &Source{Name: name, Text: text, lines: strings.Split(lines, "\n")}
}

// Set reports whether the key is there.
func (t Text) Set() bool { return t.At != nil }

// UnmarshalYAML takes any scalar as it is written: whoever uses it knows what
// it must be, and YAML's own guess at a type is of no use.
func (t *Text) UnmarshalYAML(n ast.Node) error {
	t.At = n
	switch n := n.(type) {
	case *ast.StringNode:
		t.Value = n.Value
	case *ast.LiteralNode:
		t.Value = n.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		t.Value = n.GetToken().Value
	default:
		return &yaml.UnexpectedNodeTypeError{Actual: n.Type(), Expected: ast.StringType, Token: n.GetToken()}
	}
	return nil
}

// Parse fills form from the one document of the file, as far as it can be
// read, and reports whether that is all of it.
func (s *Source) Parse(form any) (ok bool) {
	defer func() {
		if problem := recover(); problem != nil { // of the parser, which reads what anybody may send
			s.fail(Place{1, 1}, "this cannot be read as YAML: %v", problem)
			ok = false
		}
	}()
	if len(s.Text) > maxBytes {
		s.Fail(nil, "%d bytes; a file has at most %d: split it into several", len(s.Text), maxBytes)
		return false
	}
	if !utf8.ValidString(s.Text) {
		s.Fail(nil, "this is not UTF-8 text; save it as such")
		return false
	}
	f, err := parser.ParseBytes([]byte(strings.Join(s.lines, "\n")), 0)
	if err != nil {
		s.failYAML(err)
		return false
	}
	docs := slices.DeleteFunc(f.Docs, func(d *ast.DocumentNode) bool { return d.Body == nil })
	if len(docs) != 1 {
		s.Fail(nil, "%d documents; a file holds exactly one", len(docs))
		return false
	}
	ast.Walk(plain{s}, docs[0].Body)
	return len(s.Errors) == 0 && s.Decode(docs[0].Body, form)
}

// plain refuses what would let a file mean something else than it seems to
// say: references to other places, and keys without a value.
type plain struct{ *Source }

// Visit looks at one node.
func (s plain) Visit(n ast.Node) ast.Visitor {
	switch n := n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode, *ast.TagNode, *ast.DirectiveNode:
		s.Fail(n, "anchors, aliases, merge keys, tags and directives are not read here; write it out")
		return nil
	case *ast.NullNode:
		s.Fail(n, "there is no value here; give one or remove the key")
	}
	return s
}

// Decode fills form, a pointer to a struct whose fields have yaml tags, from a
// node and reports whether all of the node is as it should be. Every key that
// the form does not know is refused: the library would name any one.
func (s *Source) Decode(n Node, form any) bool {
	before := len(s.Errors)
	known := keys(form)
	if m, ok := n.(ast.MapNode); ok {
		for pairs := m.MapRange(); pairs.Next(); {
			if key := pairs.Key().GetToken().Value; !slices.Contains(known, key) {
				s.Fail(pairs.Key(), "unknown key %q; known here are %s", key, strings.Join(known, ", "))
			}
		}
	}
	err := yaml.NodeToValue(n, form, yaml.Strict())
	var unknown *yaml.UnknownFieldError
	if err != nil && (len(s.Errors) == before || !errors.As(err, &unknown)) {
		s.failYAML(err)
	}
	return err == nil && len(s.Errors) == before
}

// keys lists what a form knows.
func keys(form any) (out []string) {
	for f := range reflect.TypeOf(form).Elem().Fields() {
		out = append(out, f.Tag.Get("yaml"))
	}
	return out
}
