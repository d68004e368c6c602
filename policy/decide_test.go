package policy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/policy"
)

func TestTheZeroDecisionDenies(t *testing.T) {
	var d policy.Decision
	if d.Allowed {
		t.Error("the zero Decision allows")
	}
}

func TestNothingIsAllowedThatNoRuleAllows(t *testing.T) {
	for name, rules := range map[string]*policy.Rules{
		"no rules":   compile(t),
		"nil rules":  nil,
		"other tool": compile(t, policy.Rule{Allow: []string{"list_cities"}}),
		"other case": compile(t, policy.Rule{Allow: []string{"Get_Forecast"}}),
		"a prompt":   compile(t, policy.Rule{Prompts: []string{"*"}, Resources: []string{"*"}, Methods: []string{"*"}}),
		"observed":   compile(t, policy.Rule{Allow: []string{"*"}, Mode: policy.Observe}),
		"other role": compile(t, policy.Rule{Allow: []string{"*"}, Roles: []string{"weather.read"}}),
	} {
		t.Run(name, func(t *testing.T) {
			d := rules.Decide(alice(), tool("get_forecast"))
			if d.Allowed || d.Refusal == nil || d.Refusal.Check != policy.CheckRule || !d.Hidden {
				t.Errorf("got %+v", d)
			}
			if rules.Visible(alice(), policy.Tool, "get_forecast") {
				t.Error("it is in the list")
			}
		})
	}
}

func TestWhoARuleIsAbout(t *testing.T) {
	many := person("e21", "Weather.Read")
	many.Groups = []string{"0DF0", "G1"}
	nobody := alice()
	nobody.Object = ""
	stranger := alice()
	stranger.Kind = "ghost"
	for name, test := range map[string]struct {
		rule    policy.Rule
		allowed []policy.Identity
		refused []policy.Identity
	}{
		"everybody": {policy.Rule{}, []policy.Identity{alice(), carol(), robot()}, []policy.Identity{nobody, stranger, {}}},
		"one role of several": {policy.Rule{Roles: []string{"Weather.Write", "Weather.Admin"}},
			[]policy.Identity{alice()}, []policy.Identity{bob(), carol(), robot()}},
		"groups in any case":     {policy.Rule{Groups: []string{"g1"}}, []policy.Identity{many}, []policy.Identity{alice()}},
		"a person":               {policy.Rule{People: []string{"A11CE"}}, []policy.Identity{alice()}, []policy.Identity{bob(), robot()}},
		"a person of the tenant": {policy.Rule{People: []string{tenant + "/a11ce"}}, []policy.Identity{alice()}, []policy.Identity{bob()}},
		"another tenant":         {policy.Rule{People: []string{"other/a11ce"}}, nil, []policy.Identity{alice()}},
		"any person":             {policy.Rule{People: []string{"*"}}, []policy.Identity{alice(), carol()}, []policy.Identity{robot(), stranger}},
		"any application":        {policy.Rule{Applications: []string{"*"}}, []policy.Identity{robot()}, []policy.Identity{alice()}},
		"an application by client": {policy.Rule{Applications: []string{"C0DE"}},
			[]policy.Identity{robot()}, []policy.Identity{alice(), person("c0de")}},
		"an application by object":    {policy.Rule{Applications: []string{"20b07"}}, []policy.Identity{robot()}, []policy.Identity{person("20b07")}},
		"people are not applications": {policy.Rule{People: []string{"20b07"}}, nil, []policy.Identity{robot()}},
		"who, in two halves": {policy.Rule{People: []string{"b0b"}, Applications: []string{"*"}},
			[]policy.Identity{bob(), robot()}, []policy.Identity{alice()}},
		"a client":   {policy.Rule{Clients: []string{"EDITOR"}}, []policy.Identity{alice()}, []policy.Identity{robot()}},
		"two fields": {policy.Rule{Roles: []string{"Weather.Read"}, People: []string{"b0b", "ca201"}}, []policy.Identity{bob()}, []policy.Identity{alice(), carol()}},
		"condition":  {policy.Rule{When: "person"}, []policy.Identity{alice()}, []policy.Identity{robot()}},
	} {
		t.Run(name, func(t *testing.T) {
			rule := test.rule
			rule.Allow = []string{"get_forecast"}
			rules := compile(t, rule)
			for _, id := range test.allowed {
				if d := rules.Decide(id, tool("get_forecast")); !d.Allowed {
					t.Errorf("%s is refused: %v", id.Object, d.Refusal)
				}
			}
			for _, id := range test.refused {
				if d := rules.Decide(id, tool("get_forecast")); d.Allowed {
					t.Errorf("%s is allowed", id.Object)
				}
			}
		})
	}
}

func TestDenyWinsWhereverItStands(t *testing.T) {
	allow := policy.Rule{Name: "all", Allow: []string{"*"}}
	deny := policy.Rule{Name: "no writes", Deny: []string{"set_*"}, Roles: []string{"Weather.Read"}}
	for name, rules := range map[string]*policy.Rules{"before": compile(t, deny, allow), "behind": compile(t, allow, deny)} {
		t.Run(name, func(t *testing.T) {
			d := rules.Decide(bob(), tool("set_alert"))
			if d.Allowed || d.Rule.Name != "no writes" || !d.Hidden {
				t.Errorf("got %+v", d)
			}
			if d := rules.Decide(bob(), tool("get_forecast")); !d.Allowed || d.Rule.Name != "all" {
				t.Errorf("got %+v", d)
			}
			if d := rules.Decide(carol(), tool("set_alert")); !d.Allowed {
				t.Errorf("carol is not whom the rule is about: %+v", d)
			}
		})
	}
}

func TestTheFirstRuleThatAllowsIsNamed(t *testing.T) {
	rules := compile(t, policy.Rule{Allow: []string{"x"}}, policy.Rule{Allow: []string{"get_*"}}, policy.Rule{Name: "exact", Allow: []string{"get_forecast"}})
	want := policy.Decision{Allowed: true, Rule: policy.RuleID{Name: "rule 2", Index: 1}}
	if diff := cmp.Diff(want, rules.Decide(alice(), tool("get_forecast"))); diff != "" {
		t.Error(diff)
	}
}

func TestAConditionThatCannotBeDecidedTakesTheSafeSide(t *testing.T) {
	allow := compile(t, policy.Rule{Allow: []string{"*"}, When: "broken"})
	if d := allow.Decide(alice(), tool("x")); d.Allowed {
		t.Error("a rule that allows applied")
	}
	deny := compile(t, policy.Rule{Allow: []string{"*"}}, policy.Rule{Deny: []string{"x"}, When: "broken"})
	if d := deny.Decide(alice(), tool("x")); d.Allowed {
		t.Error("a rule that denies did not apply")
	}
}

func TestConditionsOverArgumentsAreLeftAsideInLists(t *testing.T) {
	rules := compile(t,
		policy.Rule{Allow: []string{"pay", "look"}, When: "small"},
		policy.Rule{Allow: []string{"never"}, When: "no"},
		policy.Rule{Deny: []string{"look"}, When: "broken"},
		policy.Rule{Deny: []string{"pay"}, When: "person", Applications: []string{"*"}},
	)
	for name, want := range map[string]bool{"pay": true, "look": true, "never": false} {
		if got := rules.Visible(alice(), policy.Tool, name); got != want {
			t.Errorf("%s: visible %v, want %v", name, got, want)
		}
	}
	call := tool("pay")
	call.Arguments = map[string]any{"n": int64(11)}
	if d := rules.Decide(alice(), call); d.Allowed || d.Hidden {
		t.Errorf("a call refused for its arguments must not be answered as unknown: %+v", d)
	}
	call.Arguments["n"] = int64(9)
	if d := rules.Decide(alice(), call); !d.Allowed {
		t.Errorf("got %+v", d)
	}
	if !rules.UsesArguments() || compile(t, policy.Rule{Allow: []string{"*"}, When: "person"}).UsesArguments() {
		t.Error("UsesArguments is wrong")
	}
}

func TestMissingScopesAreNamedOnlyWhenTheyAreAllThatIsMissing(t *testing.T) {
	rules := compile(t,
		policy.Rule{Allow: []string{"set_*"}, Roles: []string{"Weather.Write"}, Scopes: []string{"weather.write", "weather.admin"}},
		policy.Rule{Allow: []string{"set_*"}, Roles: []string{"Weather.Write"}, Scopes: []string{"weather.write"}},
	)
	d := rules.Decide(alice(), tool("set_alert"))
	want := policy.Decision{
		Refusal: &policy.Refusal{Check: policy.CheckScope, Wanted: "the scopes weather.write", Got: "none",
			Remedy: "let the client ask for them and sign in again"},
		MissingScopes: []string{"weather.write"},
	}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Error(diff)
	}
	if d := rules.Decide(bob(), tool("set_alert")); d.MissingScopes != nil || !d.Hidden {
		t.Errorf("bob lacks the role, no scope helps: %+v", d)
	}
	denied := compile(t, policy.Rule{Allow: []string{"*"}, Scopes: []string{"s"}}, policy.Rule{Deny: []string{"set_*"}})
	if d := denied.Decide(alice(), tool("set_alert")); d.MissingScopes != nil {
		t.Errorf("a denied call offers a way: %+v", d)
	}
	granted := alice()
	granted.Scopes = []string{"mcp", "weather.write"}
	if d := rules.Decide(granted, tool("set_alert")); !d.Allowed {
		t.Errorf("got %+v", d)
	}
	if diff := cmp.Diff([]string{"weather.admin", "weather.write"}, rules.Scopes()); diff != "" {
		t.Error(diff)
	}
}

func TestObserveRecordsAndDecidesNothing(t *testing.T) {
	rules := compile(t,
		policy.Rule{Allow: []string{"*"}},
		policy.Rule{Name: "freeze", Deny: []string{"set_*"}, Mode: policy.Observe},
		policy.Rule{Name: "readers", Allow: []string{"get_*"}, Roles: []string{"Weather.Read"}, Mode: policy.Observe},
		policy.Rule{Name: "scoped", Allow: []string{"scoped"}, Scopes: []string{"s"}, Mode: policy.Observe},
	)
	for _, test := range []struct {
		id   policy.Identity
		tool string
		want []string
	}{
		{alice(), "set_alert", []string{"freeze"}},
		{alice(), "get_forecast", nil},
		{carol(), "get_forecast", []string{"readers"}},
		{carol(), "other", nil},
		{alice(), "scoped", []string{"scoped"}},
	} {
		d := rules.Decide(test.id, tool(test.tool))
		var got []string
		for _, o := range d.Observed {
			got = append(got, o.Rule.Name)
			if o.Refusal == nil {
				t.Errorf("%s: no refusal", o.Rule.Name)
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" || !d.Allowed {
			t.Errorf("%s %s: allowed %v %s", test.id.Object, test.tool, d.Allowed, diff)
		}
	}
}

func TestMethodsOfTheProtocolNeedNoRuleAndCanBeTakenAway(t *testing.T) {
	method := func(name string) policy.Call { return policy.Call{Target: policy.Method, Name: name} }
	rules := compile(t,
		policy.Rule{DenyMethods: []string{"logging/*"}, Applications: []string{"*"}},
		policy.Rule{Methods: []string{"x-reports/*"}, Roles: []string{"Weather.Read"}},
	)
	for _, test := range []struct {
		id     policy.Identity
		method string
		want   bool
	}{
		{carol(), "initialize", true},
		{carol(), "tools/list", true},
		{carol(), "logging/setLevel", true},
		{robot(), "logging/setLevel", false},
		{bob(), "x-reports/make", true},
		{carol(), "x-reports/make", false},
		{alice(), "tools/call", false},
		{alice(), "Tools/List", false},
		{alice(), "unheard/of", false},
	} {
		if d := rules.Decide(test.id, method(test.method)); d.Allowed != test.want {
			t.Errorf("%s %s: got %v", test.id.Object, test.method, d.Allowed)
		}
		if got := rules.Visible(test.id, policy.Method, test.method); got != test.want {
			t.Errorf("%s %s: visible %v", test.id.Object, test.method, got)
		}
	}
	var none *policy.Rules
	if !none.Decide(carol(), method("ping")).Allowed || none.Decide(carol(), method("unheard/of")).Allowed ||
		!none.Visible(carol(), policy.Method, "ping") || none.Visible(carol(), policy.Method, "unheard/of") {
		t.Error("without rules the methods of the protocol are allowed, and no other")
	}
}

func TestResourceAddressesCannotBeDisguised(t *testing.T) {
	rules := compile(t,
		policy.Rule{Resources: []string{"FILE:///public/*", "https://docs.example/*"}},
		policy.Rule{DenyResources: []string{"file:///public/secret/*"}},
	)
	for address, want := range map[string]bool{
		"file:///public/a.txt":                        true,
		"FILE:///public/a.txt":                        true,
		"file:///%70ublic/a.txt":                      true,
		"https://DOCS.example/x":                      true,
		"file:///Public/a.txt":                        false,
		"file:///private/a.txt":                       false,
		"file:///public/secret/a":                     false,
		"file:///public/%73ecret/a":                   false,
		"FiLe:///public/secret/a":                     false,
		"file:///public/../private/a":                 false,
		"file:///public/%2e%2e/private/a":             false,
		"file:///public/%2E./private/a":               false,
		"file:///public/%252e%252e/private":           false,
		`file:///public/..\private`:                   false,
		"file:///public/..%5cprivate":                 false,
		"file:///public/..%2fprivate":                 false,
		"file:///public/./a":                          false,
		"file:///public/..":                           false,
		"file:///public/...":                          true,
		"file:///public/a..b":                         true,
		"file:///public/%":                            true,
		"file:///public/%25252525252525252e":          false,
		"https://docs.example.evil.example/x":         false,
		"https://docs.example/?q=a/../b":              false,
		"https://docs.example/x#..":                   false,
		"public/a.txt":                                false,
		"":                                            false,
		"file:///public/" + strings.Repeat("a", 9000): false,
	} {
		call := policy.Call{Target: policy.Resource, Name: address}
		if d := rules.Decide(alice(), call); d.Allowed != want {
			t.Errorf("%.60q: got %v (%v)", address, d.Allowed, d.Refusal)
		}
	}
}

func TestTemplatesAreVisibleWhenSomeAddressOfTheirsCouldBeAllowed(t *testing.T) {
	rules := compile(t,
		policy.Rule{Resources: []string{"file:///public/*", "db://main/users/1"}},
		policy.Rule{DenyResources: []string{"file:///public/secret/*"}},
	)
	for template, want := range map[string]bool{
		"file:///public/{name}":         true,
		"file:///{+path}":               true,
		"{+anything}":                   true,
		"db://main/{table}/{id}":        true,
		"db://main/users/{id}{?fields}": true,
		"file:///private/{name}":        false,
		"db://main/orders/{id}":         false,
		"file:///public/secret/{name}":  false,
		"file:///public/":               true,
		"file:///public":                false,
		"file:///public/{unclosed":      true,
		"file:///public/../{x}":         false,
	} {
		if got := rules.Visible(alice(), policy.Template, template); got != want {
			t.Errorf("%s: got %v, want %v", template, got, want)
		}
	}
	if d := rules.Decide(alice(), policy.Call{Target: policy.Template, Name: "file:///public/{name}"}); d.Allowed {
		t.Error("nobody calls a template")
	}
}

func TestARefusalSaysWhatIsMissing(t *testing.T) {
	rules := compile(t,
		policy.Rule{Name: "admins", Allow: []string{"set_*"}, Roles: []string{"Weather.Admin"}, Groups: []string{"g"}, Clients: []string{"c"}},
		policy.Rule{Name: "writers", Allow: []string{"set_*"}, Roles: []string{"Weather.Write"}},
		policy.Rule{Name: "tuesdays", Allow: []string{"dance"}, When: "no"},
		policy.Rule{Name: "two", Allow: []string{"guarded"}, People: []string{"x"}, Applications: []string{"y"}},
		policy.Rule{Name: "crowd", Allow: []string{"crowd"}, Groups: []string{"1", "2", "3", "4", "5", "6"}},
		policy.Rule{Name: "stop", Deny: []string{"rm"}},
	)
	for call, want := range map[string]policy.Refusal{
		"set_alert": {Check: policy.CheckRule, Wanted: `the app role Weather.Write for the tool "set_alert"`, Got: "the app role Weather.Read",
			Remedy: "ask an administrator of Entra ID to assign the role, then sign in again"},
		"dance": {Check: policy.CheckRule, Wanted: `the condition of "tuesdays" for the tool "dance"`, Got: "it does not hold",
			Remedy: "call it with other arguments, or ask the administrator of this server"},
		"guarded": {Check: policy.CheckRule, Wanted: `a person or an application that "two" names for the tool "guarded"`,
			Got: `person "` + tenant + `/b0b"`, Remedy: `ask the administrator of this server to change "two"`},
		"crowd": {Check: policy.CheckRule, Wanted: `membership in group 1, 2, 3, 4, 5 or another for the tool "crowd"`, Got: "none",
			Remedy: "ask for membership, then sign in again"},
		"rm": {Check: policy.CheckRule, Wanted: `the tool "rm" not to be denied`, Got: `denied by "stop"`,
			Remedy: "ask the administrator of this server to change that rule"},
		"x\"\n\x7f" + strings.Repeat("é", 100): {Check: policy.CheckRule,
			Wanted: `a rule that allows the tool "x???` + strings.Repeat("é", 58) + `..."`, Got: "none",
			Remedy: "ask the administrator of this server for such a rule"},
	} {
		d := rules.Decide(bob(), tool(call))
		if diff := cmp.Diff(&want, d.Refusal); diff != "" {
			t.Errorf("%.20q: %s", call, diff)
		}
	}
	if r := rules.Decide(policy.Identity{}, tool("x")).Refusal; r.Check != policy.CheckObject {
		t.Errorf("got %v", r)
	}
	if r := rules.Decide(policy.Identity{Tenant: "t", Object: "o"}, tool("x")).Refusal; r.Check != policy.CheckKind {
		t.Errorf("got %v", r)
	}
}
