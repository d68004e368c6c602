package policy_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/genkan-mcp/genkan/policy"
)

// world draws rules, identities and calls from few words, so that they meet often.
type world struct{ *rapid.T }

func (w world) some(label string, words ...string) []string {
	list := rapid.SliceOfN(rapid.SampledFrom(words), 0, 2).Draw(w.T, label)
	if len(list) == 0 {
		return nil
	}
	return list
}

func (w world) who(rule policy.Rule) policy.Rule {
	rule.Roles = w.some("roles", "r1", "r2", "r3")
	rule.Groups = w.some("groups", "g1", "g2")
	rule.People = w.some("people", "p1", "p2", "*", "t1/p1")
	rule.Applications = w.some("applications", "p1", "c1", "*")
	rule.Clients = w.some("clients", "c1", "c2")
	rule.When = rapid.SampledFrom([]string{"", "", "yes", "no", "broken", "small", "person"}).Draw(w.T, "when")
	return rule
}

func (w world) allow() policy.Rule {
	rule := w.who(policy.Rule{Allow: w.patterns()})
	rule.Scopes = w.some("scopes", "s1", "s2")
	return rule
}

func (w world) deny() policy.Rule { return w.who(policy.Rule{Deny: w.patterns()}) }

func (w world) patterns() []string {
	return rapid.SliceOfN(rapid.SampledFrom([]string{"get_a", "get_*", "*_a", "set_a", "*", "g*_*a"}), 1, 2).Draw(w.T, "patterns")
}

func (w world) rules() []policy.Rule {
	var rules []policy.Rule
	for range rapid.IntRange(0, 6).Draw(w.T, "rules") {
		switch rapid.IntRange(0, 3).Draw(w.T, "kind") {
		case 0:
			rules = append(rules, w.deny())
		case 1:
			rule := w.allow()
			rule.Mode = policy.Observe
			rules = append(rules, rule)
		default:
			rules = append(rules, w.allow())
		}
	}
	return rules
}

func (w world) identity() policy.Identity {
	return policy.Identity{
		Tenant: "t1", Object: rapid.SampledFrom([]string{"p1", "p2"}).Draw(w.T, "object"),
		Kind:   rapid.SampledFrom([]policy.Kind{policy.Person, policy.Application}).Draw(w.T, "identity kind"),
		Client: rapid.SampledFrom([]string{"c1", "c2"}).Draw(w.T, "client"),
		Roles:  w.some("has roles", "r1", "r2"), Groups: w.some("has groups", "g1"), Scopes: w.some("has scopes", "s1", "s2"),
	}
}

func (w world) call() policy.Call {
	call := tool(rapid.SampledFrom([]string{"get_a", "set_a", "get_b"}).Draw(w.T, "tool"))
	if rapid.Bool().Draw(w.T, "arguments") {
		call.Arguments = map[string]any{"n": rapid.Int64Range(0, 20).Draw(w.T, "n")}
	}
	return call
}

func (w world) compile(rules []policy.Rule) *policy.Rules {
	compiled, err := policy.Compile(rules, conditions)
	if err != nil {
		w.Fatal(err)
	}
	return compiled
}

func insert(w world, rules []policy.Rule, rule policy.Rule) []policy.Rule {
	return slices.Insert(slices.Clone(rules), rapid.IntRange(0, len(rules)).Draw(w.T, "place"), rule)
}

func TestAddingADenyNeverAllowsMore(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := world{rt}
		rules, id, call := w.rules(), w.identity(), w.call()
		before := w.compile(rules)
		after := w.compile(insert(w, rules, w.deny()))
		if after.Decide(id, call).Allowed && !before.Decide(id, call).Allowed {
			rt.Error("a call became allowed")
		}
		if after.Visible(id, call.Target, call.Name) && !before.Visible(id, call.Target, call.Name) {
			rt.Error("a tool became visible")
		}
	})
}

func TestAddingAnAllowNeverRefusesMore(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := world{rt}
		rules, id, call := w.rules(), w.identity(), w.call()
		before := w.compile(rules)
		after := w.compile(insert(w, rules, w.allow()))
		if before.Decide(id, call).Allowed && !after.Decide(id, call).Allowed {
			rt.Error("a call became refused")
		}
		if before.Visible(id, call.Target, call.Name) && !after.Visible(id, call.Target, call.Name) {
			rt.Error("a tool became hidden")
		}
	})
}

func TestAnObservedRuleChangesNoAnswer(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := world{rt}
		rules, id, call := w.rules(), w.identity(), w.call()
		observed := rapid.SampledFrom([]policy.Rule{w.allow(), w.deny()}).Draw(rt, "observed")
		observed.Mode = policy.Observe
		before, after := w.compile(rules), w.compile(insert(w, rules, observed))
		if before.Decide(id, call).Allowed != after.Decide(id, call).Allowed {
			rt.Error("an answer changed")
		}
	})
}

func TestTheOrderOfRulesChangesNoAnswer(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := world{rt}
		rules, id, call := w.rules(), w.identity(), w.call()
		shuffled := rapid.Permutation(rules).Draw(rt, "order")
		one, other := w.compile(rules).Decide(id, call), w.compile(shuffled).Decide(id, call)
		if one.Allowed != other.Allowed || one.Hidden != other.Hidden || len(one.MissingScopes) != len(other.MissingScopes) {
			rt.Errorf("%+v\n%+v", one, other)
		}
	})
}

func TestDecisionsHangTogether(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := world{rt}
		rules, id, call := w.compile(w.rules()), w.identity(), w.call()
		d := rules.Decide(id, call)
		visible := rules.Visible(id, call.Target, call.Name)
		if d.Allowed && !visible {
			rt.Error("what is allowed is not in the list")
		}
		if d.Allowed == (d.Refusal != nil) {
			rt.Error("a refusal is there exactly when the call isn't allowed")
		}
		if d.Hidden != (!d.Allowed && !visible) {
			rt.Error("hidden is what is refused and not in the list")
		}
		if len(d.MissingScopes) > 0 {
			id.Scopes = append(slices.Clone(id.Scopes), d.MissingScopes...)
			if !rules.Decide(id, call).Allowed {
				rt.Error("the scopes that were missing did not help")
			}
		}
		e := rules.Explain(id, call)
		applies := map[policy.Effect]bool{}
		for _, r := range e.Rules {
			applies[r.Effect] = applies[r.Effect] || r.Applies && r.Mode == policy.Enforce
		}
		if want := applies[policy.Allows] && !applies[policy.Denies]; e.Decision.Allowed != want {
			rt.Errorf("Explain says %v, Decide says %v", want, e.Decision.Allowed)
		}
	})
}
