package policy

// Target says what kind of thing a call wants to use.
type Target string

// The kinds of things that rules speak about.
const (
	Tool     Target = "tool"     // Name is the tool's name
	Prompt   Target = "prompt"   // Name is the prompt's name
	Resource Target = "resource" // Name is the resource's address (URI)
	Template Target = "template" // in lists only: a resource template; Name is its uriTemplate
	Method   Target = "method"   // Name is a method without any of the above
)

// Call is what somebody wants to do.
type Call struct {
	Server string // the server's name in the configuration; conditions can ask for it
	Target Target
	Name   string
	// Arguments are those of a tool or prompt. Numbers are int64 where they fit, else float64.
	Arguments map[string]any
}

// Subject is what a condition can see: who calls, and what for.
type Subject struct {
	Identity Identity
	Call     Call
}

// Condition is a compiled condition of a rule.
type Condition interface {
	// Holds evaluates the condition. An error means that it can't be decided (a field that isn't there,
	// too costly): the safe side is then taken, which is that a rule that allows doesn't apply, and one
	// that denies does.
	Holds(Subject) (bool, error)
	// UsesArguments says whether the answer can depend on the arguments of the call. Conditions that do
	// are left aside when a list is filtered.
	UsesArguments() bool
}

// ConditionCompiler makes a condition of its source. [Compile] calls it once a rule.
type ConditionCompiler func(source string) (Condition, error)
