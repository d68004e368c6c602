package condition_test

import (
	"fmt"

	"github.com/genkan-mcp/genkan/policy"
	"github.com/genkan-mcp/genkan/policy/condition"
)

func ExampleCompiler_Compile() {
	conditions, err := condition.New(condition.Config{})
	if err != nil {
		panic(err)
	}
	rules, err := policy.Compile([]policy.Rule{
		{Allow: []string{"transfer"}, When: `args.amount <= 100 || "Bank.Large" in identity.roles`},
	}, conditions.Compile)
	if err != nil {
		panic(err)
	}
	bob := policy.Identity{Tenant: "t", Object: "bob", Kind: policy.Person}
	for _, arguments := range []map[string]any{{"amount": int64(100)}, {"amount": 100.5}, {"amount": "1"}, {}} {
		d := rules.Decide(bob, policy.Call{Target: policy.Tool, Name: "transfer", Arguments: arguments})
		fmt.Println(arguments, d.Allowed)
	}
	// Output:
	// map[amount:100] true
	// map[amount:100.5] false
	// map[amount:1] false
	// map[] false
}

func ExampleNew() {
	conditions, err := condition.New(condition.Config{MaxCost: 1000})
	if err != nil {
		panic(err)
	}
	_, err = conditions.Compile(`identity.email == "alice@contoso.example"`)
	fmt.Println(err)
	// Output:
	// 1:9: undeclared reference to 'identity.email' (did you mean 'identity.tenant'?)
}
