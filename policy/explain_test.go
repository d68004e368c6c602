package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/policy"
)

func TestExplainSaysOfEveryRuleWhyItAppliedOrNot(t *testing.T) {
	writers := policy.Rule{Name: "writers", Allow: []string{"set_*"}, Roles: []string{"Weather.Write"}, When: "small", Scopes: []string{"w"}}
	rules := compile(t,
		policy.Rule{Name: "readers", Allow: []string{"get_*"}, Roles: []string{"Weather.Read"}},
		writers,
		policy.Rule{Name: "admins", Allow: []string{"*"}, Roles: []string{"Weather.Admin"}, Groups: []string{"g"}, Clients: []string{"c"}, Applications: []string{"y"}},
		policy.Rule{Name: "watch", Deny: []string{"set_*"}, Mode: policy.Observe},
	)
	call := tool("set_alert")
	call.Arguments = map[string]any{"n": int64(3)}
	e := rules.Explain(bob(), call)
	if e.Decision.Allowed || e.Nearest != 1 || len(e.Rules) != 4 {
		t.Fatalf("got %+v", e)
	}
	want := policy.RuleReport{
		Rule: policy.RuleID{Name: "writers", Index: 1}, Effect: policy.Allows, Mode: policy.Enforce, Names: true, Source: writers,
		Steps: []policy.Step{
			{Field: "roles", Wanted: "the app role Weather.Write", Got: "the app role Weather.Read"},
			{Field: "when", Holds: true, Wanted: `the condition of "writers"`, Got: "it holds"},
			{Field: "scopes", Wanted: "the scopes w", Got: "none"},
		},
	}
	if diff := cmp.Diff(want, e.Rules[1]); diff != "" {
		t.Error(diff)
	}
	if r := e.Rules[0]; r.Names || r.Applies || !r.Steps[0].Holds {
		t.Errorf("readers holds for bob but doesn't name the tool: %+v", r)
	}
	if r := e.Rules[3]; !r.Applies || r.Mode != policy.Observe || len(e.Decision.Observed) != 1 {
		t.Errorf("the watched rule applies: %+v", r)
	}
	if r := e.Rules[2]; len(r.Steps) != 4 || r.Steps[2].Field != "applications" {
		t.Errorf("got %+v", r)
	}
}

func TestThereIsNoNearestRuleWhenNoneCouldAllow(t *testing.T) {
	rules := compile(t, policy.Rule{Allow: []string{"get_*"}}, policy.Rule{Deny: []string{"get_secret"}})
	for _, name := range []string{"get_forecast", "get_secret", "set_alert"} {
		if e := rules.Explain(alice(), tool(name)); e.Nearest != -1 {
			t.Errorf("%s: nearest %d", name, e.Nearest)
		}
	}
	var none *policy.Rules
	if e := none.Explain(alice(), tool("x")); e.Decision.Allowed || e.Nearest != -1 || e.Rules != nil {
		t.Errorf("got %+v", e)
	}
	if e := rules.Explain(policy.Identity{}, tool("get_forecast")); e.Rules[0].Applies {
		t.Error("a rule applies to nobody")
	}
}
