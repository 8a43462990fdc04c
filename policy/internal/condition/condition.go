// Package condition evaluates the conditions of a policy: expressions of CEL
// over the facts of a request. They are typed, and what they can cost is
// bounded, when they are compiled and when they run.
package condition

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"

	"github.com/writhq/writ"
)

// budget bounds a condition: what it could cost at most, which is refused at
// load, and what it may cost when it runs. A unit takes around 50 ns.
const budget = 100_000

// language is CEL with the variables above. Everything in it is a function of
// its arguments, ends, and takes time and memory that its cost bounds.
var language = sync.OnceValues(func() (*cel.Env, error) {
	named := func(name string) []cel.NativeTypeOption {
		return []cel.NativeTypeOption{cel.NativeTypeAlias(name), types.ParseStructField(func(f reflect.StructField) string {
			return strings.ToLower(f.Name[:1]) + f.Name[1:]
		})}
	}
	return cel.NewEnv(
		cel.Types(
			cel.NativeTypeFor[identityFact](named("Identity")...),
			cel.NativeTypeFor[entitlementFact](named("Entitlement")...),
			cel.NativeTypeFor[targetFact](named("Target")...),
			cel.NativeTypeFor[requestFact](named("Request")...),
			cel.NativeTypeFor[liveFact](named("Live")...),
		),
		cel.Variable("requester", cel.ObjectType("Identity")),
		cel.Variable("subject", cel.ObjectType("Identity")),
		cel.Variable("entitlement", cel.ObjectType("Entitlement")),
		cel.Variable("target", cel.ObjectType("Target")),
		cel.Variable("request", cel.ObjectType("Request")),
		cel.Variable("live", cel.ListType(cel.ObjectType("Live"))),
		cel.Variable("now", cel.TimestampType),
		cel.OptionalTypes(),
		ext.Strings(),
		cel.ExtendedValidations(),
		cel.DefaultUTCTimeZone(true),
		cel.ParserExpressionSizeLimit(4096),
		cel.RegexProgramSizeLimit(1000),
	)
})

// A Condition is a CEL expression that is true or false. It never changes and
// may be used from several goroutines at once.
type Condition struct {
	ast     *cel.Ast
	program cel.Program
}

// A Problem is why an expression does not compile.
type Problem struct {
	Offset int // of the character where it stands
	Text   string
}

// Compile reads an expression.
func Compile(text string) (*Condition, []Problem) {
	env, err := language()
	if err != nil {
		return nil, []Problem{{0, err.Error()}}
	}
	checked, issues := env.Compile(text)
	if issues.Err() != nil {
		return nil, problems(text, issues)
	}
	if got := checked.OutputType(); !got.IsExactType(cel.BoolType) {
		return nil, []Problem{{0, fmt.Sprintf("this is of type %s; a condition is true or false: compare it with something", got)}}
	}
	most, err := env.EstimateCost(checked, sizes{})
	if err == nil && most.Max > budget {
		return nil, []Problem{{0, fmt.Sprintf("this could take more than the %d steps that are allowed; nest no loops and do not grow texts", budget)}}
	}
	program, errProgram := env.Program(checked, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(budget))
	if err := errors.Join(err, errProgram); err != nil {
		return nil, []Problem{{0, err.Error()}}
	}
	return &Condition{checked, program}, nil
}

func problems(text string, issues *cel.Issues) (out []Problem) {
	for _, e := range issues.Errors()[:min(len(issues.Errors()), 5)] {
		at := offset(text, e.Location.Line(), e.Location.Column())
		call := strings.HasPrefix(string([]rune(text)[at:]), "(")
		out = append(out, Problem{at, plainer(e.Message, call)})
	}
	return out
}

// offset returns how many characters stand before a CEL location, whose line
// counts from 1 and column from 0.
func offset(expr string, line, col int) int {
	rest := expr
	for ; line > 1; line-- {
		before, after, _ := strings.Cut(rest, "\n")
		col += utf8.RuneCountInString(before) + 1
		rest = after
	}
	return min(max(col, 0), utf8.RuneCountInString(expr))
}

// plainer says a message of CEL in fewer words. The place of a call is its
// parenthesis.
func plainer(message string, call bool) string {
	message, _, _ = strings.Cut(message, " expecting {")
	message = strings.NewReplacer("<EOF>", "the end", "Syntax error", "syntax error").Replace(message)
	name, missing := strings.CutPrefix(message, "undeclared reference to ")
	switch {
	case !missing:
		return message
	case call:
		return "there is no function " + name
	case strings.Contains(name, "did you mean"):
		return "there is no variable " + name
	}
	return "there is no variable " + name + "; there are " + strings.Join(variables[:], ", ")
}

// sizes says how long what a condition looks at can be. Where the facts are
// longer, the cost limit of the run stops it.
type sizes struct{}

// EstimateCallCost leaves the cost of functions to the library.
func (sizes) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}

// EstimateSize bounds what comes from the facts.
func (sizes) EstimateSize(n cost.AstNode) *cost.SizeEstimate {
	if n.ComputedSize() != nil || len(n.Path()) == 0 {
		return nil
	}
	most := cost.SizeEstimate{Max: 64}
	switch {
	case n.Type().Kind() == types.StringKind:
		most.Max = 256
	case n.Path()[0] == "live":
		most.Max = writ.MaxLive
	}
	return &most
}

// Holds evaluates the condition. Whatever is not exactly true or false is an error.
func (c *Condition) Holds(f *Facts) (bool, error) {
	out, _, err := c.program.Eval(f)
	if err != nil {
		return false, reword(err)
	}
	is, ok := out.(types.Bool)
	if !ok {
		return false, errors.New("its value is neither true nor false")
	}
	return bool(is), nil
}

func reword(err error) error {
	key, missing := strings.CutPrefix(err.Error(), "no such key: ")
	switch {
	case missing:
		return fmt.Errorf("there is no key %q; set it, or write [?%q].orValue(\"\") where it may be missing", key, key)
	case strings.Contains(err.Error(), "cost limit exceeded"):
		return errors.New("it takes too many steps and was stopped")
	}
	return err
}

// Seen lists what the condition looks at and what it finds there, for an
// explanation: `subject.environment is "staging"`.
func (c *Condition) Seen(f *Facts) (out []string) {
	env, err := language()
	if err != nil {
		return nil
	}
	program, err := env.Program(c.ast, cel.EvalOptions(cel.OptTrackState), cel.CostLimit(budget))
	if err != nil {
		return nil
	}
	_, details, _ := program.Eval(f) // an error is the verdict's to tell
	rep := c.ast.NativeRep()
	for _, e := range ast.MatchDescendants(ast.NavigateAST(rep), outermost) {
		value, known := details.State().Value(e.ID())
		name, err := cel.ExprToString(e, rep.SourceInfo())
		if !known || err != nil {
			continue
		}
		if text, ok := show(name, value); ok && !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out
}

// outermost matches a path such as entitlement.labels["risk"], whole.
func outermost(e ast.NavigableExpr) bool {
	parent, nested := e.Parent()
	return path(e) && !(nested && path(parent))
}

func path(e ast.Expr) bool {
	switch e.Kind() {
	case ast.IdentKind:
		return slices.Contains(variables[:], e.AsIdent())
	case ast.SelectKind:
		return path(e.AsSelect().Operand())
	case ast.CallKind:
		c := e.AsCall()
		index := c.FunctionName() == operators.Index || c.FunctionName() == operators.OptIndex
		return index && path(c.Args()[0]) && c.Args()[1].Kind() == ast.LiteralKind
	}
	return false
}

func show(name string, value ref.Val) (string, bool) {
	switch v := value.(type) {
	case *types.Optional:
		if !v.HasValue() {
			return name + " is not there", true
		}
		return show(name, v.GetValue())
	case *types.Err, *types.Unknown:
		return "", false
	case types.Duration:
		return name + " is " + writ.Of(v.Duration).String(), true
	}
	if value.Type().HasTrait(traits.FieldTesterType) { // a whole document
		return "", false
	}
	if name == "live" {
		name, value = "live.size()", value.(traits.Sizer).Size()
	}
	text := []rune(types.Format(value))
	if len(text) > 100 {
		text = append(text[:99], '…')
	}
	return name + " is " + string(text), true
}
