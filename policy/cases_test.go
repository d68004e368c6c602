package policy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/policy"
)

func TestSentencesAreUnderstood(t *testing.T) {
	cases, err := policy.ParseCases(`
# who
bob is a person with roles Weather.Read, Weather.Try and groups g1 g2 and scopes mcp
robot is an application with client c0de and object o and tenant t
carol is a person

alice may get_forecast
bob may not call set_alert on weather with {"city": "Kyoto with {x}", "n": 1, "r": 0.5, "l": [{"m": 2}]}
robot may read file:///a/b.txt
carol may get briefing on news
carol may send tasks/list
carol may not see set_alert
carol may see file:///a
carol may read
`, map[string]policy.Identity{"alice": alice()})
	if err != nil {
		t.Fatal(err)
	}
	bob := policy.Identity{Tenant: "test", Object: "bob", Kind: policy.Person, Client: "test", Name: "bob",
		Roles: []string{"Weather.Read", "Weather.Try"}, Groups: []string{"g1", "g2"}, Scopes: []string{"mcp"}}
	robot := policy.Identity{Tenant: "t", Object: "o", Kind: policy.Application, Client: "c0de", Name: "robot"}
	carol := policy.Identity{Tenant: "test", Object: "carol", Kind: policy.Person, Client: "test", Name: "carol"}
	want := []policy.Case{
		{Line: 7, Identity: alice(), Call: policy.Call{Target: policy.Tool, Name: "get_forecast"}, Want: true},
		{Line: 8, Identity: bob, Call: policy.Call{Server: "weather", Target: policy.Tool, Name: "set_alert", Arguments: map[string]any{
			"city": "Kyoto with {x}", "n": int64(1), "r": 0.5, "l": []any{map[string]any{"m": int64(2)}}}}},
		{Line: 9, Identity: robot, Call: policy.Call{Target: policy.Resource, Name: "file:///a/b.txt"}, Want: true},
		{Line: 10, Identity: carol, Call: policy.Call{Server: "news", Target: policy.Prompt, Name: "briefing"}, Want: true},
		{Line: 11, Identity: carol, Call: policy.Call{Target: policy.Method, Name: "tasks/list"}, Want: true},
		{Line: 12, Identity: carol, Call: policy.Call{Target: policy.Tool, Name: "set_alert"}, Sees: true},
		{Line: 13, Identity: carol, Call: policy.Call{Target: policy.Resource, Name: "file:///a"}, Sees: true, Want: true},
		{Line: 14, Identity: carol, Call: policy.Call{Target: policy.Tool, Name: "read"}, Want: true},
	}
	for i := range cases {
		if !strings.Contains(cases[i].Sentence, " may ") {
			t.Errorf("sentence %q", cases[i].Sentence)
		}
		cases[i].Sentence = ""
	}
	if diff := cmp.Diff(want, cases); diff != "" {
		t.Error(diff)
	}
}

func TestSentencesThatMakeNoSenseAreAllReported(t *testing.T) {
	_, err := policy.ParseCases(`bob may x
bob is a robot
bob is a person with hats red
bob is a person with roles
bob loves x
bob may eat x
bob may
bob may call x with {"a": }
bob may call x with {} {}
bob may call x y z`, nil)
	if err == nil {
		t.Fatal("no mistake")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 10 {
		t.Errorf("got %d mistakes:\n%v", len(lines), err)
	}
}

func TestCasesPassOrFail(t *testing.T) {
	rules := compile(t, policy.Rule{Allow: []string{"get_*"}, Roles: []string{"Weather.Read"}})
	cases, err := policy.ParseCases(`b is a person with roles Weather.Read
b may get_forecast
b may set_alert
b may not set_alert
b may see get_forecast
b may see set_alert`, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []bool
	for _, c := range cases {
		result := c.Run(rules)
		got = append(got, result.Passed)
		if c.Sees != (result.Decision.Refusal == nil && !result.Decision.Allowed) {
			t.Errorf("%s: decision %+v", c.Sentence, result.Decision)
		}
	}
	if diff := cmp.Diff([]bool{true, false, true, true, false}, got); diff != "" {
		t.Error(diff)
	}
}
