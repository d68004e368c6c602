package policy

import (
	"slices"
	"strings"
)

// Rules are the rules of one server, checked and ready to decide. Make them with [Compile]; safe for
// concurrent use. A nil *Rules denies everything but the methods of the protocol that name nothing.
type Rules struct {
	rules  []*compiled
	tables map[Target]*table
	scopes []string
}

// table finds the rules about one kind of thing.
type table struct {
	deny, allow   index // rules that decide
	denyW, allowW index // rules in observe mode, which are only watched
}

// compiled is a rule, checked.
type compiled struct {
	Rule
	id           RuleID
	effect       Effect
	people       []caller
	applications []caller
	condition    Condition // nil: none
}

// caller is an entry of people or applications.
type caller struct {
	any            bool
	tenant, object string // the tenant may be empty: any
}

func (c caller) is(tenant, object string) bool {
	return c.any || strings.EqualFold(c.object, object) && (c.tenant == "" || strings.EqualFold(c.tenant, tenant))
}

// Scopes are all scopes that rules name, sorted: what the server's metadata offers to clients.
func (r *Rules) Scopes() []string {
	if r == nil {
		return nil
	}
	return slices.Clone(r.scopes)
}

// UsesArguments says whether any condition asks for arguments: where none does, Call needs none.
func (r *Rules) UsesArguments() bool {
	return r != nil && slices.ContainsFunc(r.rules, (*compiled).asksArguments)
}

// Len is the number of rules.
func (r *Rules) Len() int {
	if r == nil {
		return 0
	}
	return len(r.rules)
}

// needsNoRule says whether the protocol defines the method and it names nothing that a rule could be about.
func needsNoRule(method string) bool {
	switch method {
	case "initialize", "ping", "server/discover", "logging/setLevel",
		"tools/list", "prompts/list", "resources/list", "resources/templates/list",
		"subscriptions/listen", "tasks/get", "tasks/list", "tasks/result", "tasks/update", "tasks/cancel",
		"notifications/initialized", "notifications/cancelled", "notifications/progress",
		"notifications/roots/list_changed", "notifications/tasks/status", "notifications/elicitation/complete":
		return true
	}
	return false
}

// isNamed says whether the thing that the method uses has a name, so that Target is never Method.
func isNamed(method string) bool {
	switch method {
	case "tools/call", "prompts/get", "resources/read", "resources/subscribe", "resources/unsubscribe", "completion/complete":
		return true
	}
	return false
}
