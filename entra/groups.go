package entra

import (
	"context"
	"errors"
	"fmt"

	"github.com/genkan-mcp/genkan/policy"
)

// settleGroups completes the groups of a person who is in more than fit into a token. Not knowing is a "no": a rule
// about groups must never be judged on half of them.
func (v *Verifier) settleGroups(ctx context.Context, c *claims, verified *Verified, token string) error {
	switch {
	case v.config.IgnoreGroups:
		verified.Identity.Groups = nil
		return nil
	case !c.groupsElsewhere():
		return nil
	case v.config.Groups == nil:
		return groupsRefusal("more than fit into a token")
	}
	groups, err := v.config.Groups.GroupsOf(ctx, verified.Identity, NewToken(token, verified.Expires))
	if err != nil {
		var known *Error
		if errors.As(err, &known) && known.Reason == Unavailable {
			return fmt.Errorf("resolve groups: %w", err)
		}
		refusal := groupsRefusal("an answer of Microsoft Graph that is a no")
		return &groupsFailure{refusal: refusal, cause: err}
	}
	verified.Identity.Groups = groupIDs(groups)
	return nil
}

func groupsRefusal(got string) *Refusal {
	return &Refusal{Check: policy.CheckGroups, Wanted: "the groups of the caller", Got: got,
		Remedy: "Use app roles instead of groups, or let groups be read from Microsoft Graph (delegated permission User.Read)."}
}

// groupsFailure is a refusal for the caller, with its cause for the log.
type groupsFailure struct {
	refusal *Refusal
	cause   error
}

func (f *groupsFailure) Error() string   { return f.refusal.Error() + ": " + f.cause.Error() }
func (f *groupsFailure) Unwrap() []error { return []error{f.refusal, f.cause} }

// explainGroups is the last row of Explain's table.
func (v *Verifier) explainGroups(c *claims) CheckResult {
	row := CheckResult{Check: policy.CheckGroups, Wanted: "the groups of the caller", Passed: true}
	switch {
	case v.config.IgnoreGroups:
		row.Got = "not looked at"
	case !c.groupsElsewhere():
		row.Got = fmt.Sprintf("%d in the token", len(groupIDs(c.Groups)))
	case v.config.Groups != nil:
		row.Got = "more than fit into a token: read from Microsoft Graph"
	default:
		row = failed(groupsRefusal("more than fit into a token"))
	}
	return row
}
