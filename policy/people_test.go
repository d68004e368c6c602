package policy_test

import (
	"errors"
	"testing"

	"github.com/genkan-mcp/genkan/policy"
)

const tenant = "6f89cf12-978b-4d23-ac18-9ef0c127cf87"

func person(object string, roles ...string) policy.Identity {
	return policy.Identity{Tenant: tenant, Object: object, Kind: policy.Person, Client: "editor", Roles: roles}
}

func alice() policy.Identity { return person("a11ce", "Weather.Read", "Weather.Write") }
func bob() policy.Identity   { return person("b0b", "Weather.Read") }
func carol() policy.Identity { return person("ca201") }

func robot() policy.Identity {
	return policy.Identity{Tenant: tenant, Object: "20b07", Kind: policy.Application, Client: "c0de", Roles: []string{"Weather.Read"}}
}

func tool(name string) policy.Call {
	return policy.Call{Server: "weather", Target: policy.Tool, Name: name}
}

func compile(t testing.TB, rules ...policy.Rule) *policy.Rules {
	t.Helper()
	compiled, err := policy.Compile(rules, conditions)
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// fixed is a condition whose answer stands in its source; "small" asks for the argument n.
type fixed string

func conditions(source string) (policy.Condition, error) {
	switch source {
	case "yes", "no", "broken", "small", "person":
		return fixed(source), nil
	}
	return nil, errors.New("unknown word")
}

func (f fixed) Holds(s policy.Subject) (bool, error) {
	switch f {
	case "yes":
		return true, nil
	case "person":
		return s.Identity.Kind == policy.Person, nil
	case "small":
		n, ok := s.Call.Arguments["n"].(int64)
		if !ok {
			return false, errors.New("no n")
		}
		return n < 10, nil
	case "broken":
		return false, errors.New("broken")
	}
	return false, nil
}

func (f fixed) UsesArguments() bool { return f == "small" || f == "broken" }
