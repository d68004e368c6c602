package policy

import (
	"slices"
	"strings"
)

// admits says whether the rule is about the identity, scopes and condition aside.
func (r *compiled) admits(id *Identity) bool {
	return (len(r.Roles) == 0 || intersects(r.Roles, id.Roles)) &&
		(len(r.Groups) == 0 || anyFold(r.Groups, id.Groups)) &&
		(len(r.Clients) == 0 || containsFold(r.Clients, id.Client)) &&
		r.admitsCaller(id)
}

// admitsCaller reads people and applications as the two halves of one field: who calls.
func (r *compiled) admitsCaller(id *Identity) bool {
	if len(r.people) == 0 && len(r.applications) == 0 {
		return true
	}
	switch id.Kind {
	case Person:
		return slices.ContainsFunc(r.people, func(c caller) bool { return c.is(id.Tenant, id.Object) })
	case Application:
		return slices.ContainsFunc(r.applications, func(c caller) bool {
			return c.is(id.Tenant, id.Object) || id.Client != "" && c.is(id.Tenant, id.Client)
		})
	default:
		return false
	}
}

// missingScopes are those that the rule needs and the client was not granted.
func (r *compiled) missingScopes(id *Identity) []string {
	var missing []string
	for _, s := range r.Scopes {
		if !id.HasScope(s) {
			missing = append(missing, s)
		}
	}
	return missing
}

// intersects compares exactly.
func intersects(wanted, got []string) bool {
	for _, w := range wanted {
		if slices.Contains(got, w) {
			return true
		}
	}
	return false
}

// anyFold compares as GUIDs are compared: in any case.
func anyFold(wanted, got []string) bool {
	return slices.ContainsFunc(wanted, func(w string) bool { return containsFold(got, w) })
}

func containsFold(all []string, one string) bool {
	return slices.ContainsFunc(all, func(s string) bool { return strings.EqualFold(s, one) })
}
