package policy_test

import (
	"errors"
	"fmt"

	"github.com/genkan-mcp/genkan/policy"
	"github.com/genkan-mcp/genkan/policy/condition"
)

// weather is what the examples use: the rules of a small weather service.
func weather() *policy.Rules {
	conditions, err := condition.New(condition.Config{})
	if err != nil {
		panic(err)
	}
	rules, err := policy.Compile([]policy.Rule{
		{Name: "readers", Allow: []string{"get_*", "list_cities"}, Roles: []string{"Weather.Read"}},
		{Name: "writers", Allow: []string{"set_alert"}, Roles: []string{"Weather.Write"}, When: `args.level in ["low", "high"]`},
		{Name: "history", Resources: []string{"weather://history/*"}, Roles: []string{"Weather.Read"}, Scopes: []string{"weather.history"}},
		{Name: "no robots", Deny: []string{"set_*"}, Applications: []string{"*"}},
	}, conditions.Compile)
	if err != nil {
		panic(err)
	}
	return rules
}

func ExampleRules_Decide() {
	rules := weather()
	call := policy.Call{Server: "weather", Target: policy.Tool, Name: "set_alert", Arguments: map[string]any{"level": "high"}}

	alice := policy.Identity{Tenant: "t", Object: "alice", Kind: policy.Person, Roles: []string{"Weather.Read", "Weather.Write"}}
	d := rules.Decide(alice, call)
	fmt.Println("alice:", d.Allowed, "by", d.Rule.Name)

	bob := policy.Identity{Tenant: "t", Object: "bob", Kind: policy.Person, Roles: []string{"Weather.Read"}}
	d = rules.Decide(bob, call)
	fmt.Println("bob:", d.Allowed)
	fmt.Println(d.Refusal)
	// Output:
	// alice: true by writers
	// bob: false
	// refused by the rule check: wanted the app role Weather.Write for the tool "set_alert", got the app role Weather.Read; ask an administrator of Entra ID to assign the role, then sign in again
}

// A call that lacks only scopes names them, so that the client can ask for them.
func ExampleRules_Decide_stepUp() {
	bob := policy.Identity{Tenant: "t", Object: "bob", Kind: policy.Person, Roles: []string{"Weather.Read"}, Scopes: []string{"mcp"}}
	d := weather().Decide(bob, policy.Call{Target: policy.Resource, Name: "weather://history/kyoto"})
	fmt.Println(d.Allowed, d.MissingScopes, d.Hidden)
	// Output:
	// false [weather.history] false
}

func ExampleRules_Visible() {
	rules := weather()
	bob := policy.Identity{Tenant: "t", Object: "bob", Kind: policy.Person, Roles: []string{"Weather.Read"}}
	for _, tool := range []string{"get_forecast", "list_cities", "set_alert"} {
		fmt.Println(tool, rules.Visible(bob, policy.Tool, tool))
	}
	// Output:
	// get_forecast true
	// list_cities true
	// set_alert false
}

func ExampleRules_Explain() {
	bob := policy.Identity{Tenant: "t", Object: "bob", Kind: policy.Person, Roles: []string{"Weather.Read"}}
	e := weather().Explain(bob, policy.Call{Target: policy.Tool, Name: "set_alert", Arguments: map[string]any{"level": "low"}})
	for _, rule := range e.Rules {
		fmt.Printf("%s (%s): names it %v, applies %v\n", rule.Rule.Name, rule.Effect, rule.Names, rule.Applies)
	}
	for _, step := range e.Rules[e.Nearest].Steps {
		fmt.Printf("nearest: %s: %v: wanted %s, got %s\n", step.Field, step.Holds, step.Wanted, step.Got)
	}
	// Output:
	// readers (allow): names it false, applies false
	// writers (allow): names it true, applies false
	// history (allow): names it false, applies false
	// no robots (deny): names it true, applies false
	// nearest: roles: false: wanted the app role Weather.Write, got the app role Weather.Read
	// nearest: when: true: wanted the condition of "writers", got it holds
}

func ExampleRules_Scopes() {
	fmt.Println(weather().Scopes())
	// Output:
	// [weather.history]
}

// Every mistake is reported at once, with its place and what to do.
func ExampleCompile() {
	_, err := policy.Compile([]policy.Rule{
		{Allow: []string{"get_*"}, Roles: []string{}},
		{Allow: []string{"*"}, People: []string{"alice@contoso.example"}, Mode: "audit"},
	}, nil)
	var mistakes policy.Mistakes
	if errors.As(err, &mistakes) {
		for _, m := range mistakes {
			fmt.Println(m)
		}
	}
	// Output:
	// rules[0].roles: is an empty list; fill it, or remove the field
	// rules[1].mode: "audit" is not a mode; write enforce or observe
	// rules[1].people: "alice@contoso.example" looks like an address; use the object ID: addresses can be changed and taken by others
}

func ExampleParseCases() {
	cases, err := policy.ParseCases(`
# who they are
alice is a person with roles Weather.Read, Weather.Write
bob   is a person with roles Weather.Read

# what they may
alice may get_forecast
alice may call set_alert with {"level": "high"}
alice may not call set_alert with {"level": "red"}
bob may see set_alert
`, nil)
	if err != nil {
		fmt.Println(err)
	}
	for _, c := range cases {
		result := c.Run(weather())
		fmt.Println(result.Passed, c.Sentence)
	}
	// Output:
	// true alice may get_forecast
	// true alice may call set_alert with {"level": "high"}
	// true alice may not call set_alert with {"level": "red"}
	// false bob may see set_alert
}

func ExampleIdentity_Key() {
	fmt.Printf("%q %q\n", policy.Identity{Tenant: "t", Object: "o"}.Key(), policy.Identity{Object: "o"}.Key())
	// Output:
	// "t/o" ""
}
