package entratest

import "slices"

// apply carries a POST or PATCH over into a registration.
func (a *App) apply(d *Directory, doc application) error {
	set(&a.Name, doc.DisplayName)
	set(&a.URIs, doc.URIs)
	set(&a.PublicFlows, doc.PublicFlows)
	if doc.GroupClaims != nil {
		a.GroupClaims = *doc.GroupClaims != "" && *doc.GroupClaims != "None"
	}
	for _, side := range []struct {
		into *[]string
		from *redirects
	}{{&a.Web, doc.Web}, {&a.SPA, doc.SPA}, {&a.Public, doc.Public}} {
		if side.from != nil {
			set(side.into, side.from.URIs)
		}
	}
	if doc.Web != nil {
		set(&a.Logout, doc.Web.Logout)
		if doc.Web.Implicit != nil {
			a.Implicit = doc.Web.Implicit.IDTokens
		}
	}
	if doc.OptionalClaims != nil {
		a.OptionalClaims = OptionalClaims{ID: claimNames(doc.OptionalClaims.ID), Access: claimNames(doc.OptionalClaims.Access)}
	}
	a.applyRoles(doc.Roles)
	if err := a.applyAPI(d, doc.API); err != nil {
		return err
	}
	if err := a.applyKeys(doc.Keys); err != nil {
		return err
	}
	if err := a.applyRequired(d, doc.Required); err != nil {
		return err
	}
	return a.checkURIs(d)
}

func set[T any](into, from *T) {
	if from != nil {
		*into = *from
	}
}

func claimNames(list []graphClaim) []string {
	var names []string
	for _, c := range list {
		names = append(names, c.Name)
	}
	return names
}

func (a *App) applyRoles(roles *[]graphRole) {
	if roles == nil {
		return
	}
	a.Roles = nil
	for _, r := range *roles {
		a.Roles = append(a.Roles, Role{ID: r.ID, Value: r.Value, Description: r.Description,
			Applications: slices.Contains(r.Members, "Application"), NoPeople: !slices.Contains(r.Members, "User")})
	}
}

func (a *App) applyAPI(d *Directory, api *applicationAPI) error {
	if api == nil {
		return nil
	}
	set(&a.TokenVersion, api.TokenVersion)
	if api.Scopes != nil {
		a.Scopes = nil
		for _, s := range *api.Scopes {
			if s.ID == "" || s.Value == "" {
				return badGraph("oauth2PermissionScopes: id and value are required.")
			}
			a.Scopes = append(a.Scopes, Scope{ID: s.ID, Name: s.Value, AdminOnly: s.Type == "Admin",
				Description: orElse(s.PersonsConsentName, s.AdminConsentName)})
		}
	}
	if api.PreApproved == nil {
		return nil
	}
	a.PreAuthorized = nil
	for _, p := range *api.PreApproved {
		if d.client(p.AppID) == nil {
			return badGraph("preAuthorizedApplications: application '" + p.AppID + "' is unknown.")
		}
		pre := PreAuthorized{ClientID: p.AppID}
		for _, id := range p.Permissions {
			i := slices.IndexFunc(a.Scopes, func(s Scope) bool { return s.ID == id })
			if i < 0 {
				return badGraph("preAuthorizedApplications: permission '" + id + "' does not exist.")
			}
			pre.Scopes = append(pre.Scopes, a.Scopes[i].Name)
		}
		a.PreAuthorized = append(a.PreAuthorized, pre)
	}
	return nil
}

func (a *App) applyKeys(keys *[]graphKey) error {
	if keys == nil {
		return nil
	}
	a.Certificates = nil
	for _, k := range *keys {
		if k.Key == nil {
			return badGraph("keyCredentials: a key is required.")
		}
		text, err := pemOf(*k.Key)
		if err != nil {
			return err
		}
		a.Certificates = append(a.Certificates, Certificate{PEM: text})
	}
	return nil
}

func (a *App) applyRequired(d *Directory, required *[]requiredAccess) error {
	if required == nil {
		return nil
	}
	a.Permissions = nil
	for _, need := range *required {
		resource := d.client(need.ResourceAppID)
		if resource == nil {
			return badGraph("requiredResourceAccess: resource '" + need.ResourceAppID + "' is unknown.")
		}
		p := Permission{Resource: resource.ClientID}
		for _, single := range need.Access {
			if i := slices.IndexFunc(resource.Scopes, func(s Scope) bool { return s.ID == single.ID }); i >= 0 && single.Type == "Scope" {
				p.Scopes = append(p.Scopes, resource.Scopes[i].Name)
				continue
			}
			r := resource.role(single.ID)
			if r == nil || single.Type != "Role" {
				return badGraph("requiredResourceAccess: permission '" + single.ID + "' does not exist.")
			}
			p.Roles = append(p.Roles, r.Value)
		}
		a.Permissions = append(a.Permissions, p)
	}
	return nil
}

// checkURIs keeps application ID URIs unique in the tenant.
func (a *App) checkURIs(d *Directory) error {
	for _, uri := range a.URIs {
		if other := d.resource(uri); other != nil && other.ClientID != a.ClientID {
			return badGraph("Another object with the same value for property identifierUris already exists.")
		}
	}
	return nil
}
