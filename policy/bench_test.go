package policy_test

import (
	"fmt"
	"testing"

	"github.com/genkan-mcp/genkan/policy"
	"github.com/genkan-mcp/genkan/policy/condition"
)

// large are n rules, half of them exact names and half patterns, each for another role.
func large(b *testing.B, n int) *policy.Rules {
	rules := make([]policy.Rule, n)
	for i := range rules {
		name := fmt.Sprintf("tool_%d", i)
		if i%2 == 1 {
			name = fmt.Sprintf("area%d_*", i)
		}
		rules[i] = policy.Rule{Allow: []string{name}, Roles: []string{fmt.Sprintf("Role.%d", i), "Weather.Read"}}
	}
	return compile(b, rules...)
}

func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		rules := large(b, n)
		id := alice()
		for name, call := range map[string]policy.Call{
			"allowed": tool("tool_0"),
			"refused": tool("nothing"),
		} {
			b.Run(fmt.Sprintf("%s/rules=%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if d := rules.Decide(id, call); d.Allowed != (name == "allowed") {
						b.Fatal(d.Refusal)
					}
				}
			})
		}
		b.Run(fmt.Sprintf("visible/rules=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				rules.Visible(id, policy.Tool, "area1_x")
			}
		})
	}
}

func BenchmarkDecideWithCondition(b *testing.B) {
	compiler, err := condition.New(condition.Config{})
	if err != nil {
		b.Fatal(err)
	}
	rules, err := policy.Compile([]policy.Rule{{Allow: []string{"pay"}, When: `args.amount < 1000 && identity.kind == "person"`}}, compiler.Compile)
	if err != nil {
		b.Fatal(err)
	}
	id, call := alice(), tool("pay")
	call.Arguments = map[string]any{"amount": int64(10)}
	b.ReportAllocs()
	for b.Loop() {
		if !rules.Decide(id, call).Allowed {
			b.Fatal("refused")
		}
	}
}
