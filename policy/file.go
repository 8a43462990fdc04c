package policy

import (
	"errors"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/writhq/writ"
)

// The form of a policy file. Every value is a text with its place, so that
// whatever is wrong with it can be shown where it stands.
type (
	document struct {
		Kind       text       `yaml:"kind"`
		Name       text       `yaml:"name"`
		Authority  ast.Node   `yaml:"authority"`
		Guardrails []ast.Node `yaml:"guardrails"`
		Routes     []ast.Node `yaml:"routes"`
		Tests      []ast.Node `yaml:"tests"`
	}
	authorityForm struct {
		Administer []text `yaml:"administer"`
		Revoke     []text `yaml:"revoke"`
		Audit      []text `yaml:"audit"`
	}
	guardrailForm struct {
		Name      text     `yaml:"name"`
		When      text     `yaml:"when"`
		Deny      text     `yaml:"deny"`
		Conflicts []text   `yaml:"conflicts"`
		MaxFor    text     `yaml:"maxFor"`
		Require   ast.Node `yaml:"require"`
	}
	routeForm struct {
		Name        text       `yaml:"name"`
		When        text       `yaml:"when"`
		MaxFor      text       `yaml:"maxFor"`
		DecideIn    text       `yaml:"decideIn"`
		StartWithin text       `yaml:"startWithin"`
		Require     ast.Node   `yaml:"require"`
		Ends        []text     `yaml:"ends"`
		Automatic   text       `yaml:"automatic"`
		Stages      []ast.Node `yaml:"stages"`
	}
	requireForm struct {
		Justification text            `yaml:"justification"`
		Ticket        text            `yaml:"ticket"`
		Ends          []text          `yaml:"ends"`
		Scope         map[string]text `yaml:"scope"`
		Sealed        text            `yaml:"sealed"`
		MaxFor        text            `yaml:"maxFor"`
	}
	stageForm struct {
		Name      text       `yaml:"name"`
		Quorum    text       `yaml:"quorum"`
		Approvers []ast.Node `yaml:"approvers"`
	}
	approverForm struct {
		ManagerOf text `yaml:"manager-of"`
		OwnerOf   text `yaml:"owner-of"`
		Group     text `yaml:"group"`
		Identity  text `yaml:"identity"`
	}
	testForm struct {
		Name    text     `yaml:"name"`
		Request ast.Node `yaml:"request"`
		Expect  ast.Node `yaml:"expect"`
	}
	requestForm struct {
		Requester   text            `yaml:"requester"`
		Subject     text            `yaml:"subject"`
		Entitlement text            `yaml:"entitlement"`
		Scope       map[string]text `yaml:"scope"`
		For         text            `yaml:"for"`
		Ticket      text            `yaml:"ticket"`
		Why         text            `yaml:"why"`
		Ends        []text          `yaml:"ends"`
		Sealed      text            `yaml:"sealed"`
		StartAt     text            `yaml:"startAt"`
		StartBy     text            `yaml:"startBy"`
		At          text            `yaml:"at"`
		Live        []text          `yaml:"live"`
	}
	expectForm struct {
		Allowed text              `yaml:"allowed"`
		Route   text              `yaml:"route"`
		Because text              `yaml:"because"`
		MaxFor  text              `yaml:"maxFor"`
		Stages  map[string][]text `yaml:"stages"`
	}
)

// A text is a scalar of the file. Its node is nil if the key was left out.
type text struct {
	value string
	at    ast.Node
}

func (t text) set() bool { return t.at != nil }

// UnmarshalYAML takes any scalar as it is written: whoever uses it knows what
// it must be, and YAML's own guess at a type is of no use.
func (t *text) UnmarshalYAML(n ast.Node) error {
	t.at = n
	switch n := n.(type) {
	case *ast.StringNode:
		t.value = n.Value
	case *ast.LiteralNode:
		t.value = n.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		t.value = n.GetToken().Value
	default:
		return &yaml.UnexpectedNodeTypeError{Actual: n.Type(), Expected: ast.StringType, Token: n.GetToken()}
	}
	return nil
}

// maxSource bounds a file's bytes, as a document's are bounded.
const maxSource = 48 << 10

// parse reads the document of a file as far as it can be read.
func (s *source) parse() (d document) {
	defer func() {
		if problem := recover(); problem != nil { // of the parser, which reads what anybody may send
			s.fail(place{1, 1}, "this cannot be read as YAML: %v", problem)
		}
	}()
	if len(s.Source) > maxSource {
		s.fail(place{1, 1}, "%d bytes; a policy has at most %d: split it into several", len(s.Source), maxSource)
		return d
	}
	f, err := parser.ParseBytes([]byte(s.Source), 0)
	if err != nil {
		s.failYAML(err)
		return d
	}
	docs := slices.DeleteFunc(f.Docs, func(d *ast.DocumentNode) bool { return d.Body == nil })
	if len(docs) != 1 {
		s.fail(place{1, 1}, "%d documents; a policy file holds exactly one", len(docs))
		return d
	}
	if ast.Walk(plain{s}, docs[0].Body); len(s.errs) == 0 {
		s.decode(docs[0].Body, &d)
	}
	return d
}

// plain refuses what would let a file mean something else than it seems to
// say: references to other places, and keys without a value.
type plain struct{ *source }

// Visit looks at one node.
func (s plain) Visit(n ast.Node) ast.Visitor {
	switch n := n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode, *ast.TagNode, *ast.DirectiveNode:
		s.fail(start(n), "anchors, aliases, merge keys, tags and directives are not read here; write it out")
		return nil
	case *ast.NullNode:
		s.fail(start(n), "there is no value here; give one or remove the key")
	}
	return s
}

// decode fills form from a node and reports whether all of it is as it should
// be. Keys that form does not know are refused, all of them: the library would
// name any one.
func (s *source) decode(n ast.Node, form any) bool {
	before := len(s.errs)
	known := keys(form)
	if m, ok := n.(ast.MapNode); ok {
		for pairs := m.MapRange(); pairs.Next(); {
			if key := pairs.Key().GetToken().Value; !slices.Contains(known, key) {
				s.fail(start(pairs.Key()), "unknown key %q; known here are %s", key, strings.Join(known, ", "))
			}
		}
	}
	err := yaml.NodeToValue(n, form, yaml.Strict())
	var unknown *yaml.UnknownFieldError
	if err != nil && (len(s.errs) == before || !errors.As(err, &unknown)) {
		s.failYAML(err)
	}
	return err == nil && len(s.errs) == before
}

// keys lists what a form knows.
func keys(form any) (out []string) {
	for f := range reflect.TypeOf(form).Elem().Fields() {
		out = append(out, f.Tag.Get("yaml"))
	}
	return out
}

func (s *source) failYAML(err error) {
	var e yaml.Error
	if !errors.As(err, &e) || e.GetToken() == nil || e.GetToken().Position == nil {
		s.fail(place{1, 1}, "%v", err)
		return
	}
	at := e.GetToken().Position
	s.fail(place{at.Line, at.Column}, "%s", e.GetMessage())
}

// The readers of single values. A text that was left out gives the zero value.

func (s *source) duration(t text) writ.Duration {
	if !t.set() {
		return 0
	}
	d, err := writ.ParseDuration(t.value)
	if err == nil && d <= 0 {
		err = errors.New("a duration of nothing; leave the key out or give a longer one")
	}
	if err != nil {
		s.fail(start(t.at), "%v", err)
	}
	return d
}

func (s *source) number(t text, otherwise int) int {
	if !t.set() {
		return otherwise
	}
	n, err := strconv.Atoi(t.value)
	if err != nil || n < 1 || n > 1000 {
		s.fail(start(t.at), "%q is not a number from 1 to 1000", t.value)
	}
	return n
}

func (s *source) flag(t text) bool {
	if t.set() && t.value != "true" && t.value != "false" {
		s.fail(start(t.at), "%q is neither true nor false", t.value)
	}
	return t.value == "true"
}

func (s *source) moment(t text) time.Time {
	if !t.set() {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, t.value)
	if err != nil {
		s.fail(start(t.at), "%q is not a time; write it as 2026-01-05T10:00:00Z", t.value)
	}
	return at
}

// pattern reads a regular expression that a whole value must match.
func (s *source) pattern(t text) *regexp.Regexp {
	if _, err := regexp.Compile(t.value); err != nil { // alone: a stray parenthesis must not close ours
		s.fail(start(t.at), "%v", err)
		return nil
	}
	re, err := regexp.Compile(`\A(?:` + t.value + `)\z`)
	if err != nil {
		s.fail(start(t.at), "%v", err)
	}
	return re
}

// word reads a name that people and verdicts use.
func (s *source) word(t text, in ast.Node, what string) string {
	switch {
	case !t.set():
		s.fail(start(in), "%s has no name; give it one", what)
	case !wordForm.MatchString(t.value):
		s.fail(start(t.at), "%q: the name of a %s has up to 63 of a-z 0-9 . _ - and starts with a letter or digit", t.value, what)
	}
	return t.value
}

var wordForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// refs reads identities and groups.
func (s *source) refs(list []text) (out []writ.Ref) {
	for _, t := range list {
		if kind, name, ok := strings.Cut(t.value, "/"); !ok || kind == "" || name == "" {
			s.fail(start(t.at), "%q: name a group or an identity, as group/security or human/max", t.value)
		}
		out = append(out, writ.Ref(t.value))
	}
	return out
}

func values(list []text) (out []string) {
	for _, t := range list {
		out = append(out, t.value)
	}
	return out
}
