package policy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/policy"
)

func TestEveryMistakeIsReportedAtOnce(t *testing.T) {
	_, err := policy.Compile([]policy.Rule{
		{},
		{Name: "both", Allow: []string{"a"}, Deny: []string{"b"}},
		{Allow: []string{""}, Roles: []string{}, Groups: []string{" g"}, Mode: "audit"},
		{Name: "both", Allow: []string{"get_[ab]"}, When: "huh"},
		{Deny: []string{"x"}, Scopes: []string{"s"}},
		{Allow: []string{"x"}, People: []string{"alice@contoso.example", "a*", "/x", "t/o/x"}, Scopes: []string{"a b"}},
		{Resources: []string{"file:///a/../b"}},
		{Methods: []string{"tools/list", "tools/call"}, DenyMethods: nil},
		{Name: "a\nb", Prompts: []string{strings.Repeat("p", 3000)}},
	}, conditions)
	var mistakes policy.Mistakes
	if !errors.As(err, &mistakes) {
		t.Fatalf("got %v", err)
	}
	var got []string
	for _, m := range mistakes {
		if m.Remedy == "" || m.Problem == "" {
			t.Errorf("%+v lacks a problem or a remedy", m)
		}
		got = append(got, strings.SplitN(m.Error(), ":", 2)[0])
	}
	want := []string{
		"rules[0]", "rules[1].deny (both)", "rules[2].allow", "rules[2].mode", "rules[2].roles", "rules[2].groups",
		"rules[3].name (both)", "rules[3].allow (both)", "rules[3].when (both)", "rules[4].scopes",
		"rules[5].scopes", "rules[5].people", "rules[5].people", "rules[5].people", "rules[5].people",
		"rules[6].resources", "rules[7].methods", "rules[7].methods", "rules[8].name (a\nb)", "rules[8].prompts (a\nb)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if lines := strings.Count(err.Error(), "\n"); lines < len(want)-1 {
		t.Errorf("the error has %d lines", lines+1)
	}
}

func TestAnEmptyListIsAMistakeAndNotEverybody(t *testing.T) {
	for name, rule := range map[string]policy.Rule{
		"roles":        {Allow: []string{"*"}, Roles: []string{}},
		"groups":       {Allow: []string{"*"}, Groups: []string{}},
		"people":       {Allow: []string{"*"}, People: []string{}},
		"applications": {Allow: []string{"*"}, Applications: []string{}},
		"clients":      {Allow: []string{"*"}, Clients: []string{}},
		"scopes":       {Allow: []string{"*"}, Scopes: []string{}},
		"one is unset": {Allow: []string{"*"}, Roles: []string{""}},
		"allow":        {Allow: []string{}},
	} {
		if _, err := policy.Compile([]policy.Rule{rule}, nil); err == nil {
			t.Errorf("%s: no mistake", name)
		}
	}
}

func TestAConditionNeedsACompiler(t *testing.T) {
	if _, err := policy.Compile([]policy.Rule{{Allow: []string{"*"}, When: "yes"}}, nil); err == nil {
		t.Error("a condition was ignored")
	}
	if rules, err := policy.Compile([]policy.Rule{{Allow: []string{"*"}}}, nil); err != nil || rules.Len() != 1 {
		t.Errorf("got %v, %v", rules, err)
	}
}

func TestChangingTheListAfterwardsChangesNothing(t *testing.T) {
	list := []policy.Rule{{Allow: []string{"get_*"}, Roles: []string{"Weather.Read"}, Scopes: []string{"s"}}}
	rules, err := policy.Compile(list, nil)
	if err != nil {
		t.Fatal(err)
	}
	list[0].Roles[0], list[0].Allow[0], list[0].Scopes[0] = "Nobody", "x", "y"
	rules.Scopes()[0] = "z"
	id := bob()
	id.Scopes = []string{"s"}
	if d := rules.Decide(id, tool("get_forecast")); !d.Allowed {
		t.Errorf("the rules changed: %v", d.Refusal)
	}
}
