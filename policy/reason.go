package policy

import (
	"slices"
	"strings"
)

// Step is one thing that a rule asks, and whether it holds.
type Step struct {
	Field  string // as in YAML
	Holds  bool
	Wanted string
	Got    string
}

// steps are what the rule asks of the caller and the call, in the order in which they are asked.
func (r *compiled) steps(id *Identity, call *Call) []Step {
	var steps []Step
	add := func(field string, holds bool, wanted, got string) {
		steps = append(steps, Step{field, holds, wanted, got})
	}
	if len(r.Roles) > 0 {
		add("roles", intersects(r.Roles, id.Roles), "the app role "+either(r.Roles), listed("the app role", id.Roles))
	}
	if len(r.Groups) > 0 {
		add("groups", anyFold(r.Groups, id.Groups), "membership in group "+either(r.Groups), listed("membership in group", id.Groups))
	}
	if len(r.people) > 0 || len(r.applications) > 0 {
		field := "people"
		if len(r.people) == 0 {
			field = "applications"
		}
		add(field, r.admitsCaller(id), callersWanted(r), string(id.Kind)+" "+quote(id.Key()))
	}
	if len(r.Clients) > 0 {
		add("clients", containsFold(r.Clients, id.Client), "a client that "+quote(r.id.Name)+" names", "the client "+quote(id.Client))
	}
	if r.condition != nil {
		add(r.conditionStep(id, call))
	}
	if len(r.Scopes) > 0 {
		add("scopes", len(r.missingScopes(id)) == 0, "the scopes "+strings.Join(r.Scopes, " "), listed("the scopes", id.Scopes))
	}
	return steps
}

// conditionStep never shows the source: thresholds may be nobody's business. Explain shows it to the
// administrator, who has the configuration anyway.
func (r *compiled) conditionStep(id *Identity, call *Call) (field string, holds bool, wanted, got string) {
	holds, err := r.condition.Holds(Subject{Identity: *id, Call: *call})
	got = "it does not hold"
	switch {
	case err != nil:
		holds, got = r.effect == Denies, "it can't be decided with these arguments"
	case holds:
		got = "it holds"
	}
	return "when", holds, "the condition of " + quote(r.id.Name), got
}

// callersWanted doesn't list them: who else may is not for everybody to read.
func callersWanted(r *compiled) string {
	switch {
	case len(r.applications) == 0:
		return "a person whom " + quote(r.id.Name) + " names"
	case len(r.people) == 0:
		return "an application that " + quote(r.id.Name) + " names"
	default:
		return "a person or an application that " + quote(r.id.Name) + " names"
	}
}

func either(options []string) string {
	const most = 5
	if len(options) > most {
		return strings.Join(options[:most], ", ") + " or another"
	}
	return strings.Join(options, " or ")
}

func listed(what string, all []string) string {
	const most = 10
	switch {
	case len(all) == 0:
		return "none"
	case len(all) > most:
		return what + " " + strings.Join(all[:most], ", ") + " and others"
	default:
		return what + " " + strings.Join(all, ", ")
	}
}

// thing says what a call wants, for reading.
func thing(call *Call) string { return "the " + string(call.Target) + " " + quote(call.Name) }

func denied(rule *compiled, call *Call) *Refusal {
	return &Refusal{
		Check:  CheckRule,
		Wanted: thing(call) + " not to be denied",
		Got:    "denied by " + quote(rule.id.Name),
		Remedy: "ask the administrator of this server to change that rule",
	}
}

func unnamed(call *Call) *Refusal {
	return &Refusal{
		Check:  CheckRule,
		Wanted: "a rule that allows " + thing(call),
		Got:    "none",
		Remedy: "ask the administrator of this server for such a rule",
	}
}

func lacking(missing []string, id *Identity) *Refusal {
	return &Refusal{
		Check:  CheckScope,
		Wanted: "the scopes " + strings.Join(missing, " "),
		Got:    listed("the scopes", id.Scopes),
		Remedy: "let the client ask for them and sign in again",
	}
}

// notAllowed says what the nearest of the rules that name the thing still asks for.
func (r *Rules) notAllowed(id *Identity, call *Call, candidates []int) *Refusal {
	rule, steps := r.nearest(id, call, candidates)
	if rule == nil {
		return unnamed(call)
	}
	step := steps[slices.IndexFunc(steps, func(s Step) bool { return !s.Holds })]
	remedy := "ask the administrator of this server to change " + quote(rule.id.Name)
	switch step.Field {
	case "roles":
		remedy = "ask an administrator of Entra ID to assign the role, then sign in again"
	case "groups":
		remedy = "ask for membership, then sign in again"
	case "when":
		remedy = "call it with other arguments, or ask the administrator of this server"
	case "scopes":
		return lacking(rule.missingScopes(id), id)
	}
	return &Refusal{Check: CheckRule, Wanted: step.Wanted + " for " + thing(call), Got: step.Got, Remedy: remedy}
}

// nearest is the rule that would allow if the fewest things were otherwise, and what it asks. Among equals
// the first in the configuration.
func (r *Rules) nearest(id *Identity, call *Call, candidates []int) (*compiled, []Step) {
	var best *compiled
	var bestSteps []Step
	fewest := 0
	for _, i := range candidates {
		rule := r.rules[i]
		steps := rule.steps(id, call)
		if failed := countFailed(steps); failed > 0 && (best == nil || failed < fewest) {
			best, bestSteps, fewest = rule, steps, failed
		}
	}
	return best, bestSteps
}
