package policy

// Explanation says how a decision came about, rule by rule: for the administrator, since it shows more than
// the caller may know.
type Explanation struct {
	Decision Decision
	// Rules has a report for every rule, in the order of the configuration.
	Rules []RuleReport
	// Nearest is the place in Rules of the rule that would allow if the fewest things were otherwise; -1 when
	// the call is allowed, denied, or no rule that allows names the thing.
	Nearest int
}

// RuleReport says why a rule applied, or why it didn't.
type RuleReport struct {
	Rule   RuleID
	Effect Effect
	Mode   Mode
	// Names says whether a pattern of the rule matches.
	Names bool
	// Applies says whether everything holds, so that the rule allows or denies the call.
	Applies bool
	// Steps are what the rule asks for, beside the name. They are there even when Names is false.
	Steps []Step
	// Source is the rule as it was written.
	Source Rule
}

// Explain is Decide with every rule's reasons.
func (r *Rules) Explain(id Identity, call Call) Explanation {
	e := Explanation{Decision: r.Decide(id, call), Nearest: -1}
	if r == nil {
		return e
	}
	fit := unfit(&id, &call) == nil
	named := map[int]bool{}
	if t := r.table(call.Target); t != nil && fit {
		for _, x := range []*index{&t.allow, &t.deny, &t.allowW, &t.denyW} {
			for _, i := range x.find(nil, key(call.Target, call.Name)) {
				named[i] = true
			}
		}
	}
	for i, rule := range r.rules {
		report := RuleReport{
			Rule: rule.id, Effect: rule.effect, Mode: Enforce, Source: rule.Rule,
			Names: named[i], Steps: rule.steps(&id, &call),
		}
		if rule.Mode == Observe {
			report.Mode = Observe
		}
		report.Applies = fit && report.Names && allHold(report.Steps)
		e.Rules = append(e.Rules, report)
	}
	e.Nearest = e.nearest()
	return e
}

func (e *Explanation) nearest() int {
	if e.Decision.Allowed || e.Decision.Rule.Name != "" {
		return -1
	}
	best, fewest := -1, 0
	for i := range e.Rules {
		report := &e.Rules[i]
		if !report.Names || report.Effect != Allows || report.Mode != Enforce {
			continue
		}
		if failed := countFailed(report.Steps); best < 0 || failed < fewest {
			best, fewest = i, failed
		}
	}
	return best
}

func allHold(steps []Step) bool { return countFailed(steps) == 0 }

func countFailed(steps []Step) int {
	failed := 0
	for _, s := range steps {
		if !s.Holds {
			failed++
		}
	}
	return failed
}
