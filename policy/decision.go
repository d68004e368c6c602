package policy

// Effect is what a rule does with those whom it is about.
type Effect string

// The two effects.
const (
	Allows Effect = "allow"
	Denies Effect = "deny"
)

// RuleID names a rule: its place in the configuration, from 0, and its name. The zero RuleID is none.
type RuleID struct {
	Name  string `json:"name,omitempty"`
	Index int    `json:"index"`
}

// Decision is the answer to "may they?". Its zero value denies.
type Decision struct {
	// Allowed is the answer.
	Allowed bool
	// Rule is the rule that decided. Its Name is empty when none did: then nothing allows the call, or it
	// is a method of the protocol that needs no rule.
	Rule RuleID
	// Refusal says why not. It is there whenever Allowed is false and the decision came from Decide.
	Refusal *Refusal
	// MissingScopes are what the client lacks, when the call would be allowed with them: the gateway
	// answers with insufficient_scope and these (step-up, RFC 6750 §3.1).
	MissingScopes []string
	// Hidden says that the identity may not even know that the thing exists: it is not in its lists, and
	// the answer must be the one for an unknown name.
	Hidden bool
	// Observed are the rules in observe mode that would have refused the call.
	Observed []Observation
}

// Observation is a refusal that did not happen, because its rule is in observe mode.
type Observation struct {
	Rule    RuleID
	Refusal *Refusal
}
