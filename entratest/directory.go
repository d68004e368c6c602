package entratest

import "time"

// Directory is everything that an administrator of the tenant could declare. The zero value of most
// fields is Entra's default; IDs left out are derived from names, so that they are the same every time.
type Directory struct {
	TenantID string    `yaml:"tenant_id"`
	Domain   string    `yaml:"domain"`
	Name     string    `yaml:"name"`
	People   []Person  `yaml:"people"`
	Groups   []Group   `yaml:"groups"`
	Apps     []App     `yaml:"apps"`
	Consents []Consent `yaml:"consents"`
	Policies []Policy  `yaml:"policies"`
	Indexes  []Index   `yaml:"indexes"`
}

// Person is somebody who can sign in. Alias is the part of the address before the @.
type Person struct {
	Alias     string   `yaml:"alias"`
	ID        string   `yaml:"id"`
	Name      string   `yaml:"name"`
	GivenName string   `yaml:"given_name"`
	Surname   string   `yaml:"surname"`
	Address   string   `yaml:"address"` // user principal name; alias@domain when empty
	JobTitle  string   `yaml:"job_title"`
	Note      string   `yaml:"note"` // shown on the account picker, for developers
	Disabled  bool     `yaml:"disabled"`
	Admin     bool     `yaml:"admin"` // may consent for the whole organisation
	Groups    []string `yaml:"groups"`
	// SignedOutAt ends every session and refresh token that is older (revokeSignInSessions).
	SignedOutAt time.Time `yaml:"signed_out_at"`
}

// Group is a security group.
type Group struct {
	ID   string `yaml:"id"`
	Name string `yaml:"name"`
}

// App is an app registration and its service principal in one.
type App struct {
	Name        string `yaml:"name"`
	ClientID    string `yaml:"client_id"`
	ObjectID    string `yaml:"object_id"`    // of the application object
	PrincipalID string `yaml:"principal_id"` // of the service principal: the oid of its own tokens

	URIs         []string `yaml:"uris"`          // application ID URIs
	TokenVersion int      `yaml:"token_version"` // requestedAccessTokenVersion: 2, else v1 tokens
	Scopes       []Scope  `yaml:"scopes"`
	Roles        []Role   `yaml:"roles"`

	Web         []string `yaml:"web"`    // redirect URIs of platform web: client authentication needed
	SPA         []string `yaml:"spa"`    // of single-page applications: redeemed cross-origin only
	Public      []string `yaml:"public"` // of mobile and desktop applications
	PublicFlows bool     `yaml:"public_flows"`
	Implicit    bool     `yaml:"implicit"` // ID tokens from the authorize endpoint
	Logout      string   `yaml:"logout"`   // front-channel logout URL

	Secrets      []Secret      `yaml:"secrets"`
	Certificates []Certificate `yaml:"certificates"`
	Federated    []Federated   `yaml:"federated"`

	Permissions        []Permission    `yaml:"permissions"` // what .default means
	PreAuthorized      []PreAuthorized `yaml:"pre_authorized"`
	AssignmentRequired bool            `yaml:"assignment_required"`
	Assignments        []Assignment    `yaml:"assignments"`

	GroupClaims    bool           `yaml:"group_claims"` // groups in tokens
	OptionalClaims OptionalClaims `yaml:"optional_claims"`
	Microsoft      bool           `yaml:"microsoft"` // a first-party application: nobody is asked for consent
	Managed        bool           `yaml:"managed"`   // a managed identity: tokens only from the local endpoints
	Disabled       bool           `yaml:"disabled"`
	NoPrincipal    bool           `yaml:"no_principal"` // registered, but without a service principal yet
}

// Scope is a delegated permission that an application exposes.
type Scope struct {
	ID          string `yaml:"id"`
	Name        string `yaml:"name"`
	Description string `yaml:"description"`
	AdminOnly   bool   `yaml:"admin_only"`
}

// Role is an app role. When neither kind of member is named, people may have it.
type Role struct {
	ID           string `yaml:"id"`
	Value        string `yaml:"value"`
	Description  string `yaml:"description"`
	Applications bool   `yaml:"applications"` // may be given to applications
	NoPeople     bool   `yaml:"no_people"`    // may not be given to people
}

// Assignment gives a role of the application to somebody: a person's alias, address or object ID, a
// group's name or ID, an application's client ID or name, or "everybody". Without a role it only
// assigns, which matters where assignment is required.
type Assignment struct {
	To   string `yaml:"to"`
	Role string `yaml:"role"`
}

// Secret is a client secret. The zero NotAfter never comes.
type Secret struct {
	ID       string    `yaml:"id"`
	Name     string    `yaml:"name"`
	Value    string    `yaml:"value"`
	NotAfter time.Time `yaml:"not_after"`
}

// Certificate is one with which a client signs its assertions. PEM holds the certificate, not the key.
type Certificate struct {
	PEM string `yaml:"pem"`
	// NotAfter ends it before its own end.
	NotAfter time.Time `yaml:"not_after"`
}

// Federated trusts the tokens of another issuer as a credential. Keys come from the issuer's OIDC
// discovery. "{base}" at the start of an issuer stands for the address that this tenant is served at. The zero audience is api://AzureADTokenExchange.
type Federated struct {
	Name     string `yaml:"name"`
	Issuer   string `yaml:"issuer"`
	Subject  string `yaml:"subject"`
	Audience string `yaml:"audience"`
}

// Permission is what an application declares that it needs of a resource (requiredResourceAccess).
type Permission struct {
	Resource string   `yaml:"resource"` // client ID or application ID URI
	Scopes   []string `yaml:"scopes"`
	Roles    []string `yaml:"roles"`
}

// PreAuthorized is a client that needs nobody's consent for some scopes.
type PreAuthorized struct {
	ClientID string   `yaml:"client_id"`
	Scopes   []string `yaml:"scopes"`
}

// OptionalClaims are the claims that a manifest adds.
type OptionalClaims struct {
	ID     []string `yaml:"id"`
	Access []string `yaml:"access"`
}

// Consent is a delegated permission grant (oauth2PermissionGrant). Person is an alias, an address, an
// object ID, or "everybody" for an administrator's consent.
type Consent struct {
	ID       string   `yaml:"id"`
	Client   string   `yaml:"client"`
	Resource string   `yaml:"resource"`
	Person   string   `yaml:"person"`
	Scopes   []string `yaml:"scopes"`
}

// Policy is a Conditional Access policy for one resource (client ID or application ID URI).
// SignInFrequency asks for a fresh sign-in after that time.
type Policy struct {
	Resource        string        `yaml:"resource"`
	People          []string      `yaml:"people"` // none: everybody
	MFA             bool          `yaml:"mfa"`
	SignInFrequency time.Duration `yaml:"sign_in_frequency"`
	Block           bool          `yaml:"block"`
}

// Index is a search index of Azure AI Search with its documents.
type Index struct {
	Name      string              `yaml:"name"`
	Documents []map[string]string `yaml:"documents"`
}
