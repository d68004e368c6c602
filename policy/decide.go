package policy

import (
	"slices"
	"strings"
)

// maxName bounds names and addresses: nobody's tool has a longer one, and looking them up costs time.
const maxName = 8 << 10

// maxTemplate is smaller: comparing two patterns takes time in proportion to both.
const maxTemplate = 2 << 10

// Decide answers whether the identity may make the call.
func (r *Rules) Decide(id Identity, call Call) Decision {
	if refusal := unfit(&id, &call); refusal != nil {
		return Decision{Refusal: refusal, Hidden: refusal.Check == CheckRule}
	}
	d := r.decide(&id, &call)
	if !d.Allowed {
		d.Hidden = !r.visible(&id, call.Target, call.Name)
	}
	d.Observed = r.observe(&id, &call)
	return d
}

// unfit refuses what no rule can allow: half an identity, a thing that rules can't name.
func unfit(id *Identity, call *Call) *Refusal {
	switch {
	case id.Tenant == "" || id.Object == "":
		return &Refusal{Check: CheckObject, Wanted: "a tenant ID and an object ID", Got: "an identity without them",
			Remedy: "sign in again"}
	case id.Kind != Person && id.Kind != Application:
		return &Refusal{Check: CheckKind, Wanted: "a person or an application", Got: quote(string(id.Kind)),
			Remedy: "sign in again"}
	case call.Name == "":
		return &Refusal{Check: CheckRule, Wanted: "the name of a " + string(call.Target), Got: "none", Remedy: "name it"}
	case len(call.Name) > maxName:
		return &Refusal{Check: CheckRule, Wanted: "a name of at most 8192 bytes", Got: "a longer one", Remedy: "shorten it"}
	case call.Target == Resource && hasDotSegments(call.Name):
		return &Refusal{Check: CheckRule, Wanted: "an address without . and .. segments", Got: quote(call.Name),
			Remedy: "ask for the address that it stands for"}
	case call.Target == Tool, call.Target == Prompt, call.Target == Resource, call.Target == Method:
		return nil
	default:
		return &Refusal{Check: CheckRule, Wanted: "a tool, prompt, resource or method", Got: quote(string(call.Target)),
			Remedy: "call one of these"}
	}
}

func (r *Rules) decide(id *Identity, call *Call) Decision {
	var buffer [32]int
	table, name := r.table(call.Target), key(call.Target, call.Name)
	if table == nil {
		return defaultDecision(call)
	}
	for _, i := range inOrder(table.deny.find(buffer[:0], name)) {
		if rule := r.rules[i]; rule.admits(id) && rule.holds(id, call) {
			return Decision{Rule: rule.id, Refusal: denied(rule, call)}
		}
	}
	candidates := inOrder(table.allow.find(buffer[:0], name))
	var stepUp *compiled
	var missing []string
	for _, i := range candidates {
		rule := r.rules[i]
		if !rule.admits(id) || !rule.holds(id, call) {
			continue
		}
		lacks := rule.missingScopes(id)
		if len(lacks) == 0 {
			return Decision{Allowed: true, Rule: rule.id}
		}
		if stepUp == nil || len(lacks) < len(missing) {
			stepUp, missing = rule, lacks
		}
	}
	if call.Target == Method && needsNoRule(call.Name) {
		return Decision{Allowed: true}
	}
	if stepUp != nil {
		return Decision{Refusal: lacking(missing, id), MissingScopes: missing}
	}
	return Decision{Refusal: r.notAllowed(id, call, candidates)}
}

// defaultDecision is the answer where there are no rules at all.
func defaultDecision(call *Call) Decision {
	if call.Target == Method && needsNoRule(call.Name) {
		return Decision{Allowed: true}
	}
	return Decision{Refusal: unnamed(call)}
}

// Visible says whether a list may show the thing to the identity. Conditions over arguments and scopes are
// left aside (see the package documentation); Target may also be Template.
func (r *Rules) Visible(id Identity, target Target, name string) bool {
	check := Call{Target: target, Name: name}
	if target == Template {
		if len(name) > maxTemplate {
			return false
		}
		check.Target = Resource
		check.Name = templateGlob(name)
	}
	return unfit(&id, &check) == nil && r.visible(&id, target, name)
}

func (r *Rules) visible(id *Identity, target Target, name string) bool {
	table := r.table(target)
	call := Call{Target: target, Name: name}
	if target == Method && needsNoRule(name) && table == nil {
		return true
	}
	if table == nil {
		return false
	}
	var buffer [32]int
	for _, i := range inOrder(table.deny.find(buffer[:0], key(target, name))) {
		if rule := r.rules[i]; rule.admits(id) && !rule.asksArguments() && rule.holds(id, &call) {
			return false
		}
	}
	if target == Method && needsNoRule(name) {
		return true
	}
	var found []int
	if target == Template {
		found = table.allow.findOverlap(buffer[:0], templateGlob(normalAddress(name)))
	} else {
		found = table.allow.find(buffer[:0], key(target, name))
	}
	for _, i := range inOrder(found) {
		if rule := r.rules[i]; rule.admits(id) && (rule.asksArguments() || rule.holds(id, &call)) {
			return true
		}
	}
	return false
}

// table finds the rules about a kind of thing; nil when there are none.
func (r *Rules) table(target Target) *table {
	if r == nil {
		return nil
	}
	if target == Template {
		target = Resource
	}
	return r.tables[target]
}

// key is the text that patterns are compared with.
func key(target Target, name string) string {
	if target == Resource || target == Template {
		return normalAddress(name)
	}
	return name
}

func inOrder(rules []int) []int {
	slices.Sort(rules)
	return slices.Compact(rules)
}

func (r *compiled) asksArguments() bool { return r.condition != nil && r.condition.UsesArguments() }

// holds evaluates the condition. What can't be decided goes to the safe side.
func (r *compiled) holds(id *Identity, call *Call) bool {
	if r.condition == nil {
		return true
	}
	holds, err := r.condition.Holds(Subject{Identity: *id, Call: *call})
	if err != nil {
		return r.effect == Denies
	}
	return holds
}

// observe gathers what the rules in observe mode would have refused: a rule that denies and applies, and
// rules that allow and name the thing when none of them admits the caller.
func (r *Rules) observe(id *Identity, call *Call) []Observation {
	table, name := r.table(call.Target), key(call.Target, call.Name)
	if table == nil {
		return nil
	}
	var buffer [32]int
	var seen []Observation
	for _, i := range inOrder(table.denyW.find(buffer[:0], name)) {
		if rule := r.rules[i]; rule.admits(id) && rule.holds(id, call) {
			seen = append(seen, Observation{rule.id, denied(rule, call)})
		}
	}
	watched := inOrder(table.allowW.find(buffer[:0], name))
	for _, i := range watched {
		rule := r.rules[i]
		if rule.admits(id) && rule.holds(id, call) && len(rule.missingScopes(id)) == 0 {
			return seen
		}
	}
	if len(watched) > 0 {
		rule := r.rules[watched[0]]
		seen = append(seen, Observation{rule.id, r.notAllowed(id, call, watched)})
	}
	return seen
}

// quote shows what a stranger sent, shortened.
func quote(s string) string {
	const most = 120
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return `"` + strings.Map(func(r rune) rune {
		if r < ' ' || r == '"' || r == 0x7f {
			return '?'
		}
		return r
	}, s) + `"`
}
