package policy

import "slices"

// Kind says what an identity is: a person who signed in, or an application that acts for itself.
type Kind string

// The two kinds of identity that Entra knows.
const (
	Person      Kind = "person"
	Application Kind = "application"
)

// Identity is who calls, as Entra vouches for it. Tenant and Object together are the only key;
// Name and Username can be changed by others and are for display only. Everything that a rule may
// ask about a caller is here, so that a decision needs no I/O.
type Identity struct {
	Tenant   string   `json:"tid"`                // the tenant's GUID (claim "tid")
	Object   string   `json:"oid"`                // the object ID in that tenant (claim "oid")
	Kind     Kind     `json:"kind"`               // a person or an application
	Client   string   `json:"client_id"`          // the OAuth client that holds the token
	Roles    []string `json:"roles,omitempty"`    // app roles (claim "roles")
	Groups   []string `json:"groups,omitempty"`   // group object IDs, overage already resolved
	Scopes   []string `json:"scopes,omitempty"`   // what the client was granted
	Name     string   `json:"name,omitempty"`     // display only
	Username string   `json:"username,omitempty"` // display only
}

// Key is the one string that tells identities apart: "tenant/object".
// It is empty when either half is missing, so that half an identity never equals another.
func (i Identity) Key() string {
	if i.Tenant == "" || i.Object == "" {
		return ""
	}
	return i.Tenant + "/" + i.Object
}

// HasRole says whether Entra gave the identity this app role. Roles are compared exactly.
func (i Identity) HasRole(role string) bool { return slices.Contains(i.Roles, role) }

// HasScope says whether the client was granted this scope.
func (i Identity) HasScope(scope string) bool { return slices.Contains(i.Scopes, scope) }
