// Package condition is the language of a rule's `when`: a CEL expression (https://cel.dev) over who calls and
// with what, that is true or false.
//
//	args.amount < 1000 && identity.kind == "person"
//	args.city in ["Kyoto", "Nara"]
//	identity.roles.exists(r, r.startsWith("Weather."))
//	!has(args.path) || args.path.startsWith("/public/")
//
// # What it can see
//
//	identity.tenant, identity.object   string: who calls
//	identity.kind                      string: "person" or "application"
//	identity.client                    string: the OAuth client that holds the token
//	identity.roles, .groups, .scopes   list of string
//	server                             string: the server's name in the configuration
//	tool, prompt, resource             string: what is called; "" for the other two
//	args                               map: the arguments of the tool or prompt
//
// Names and addresses of people are not there: others can change them. There is no clock and no randomness, so a
// condition answers the same until its inputs change.
//
// # The safe side
//
// A condition is checked when the configuration is loaded: an unknown field, a wrong type, or a result
// that isn't a bool is a mistake then. What can only go wrong later is an error of [Condition.Holds], and
// package policy takes the safe side: a rule that allows doesn't apply, one that denies does. That is so for an
// argument that isn't there, a type that doesn't fit, and an evaluation that costs more than [Config.MaxCost].
// Mind has(): `!has(args.path) || ...` is true for a call without path, also when the tool has a default.
//
// Whole numbers that fit into 64 bits are int, all others double; they compare with each other.
package condition

import (
	"errors"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"github.com/genkan-mcp/genkan/policy"
)

// Config says how much a condition may cost. The zero value is a good default.
type Config struct {
	// MaxCost bounds the work of one evaluation, in CEL cost units (one is about a comparison, or ten
	// characters of a text that is searched); 1,000,000 when zero, which takes some milliseconds.
	MaxCost uint64
}

const (
	defaultCost  = 1_000_000
	maxSource    = 4096
	maxNesting   = 2
	maxRecursion = 64
	maxMistakes  = 3
)

// Compiler makes conditions of their sources. Safe for concurrent use.
type Compiler struct {
	env     *cel.Env
	maxCost uint64
}

// New makes a compiler.
func New(config Config) (*Compiler, error) {
	options := []cel.EnvOption{
		cel.CrossTypeNumericComparisons(true),
		cel.ParserExpressionSizeLimit(maxSource),
		cel.ParserRecursionLimit(maxRecursion),
		cel.ASTValidators(cel.ValidateComprehensionNestingLimit(maxNesting), cel.ValidateRegexLiterals()),
		cel.Variable(argsName, cel.MapType(cel.StringType, cel.DynType)),
	}
	for _, name := range []string{"identity.tenant", "identity.object", "identity.kind", "identity.client",
		"server", "tool", "prompt", "resource"} {
		options = append(options, cel.Variable(name, cel.StringType))
	}
	for _, name := range []string{"identity.roles", "identity.groups", "identity.scopes"} {
		options = append(options, cel.Variable(name, cel.ListType(cel.StringType)))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		return nil, fmt.Errorf("make the condition language: %w", err)
	}
	c := &Compiler{env: env, maxCost: config.MaxCost}
	if c.maxCost == 0 {
		c.maxCost = defaultCost
	}
	return c, nil
}

// Compile checks a condition. It is a [policy.ConditionCompiler].
func (c *Compiler) Compile(source string) (policy.Condition, error) {
	checked, issues := c.env.Compile(source)
	if err := issues.Err(); err != nil {
		return nil, errors.New(brief(err.Error()))
	}
	if !checked.OutputType().IsExactType(types.BoolType) {
		return nil, fmt.Errorf("it is %s and must be true or false: compare it with something", checked.OutputType())
	}
	program, err := c.env.Program(checked, cel.CostLimit(c.maxCost), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	condition := &Condition{program: program}
	for _, reference := range checked.NativeRep().ReferenceMap() {
		if reference.Name == argsName {
			condition.usesArguments = true
		}
	}
	return condition, nil
}

// brief keeps of what CEL says the position and the sentence of the first few mistakes.
func brief(message string) string {
	var mistakes []string
	for line := range strings.Lines(message) {
		if mistake, ok := strings.CutPrefix(strings.TrimSpace(line), "ERROR: <input>:"); ok && len(mistakes) < maxMistakes {
			mistakes = append(mistakes, mistake)
		}
	}
	if len(mistakes) == 0 {
		return message
	}
	return strings.Join(mistakes, "; ")
}
