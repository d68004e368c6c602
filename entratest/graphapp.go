package entratest

import (
	"encoding/base64"
	"encoding/pem"
	"time"
)

// application is how Graph writes an app registration. Pointers tell "not mentioned" from "emptied" in
// a PATCH.
type application struct {
	Context        string            `json:"@odata.context,omitempty"`
	ID             string            `json:"id,omitempty"`
	AppID          string            `json:"appId,omitempty"`
	DisplayName    *string           `json:"displayName,omitempty"`
	Audience       *string           `json:"signInAudience,omitempty"`
	URIs           *[]string         `json:"identifierUris,omitempty"`
	API            *applicationAPI   `json:"api,omitempty"`
	Roles          *[]graphRole      `json:"appRoles,omitempty"`
	Web            *redirects        `json:"web,omitempty"`
	SPA            *redirects        `json:"spa,omitempty"`
	Public         *redirects        `json:"publicClient,omitempty"`
	PublicFlows    *bool             `json:"isFallbackPublicClient,omitempty"`
	Required       *[]requiredAccess `json:"requiredResourceAccess,omitempty"`
	GroupClaims    *string           `json:"groupMembershipClaims,omitempty"`
	OptionalClaims *graphClaims      `json:"optionalClaims,omitempty"`
	Passwords      *[]password       `json:"passwordCredentials,omitempty"`
	Keys           *[]graphKey       `json:"keyCredentials,omitempty"`
}

type applicationAPI struct {
	TokenVersion *int           `json:"requestedAccessTokenVersion,omitempty"`
	Scopes       *[]graphScope  `json:"oauth2PermissionScopes,omitempty"`
	PreApproved  *[]preApproved `json:"preAuthorizedApplications,omitempty"`
	KnownClients *[]string      `json:"knownClientApplications,omitempty"`
	MappedClaims *bool          `json:"acceptMappedClaims,omitempty"`
}

type graphScope struct {
	ID                 string `json:"id"`
	Value              string `json:"value"`
	Type               string `json:"type"` // Admin or User
	Enabled            bool   `json:"isEnabled"`
	AdminConsentName   string `json:"adminConsentDisplayName,omitempty"`
	AdminConsentText   string `json:"adminConsentDescription,omitempty"`
	PersonsConsentName string `json:"userConsentDisplayName,omitempty"`
	PersonsConsentText string `json:"userConsentDescription,omitempty"`
}

type graphRole struct {
	ID          string   `json:"id"`
	Value       string   `json:"value"`
	DisplayName string   `json:"displayName"`
	Description string   `json:"description"`
	Members     []string `json:"allowedMemberTypes"` // User, Application
	Enabled     bool     `json:"isEnabled"`
}

type preApproved struct {
	AppID       string   `json:"appId"`
	Permissions []string `json:"delegatedPermissionIds"`
}

type redirects struct {
	URIs     *[]string `json:"redirectUris,omitempty"`
	Logout   *string   `json:"logoutUrl,omitempty"`
	Implicit *implicit `json:"implicitGrantSettings,omitempty"`
}

type implicit struct {
	IDTokens     bool `json:"enableIdTokenIssuance"`
	AccessTokens bool `json:"enableAccessTokenIssuance"`
}

type requiredAccess struct {
	ResourceAppID string           `json:"resourceAppId"`
	Access        []requiredSingle `json:"resourceAccess"`
}

type requiredSingle struct {
	ID   string `json:"id"`
	Type string `json:"type"` // Scope or Role
}

type graphClaims struct {
	ID     []graphClaim `json:"idToken"`
	Access []graphClaim `json:"accessToken"`
}

type graphClaim struct {
	Name string `json:"name"`
}

type password struct {
	KeyID  string     `json:"keyId,omitempty"`
	Name   string     `json:"displayName,omitempty"`
	Hint   string     `json:"hint,omitempty"`
	Text   string     `json:"secretText,omitempty"` // only ever shown once
	End    *time.Time `json:"endDateTime,omitempty"`
	Begins *time.Time `json:"startDateTime,omitempty"`
}

type graphKey struct {
	Type  string     `json:"type"`
	Usage string     `json:"usage"`
	Key   *string    `json:"key,omitempty"` // base64 of the DER; never given back
	Name  string     `json:"displayName,omitempty"`
	End   *time.Time `json:"endDateTime,omitempty"`
}

// applicationOf writes an app registration as Graph does.
func applicationOf(d *Directory, a *App) application {
	groups := "None"
	if a.GroupClaims {
		groups = "SecurityGroup"
	}
	version := a.TokenVersion
	audience := "AzureADMyOrg"
	return application{
		ID: a.ObjectID, AppID: a.ClientID, DisplayName: &a.Name, Audience: &audience, URIs: all(a.URIs),
		API:   &applicationAPI{TokenVersion: &version, Scopes: all(graphScopes(a)), PreApproved: all(graphPreApproved(a))},
		Roles: all(graphRoles(a)),
		Web:   &redirects{URIs: all(a.Web), Logout: &a.Logout, Implicit: &implicit{IDTokens: a.Implicit}},
		SPA:   &redirects{URIs: all(a.SPA)}, Public: &redirects{URIs: all(a.Public)},
		PublicFlows: &a.PublicFlows, Required: all(graphRequired(d, a)), GroupClaims: &groups,
		OptionalClaims: &graphClaims{ID: graphClaimsOf(a.OptionalClaims.ID), Access: graphClaimsOf(a.OptionalClaims.Access)},
		Passwords:      all(graphPasswords(a)), Keys: all(graphKeys(a)),
	}
}

// all is a list that is there even when it is empty.
func all[T any](items []T) *[]T {
	if items == nil {
		items = []T{}
	}
	return &items
}

func graphScopes(a *App) []graphScope {
	var out []graphScope
	for _, s := range a.Scopes {
		kind := "User"
		if s.AdminOnly {
			kind = "Admin"
		}
		out = append(out, graphScope{ID: s.ID, Value: s.Name, Type: kind, Enabled: true,
			AdminConsentName: orElse(s.Description, s.Name), AdminConsentText: s.Description})
	}
	return out
}

func graphRoles(a *App) []graphRole {
	var out []graphRole
	for _, r := range a.Roles {
		var members []string
		if !r.NoPeople {
			members = append(members, "User")
		}
		if r.Applications {
			members = append(members, "Application")
		}
		out = append(out, graphRole{ID: r.ID, Value: r.Value, DisplayName: r.Value, Description: r.Description,
			Members: members, Enabled: true})
	}
	return out
}

func graphPreApproved(a *App) []preApproved {
	var out []preApproved
	for _, p := range a.PreAuthorized {
		var ids []string
		for _, name := range p.Scopes {
			if s := a.scope(name); s != nil {
				ids = append(ids, s.ID)
			}
		}
		out = append(out, preApproved{AppID: p.ClientID, Permissions: ids})
	}
	return out
}

func graphRequired(d *Directory, a *App) []requiredAccess {
	var out []requiredAccess
	for _, p := range a.Permissions {
		resource := d.resource(p.Resource)
		if resource == nil {
			continue
		}
		need := requiredAccess{ResourceAppID: resource.ClientID}
		for _, name := range p.Scopes {
			if s := resource.scope(name); s != nil {
				need.Access = append(need.Access, requiredSingle{ID: s.ID, Type: "Scope"})
			}
		}
		for _, value := range p.Roles {
			if r := resource.role(value); r != nil {
				need.Access = append(need.Access, requiredSingle{ID: r.ID, Type: "Role"})
			}
		}
		out = append(out, need)
	}
	return out
}

func graphClaimsOf(names []string) []graphClaim {
	out := []graphClaim{}
	for _, n := range names {
		out = append(out, graphClaim{Name: n})
	}
	return out
}

func graphPasswords(a *App) []password {
	var out []password
	for _, s := range a.Secrets {
		out = append(out, password{KeyID: s.ID, Name: s.Name, Hint: s.Value[:min(3, len(s.Value))], End: ends(s.NotAfter)})
	}
	return out
}

func ends(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}

func graphKeys(a *App) []graphKey {
	var out []graphKey
	for _, c := range a.Certificates {
		key := graphKey{Type: "AsymmetricX509Cert", Usage: "Verify"}
		if cert, err := parseCertificate(c.PEM); err == nil {
			key.Name, key.End = cert.Subject.String(), &cert.NotAfter
		}
		out = append(out, key)
	}
	return out
}

// pemOf reads the certificate of a key credential.
func pemOf(der string) (string, error) {
	raw, err := base64.StdEncoding.DecodeString(der)
	if err != nil {
		return "", badGraph("keyCredentials: the key is no base64.")
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}))
	if _, err := parseCertificate(text); err != nil {
		return "", badGraph("keyCredentials: the key is no X.509 certificate.")
	}
	return text, nil
}
