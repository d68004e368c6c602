package policy

// Mode says whether a rule decides, or only says what it would have decided.
type Mode string

// The modes of a rule.
const (
	// Enforce is the default: the rule decides.
	Enforce Mode = "enforce"
	// Observe means that the rule decides nothing: what it would have refused stands in
	// [Decision.Observed], for the audit. A rule can so be tried on real traffic before it counts.
	Observe Mode = "observe"
)

// Rule says who may use what of a server. Write it in YAML as
//
//	{allow: ["get_*"], roles: [Weather.Read]}
//
// What a rule is about: one or more of the pattern fields. A rule allows or denies, never both.
// In a pattern, "*" stands for any number of any characters; everything else stands for itself,
// upper and lower case apart.
//
// Whom it is about: every field that is there must hold, and in a field one entry is enough (all of
// Scopes are needed, though). People and Applications are one field in two halves: who calls. A rule
// without any of them is about every identity that signed in.
//
// Names and addresses of people are not among them: others can change those, so they never decide.
type Rule struct {
	// Name is what the audit and refusals call the rule; "rule 3" when empty.
	Name string `yaml:"name,omitempty"`
	// Description is for the reader of the configuration.
	Description string `yaml:"description,omitempty"`

	Allow         []string `yaml:"allow,omitempty"`          // tools
	Prompts       []string `yaml:"prompts,omitempty"`        // prompts
	Resources     []string `yaml:"resources,omitempty"`      // resource addresses (URI)
	Methods       []string `yaml:"methods,omitempty"`        // other methods, those that the protocol doesn't define
	Deny          []string `yaml:"deny,omitempty"`           // tools
	DenyPrompts   []string `yaml:"deny_prompts,omitempty"`   // prompts
	DenyResources []string `yaml:"deny_resources,omitempty"` // resource addresses (URI)
	DenyMethods   []string `yaml:"deny_methods,omitempty"`   // other methods, also those of the protocol

	Roles        []string `yaml:"roles,omitempty"`        // app roles, compared exactly
	Groups       []string `yaml:"groups,omitempty"`       // object IDs of groups
	People       []string `yaml:"people,omitempty"`       // object IDs, "tenant/object", or "*" for any person
	Applications []string `yaml:"applications,omitempty"` // client or object IDs, "tenant/object", or "*" for any
	Clients      []string `yaml:"clients,omitempty"`      // the OAuth client that holds the token
	Scopes       []string `yaml:"scopes,omitempty"`       // all are needed; only in rules that allow

	// When is a condition over identity and arguments, in CEL: see the package condition.
	When string `yaml:"when,omitempty"`
	// Mode is Enforce when empty.
	Mode Mode `yaml:"mode,omitempty"`
}
