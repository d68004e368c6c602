package policy_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/genkan-mcp/genkan/policy"
)

// FuzzPattern holds the matcher to a regular expression that says the same.
func FuzzPattern(f *testing.F) {
	for _, seed := range [][2]string{
		{"get_*", "get_forecast"}, {"*", ""}, {"*a*a*", "aa"}, {"a*a", "a"}, {"a**b", "ab"}, {"*ab*ab", "abab"}, {"*ab*ab", "ab"},
		{"x*yz*z", "xyz"}, {"", "x"}, {"***", "é"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if !utf8.ValidString(pattern) || !utf8.ValidString(name) || name == "" || len(name) > 1000 || len(pattern) > 200 {
			return
		}
		rules, err := policy.Compile([]policy.Rule{{Prompts: []string{pattern}}}, nil)
		if err != nil {
			return
		}
		parts := strings.Split(pattern, "*")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		want := regexp.MustCompile(`(?s)\A` + strings.Join(parts, ".*") + `\z`).MatchString(name)
		if got := rules.Decide(alice(), policy.Call{Target: policy.Prompt, Name: name}).Allowed; got != want {
			t.Errorf("%q with %q: got %v, want %v", pattern, name, got, want)
		}
	})
}

// FuzzTemplate: a template that expands to an allowed address is visible.
func FuzzTemplate(f *testing.F) {
	f.Add("file:///public/*", "file:///", "x", "/y")
	f.Add("*/a*b", "s:", "/a", "b")
	f.Fuzz(func(t *testing.T, pattern, before, value, after string) {
		if strings.ContainsAny(before+value+after+pattern, "{}%*?#\\") && !strings.Contains(pattern, "*") || strings.ContainsAny(before+after, "{}*") {
			return
		}
		rules, err := policy.Compile([]policy.Rule{{Resources: []string{pattern}}}, nil)
		if err != nil || !utf8.ValidString(before+value+after) {
			return
		}
		address, template := before+value+after, before+"{x}"+after
		allowed := rules.Decide(alice(), policy.Call{Target: policy.Resource, Name: address}).Allowed
		if strings.ContainsAny(address, "%:ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
			return // the normal form of the whole may differ from that of its parts
		}
		if allowed && !rules.Visible(alice(), policy.Template, template) {
			t.Errorf("%q allows %q, but hides %q", pattern, address, template)
		}
	})
}

// FuzzRules: whatever is configured and asked, nothing panics, and nothing is allowed without a rule.
func FuzzRules(f *testing.F) {
	f.Add("get_*", "Weather.Read", "a11ce", "file:///x", "tool", "get_forecast")
	f.Add("*", "", "*", "%2e%2e", "resource", "file:///%2e%2e/x")
	f.Fuzz(func(t *testing.T, pattern, role, object, resource, target, name string) {
		rule := policy.Rule{Allow: []string{pattern}, Resources: []string{resource}, Roles: []string{role}, People: []string{object}}
		deny := policy.Rule{Deny: []string{"*"}, DenyPrompts: []string{"*"}, DenyResources: []string{"*"}, DenyMethods: []string{"*"}}
		call := policy.Call{Target: policy.Target(target), Name: name}
		rules, err := policy.Compile([]policy.Rule{rule}, nil)
		if err != nil {
			return
		}
		d := rules.Decide(alice(), call)
		if d.Allowed && d.Rule.Name == "" && call.Target != policy.Method {
			t.Error("allowed by no rule")
		}
		if e := rules.Explain(alice(), call); e.Decision.Allowed != d.Allowed {
			t.Error("Explain and Decide differ")
		}
		both, err := policy.Compile([]policy.Rule{rule, deny}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if both.Decide(alice(), call).Allowed || both.Visible(alice(), call.Target, name) {
			t.Error("allowed although everything is denied")
		}
	})
}

// FuzzCases: a file of sentences is understood or refused.
func FuzzCases(f *testing.F) {
	f.Add("bob is a person with roles a, b\nbob may not call x on y with {\"a\": 1}\n# c\n")
	f.Add("bob may see file://x\nx is an application and\n")
	f.Fuzz(func(t *testing.T, source string) {
		cases, _ := policy.ParseCases(source, map[string]policy.Identity{"bob": bob()})
		for _, c := range cases {
			if c.Call.Name == "" || c.Line == 0 || c.Identity.Key() == "" && !strings.Contains(source, " is ") {
				t.Errorf("%+v", c)
			}
			c.Run(nil)
		}
	})
}
