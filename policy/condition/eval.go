package condition

import (
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"github.com/genkan-mcp/genkan/policy"
)

const argsName = "args"

var _ policy.Condition = (*Condition)(nil)

// Condition is a compiled condition. Safe for concurrent use.
type Condition struct {
	program       cel.Program
	usesArguments bool
}

// UsesArguments says whether the condition asks for args.
func (c *Condition) UsesArguments() bool { return c.usesArguments }

// Holds evaluates the condition. The error says what could not be decided, and never what the arguments are.
func (c *Condition) Holds(s policy.Subject) (bool, error) {
	out, _, err := c.program.Eval(subject{&s})
	if err != nil {
		return false, fmt.Errorf("evaluate condition: %w", err)
	}
	holds, ok := out.(types.Bool)
	if !ok {
		return false, fmt.Errorf("evaluate condition: it is %s", out.Type())
	}
	return bool(holds), nil
}

// subject gives CEL what a condition can see.
type subject struct{ *policy.Subject }

// Parent says that there is nothing else to see.
func (s subject) Parent() cel.Activation { return nil }

// ResolveName finds a variable.
func (s subject) ResolveName(name string) (any, bool) {
	switch name {
	case "identity.tenant":
		return s.Identity.Tenant, true
	case "identity.object":
		return s.Identity.Object, true
	case "identity.kind":
		return string(s.Identity.Kind), true
	case "identity.client":
		return s.Identity.Client, true
	case "identity.roles":
		return s.Identity.Roles, true
	case "identity.groups":
		return s.Identity.Groups, true
	case "identity.scopes":
		return s.Identity.Scopes, true
	case "server":
		return s.Call.Server, true
	case "tool":
		return s.named(policy.Tool), true
	case "prompt":
		return s.named(policy.Prompt), true
	case "resource":
		return s.named(policy.Resource), true
	case argsName:
		if s.Call.Arguments == nil {
			return map[string]any{}, true
		}
		return s.Call.Arguments, true
	}
	return nil, false
}

func (s subject) named(target policy.Target) string {
	if s.Call.Target != target {
		return ""
	}
	return s.Call.Name
}
