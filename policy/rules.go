package policy

import "errors"

// Rules are the rules of one server, checked and ready to decide. Safe for concurrent use.
type Rules struct{}

// Compile checks the rules of one server and makes them ready. It reports every mistake at once, as
// [Mistakes]. The compiler may be nil when no rule has a condition.
func Compile(_ []Rule, _ ConditionCompiler) (*Rules, error) { return nil, errors.New("not yet") }

// Decide answers whether the identity may make the call.
func (r *Rules) Decide(_ Identity, _ Call) Decision { return Decision{} }

// Visible says whether a list may show the thing to the identity.
func (r *Rules) Visible(_ Identity, _ Target, _ string) bool { return false }

// Scopes are all scopes that any rule names, sorted: what the server's metadata offers.
func (r *Rules) Scopes() []string { return nil }
