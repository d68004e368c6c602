// Package policy says who may use which tool, prompt or resource of a server, and says why not. It is pure:
// no network, no files, no clock; the same identity, call and rules always give the same [Decision], and
// the zero Decision denies.
//
// # Rules
//
// A server has a list of [Rule]. [Compile] checks them once, at load, and reports every mistake at once;
// [Rules.Decide] answers for one [Call]:
//
//   - nothing is allowed that no rule allows;
//   - a rule that denies wins over every rule that allows, wherever it stands;
//   - otherwise one rule that allows is enough; the first in order is the one that is named.
//
// So the order of rules never changes an answer, adding a rule that denies never allows more, and adding
// one that allows never refuses more.
//
// # Who
//
// A rule can ask for app roles, groups, people, applications, OAuth clients and scopes, and for a
// condition over identity and arguments (package condition, a child, so that this package stays light).
// It can't ask for names or mail addresses: an identity is its tenant and object ID, everything else can be
// changed by somebody.
//
// # Lists
//
// [Rules.Visible] filters lists of tools, prompts and resources. A list has no arguments, so conditions over
// arguments are left aside there: a thing is shown when some arguments could be allowed. Scopes are left
// aside too, since the client can ask for them: it sees the tool, calls it, and is told which scope it lacks
// ([Decision.MissingScopes]). Whatever is not shown is refused as if it did not exist ([Decision.Hidden]).
//
// # Methods
//
// The methods of the protocol that name nothing (initialize, ping, tools/list, ...) need no rule; deny_methods
// takes them away. A method that the protocol doesn't define is refused unless a rule's methods names it.
//
// # Resource addresses
//
// One resource can be spelled in several ways. An address with "." or ".." segments, plain or encoded, is
// refused whatever the rules say. For the rest, addresses and patterns are compared in their normal form (RFC
// 3986 §6.2.2: scheme and host in lower case, no needless percent encoding). A server may know more spellings
// than that: allow what is wanted rather than deny what isn't.
package policy
