package policy

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Mistake is one thing that is wrong with a rule.
type Mistake struct {
	Rule    int    // place in the list, from 0
	Name    string // the rule's name, if it has one
	Field   string // as in YAML; "" for the rule as a whole
	Problem string
	Remedy  string
}

// Error says where the mistake is, what it is, and what to do.
func (m Mistake) Error() string {
	where := fmt.Sprintf("rules[%d]", m.Rule)
	if m.Field != "" {
		where += "." + m.Field
	}
	if m.Name != "" {
		where += fmt.Sprintf(" (%s)", m.Name)
	}
	return where + ": " + m.Problem + "; " + m.Remedy
}

// Mistakes are all that is wrong with a list of rules.
type Mistakes []Mistake

// Error has a line for each mistake.
func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i := range m {
		lines[i] = m[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Compile checks the rules of one server and makes them ready. It reports every mistake at once, as
// [Mistakes]. The compiler may be nil when no rule has a condition.
func Compile(rules []Rule, conditions ConditionCompiler) (*Rules, error) {
	c := compilation{conditions: conditions, names: map[string]int{}}
	r := &Rules{tables: map[Target]*table{Tool: {}, Prompt: {}, Resource: {}, Method: {}}}
	for i := range rules {
		rule := c.rule(i, rules[i].clone())
		r.rules = append(r.rules, rule)
		r.scopes = append(r.scopes, rule.Scopes...)
		for _, p := range rule.patterns() {
			r.tables[p.target].file(rule, i, p)
		}
	}
	if len(c.mistakes) > 0 {
		return nil, c.mistakes
	}
	slices.Sort(r.scopes)
	r.scopes = slices.Compact(r.scopes)
	return r, nil
}

// clone makes the rule independent of whoever wrote it.
func (r Rule) clone() Rule {
	for _, list := range []*[]string{
		&r.Allow, &r.Prompts, &r.Resources, &r.Methods, &r.Deny, &r.DenyPrompts, &r.DenyResources, &r.DenyMethods,
		&r.Roles, &r.Groups, &r.People, &r.Applications, &r.Clients, &r.Scopes,
	} {
		*list = slices.Clone(*list)
	}
	return r
}

func (t *table) file(rule *compiled, i int, f patternField) {
	at := map[Effect]*index{Allows: &t.allow, Denies: &t.deny}
	if rule.Mode == Observe {
		at = map[Effect]*index{Allows: &t.allowW, Denies: &t.denyW}
	}
	for _, source := range f.patterns {
		at[f.effect].add(newPattern(f.normal(source)), i)
	}
}

// patternField is one of the fields that say what a rule is about.
type patternField struct {
	name     string
	target   Target
	effect   Effect
	patterns []string
}

func (f patternField) normal(source string) string {
	if f.target == Resource {
		return normalAddress(source)
	}
	return source
}

func (r *Rule) patterns() []patternField {
	return []patternField{
		{"allow", Tool, Allows, r.Allow},
		{"prompts", Prompt, Allows, r.Prompts},
		{"resources", Resource, Allows, r.Resources},
		{"methods", Method, Allows, r.Methods},
		{"deny", Tool, Denies, r.Deny},
		{"deny_prompts", Prompt, Denies, r.DenyPrompts},
		{"deny_resources", Resource, Denies, r.DenyResources},
		{"deny_methods", Method, Denies, r.DenyMethods},
	}
}

// compilation gathers the mistakes of one list of rules.
type compilation struct {
	conditions ConditionCompiler
	mistakes   Mistakes
	names      map[string]int
	index      int
	name       string
}

func (c *compilation) mistake(field, problem, remedy string) {
	c.mistakes = append(c.mistakes, Mistake{c.index, c.name, field, problem, remedy})
}

func (c *compilation) rule(i int, rule Rule) *compiled {
	c.index, c.name = i, rule.Name
	out := &compiled{Rule: rule, id: RuleID{Index: i, Name: rule.Name}}
	if rule.Name == "" {
		out.id.Name = fmt.Sprintf("rule %d", i+1)
	}
	c.checkName(out.id.Name)
	out.effect = c.effect(&rule)
	c.checkMode(rule.Mode)
	c.checkEntries("roles", rule.Roles)
	c.checkEntries("groups", rule.Groups)
	c.checkEntries("clients", rule.Clients)
	c.checkScopes(out.effect, rule.Scopes)
	out.people = c.callers("people", rule.People)
	out.applications = c.callers("applications", rule.Applications)
	out.condition = c.condition(rule.When)
	return out
}

func (c *compilation) checkName(name string) {
	if strings.ContainsFunc(name, unicode.IsControl) || len(name) > 100 {
		c.mistake("name", "is too long or has control characters", "use up to 100 printable characters")
	}
	if first, taken := c.names[name]; taken {
		c.mistake("name", fmt.Sprintf("is also that of rules[%d]", first), "give every rule its own name")
		return
	}
	c.names[name] = c.index
}

func (c *compilation) checkMode(mode Mode) {
	if mode != "" && mode != Enforce && mode != Observe {
		c.mistake("mode", fmt.Sprintf("%q is not a mode", mode), "write enforce or observe")
	}
}

// effect checks the patterns, and that the rule does one thing.
func (c *compilation) effect(rule *Rule) Effect {
	fields := map[Effect][]string{}
	for _, f := range rule.patterns() {
		if f.patterns == nil {
			continue
		}
		fields[f.effect] = append(fields[f.effect], f.name)
		c.checkEntries(f.name, f.patterns)
		for _, source := range f.patterns {
			c.checkPattern(f, source)
		}
	}
	switch {
	case len(fields[Allows]) > 0 && len(fields[Denies]) > 0:
		c.mistake(fields[Denies][0], "stands beside "+fields[Allows][0]+" in one rule",
			"write one rule that allows and another that denies")
	case len(fields[Denies]) > 0:
		return Denies
	case len(fields[Allows]) == 0:
		c.mistake("", "says nothing to allow or to deny",
			`add allow, prompts, resources, deny, deny_prompts or deny_resources, for example allow: ["get_*"]`)
	}
	return Allows
}

func (c *compilation) checkPattern(f patternField, source string) {
	switch {
	case len(source) > 2048:
		c.mistake(f.name, "has a pattern of more than 2048 bytes", "shorten it with *")
	case f.target == Tool && strings.ContainsAny(source, "?[]{}()^$|\\"):
		c.mistake(f.name, fmt.Sprintf("%q looks like a regular expression or a richer glob", source),
			"only * is special; list the names, or use several patterns")
	case f.target == Resource && hasDotSegments(source):
		c.mistake(f.name, fmt.Sprintf("%q has a . or .. segment", source),
			"write the address without it: such addresses are always refused")
	case f.target == Method && f.effect == Allows && needsNoRule(source):
		c.mistake(f.name, fmt.Sprintf("%q needs no rule", source), "remove it, or use deny_methods to take it away")
	case f.target == Method && isNamed(source):
		c.mistake(f.name, fmt.Sprintf("%q is decided by what it names", source),
			"use allow and deny for tools, prompts and resources for the others")
	}
}

// checkEntries refuses lists that are there but empty: they could be read as "everybody" and as "nobody".
func (c *compilation) checkEntries(field string, entries []string) {
	if entries != nil && len(entries) == 0 {
		c.mistake(field, "is an empty list", "fill it, or remove the field")
	}
	for _, e := range entries {
		switch {
		case e == "":
			c.mistake(field, "has an empty entry", "fill it, or remove it (is an environment variable not set?)")
		case strings.TrimSpace(e) != e || strings.ContainsFunc(e, unicode.IsControl):
			c.mistake(field, fmt.Sprintf("%q has spaces around it or control characters", e), "remove them")
		}
	}
}

func (c *compilation) checkScopes(effect Effect, scopes []string) {
	c.checkEntries("scopes", scopes)
	if effect == Denies && scopes != nil {
		c.mistake("scopes", "stands in a rule that denies", "scopes say what a rule that allows needs: put them there")
	}
	for _, s := range scopes {
		if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			c.mistake("scopes", fmt.Sprintf("%q is not a scope", s), `use printable characters without space, " and \ (RFC 6749 §3.3)`)
		}
	}
}

func (c *compilation) callers(field string, entries []string) []caller {
	c.checkEntries(field, entries)
	var callers []caller
	for _, e := range entries {
		tenant, object, both := strings.Cut(e, "/")
		switch {
		case e == "*":
			callers = append(callers, caller{any: true})
		case strings.Contains(e, "@"):
			c.mistake(field, fmt.Sprintf("%q looks like an address", e),
				"use the object ID: addresses can be changed and taken by others")
		case strings.Contains(e, "*"):
			c.mistake(field, fmt.Sprintf("%q is a pattern", e), `use object IDs, or "*" alone for any`)
		case !both:
			callers = append(callers, caller{object: tenant})
		case tenant == "" || object == "" || strings.Contains(object, "/"):
			c.mistake(field, fmt.Sprintf("%q is neither an object ID nor tenant/object", e), "write the object ID alone, or the tenant's ID before it")
		default:
			callers = append(callers, caller{tenant: tenant, object: object})
		}
	}
	return callers
}

func (c *compilation) condition(source string) Condition {
	if source == "" {
		return nil
	}
	if c.conditions == nil {
		c.mistake("when", "is a condition, and conditions are not available here", "remove it")
		return nil
	}
	condition, err := c.conditions(source)
	if err != nil {
		c.mistake("when", "is not a condition: "+err.Error(), `write a CEL expression that is true or false, for example args.amount < 100`)
		return nil
	}
	return condition
}
