package entratest

import (
	"slices"
	"strings"
)

// oidcScope says whether a scope is one of OpenID Connect's, which belong to no resource of their own.
func oidcScope(s string) bool {
	return slices.Contains([]string{"openid", "profile", "email", "offline_access"}, s)
}

// ask is what a request wants of one resource.
type ask struct {
	resource *App
	// as is how the request named the resource: an ID URI, a GUID, or "" for an unqualified scope.
	as string
	// names are the scopes without the resource; ".default" stands alone.
	names []string
}

func (a ask) isDefault() bool { return slices.Contains(a.names, ".default") }

// qualified writes a scope of this resource in the form that the request used.
func (a ask) qualified(name string) string {
	if a.as == "" {
		return name
	}
	return a.as + "/" + name
}

// scopeSet is a scope parameter, taken apart.
type scopeSet struct {
	raw  string
	oidc []string
	asks []ask
}

func (s scopeSet) wants(oidc string) bool { return slices.Contains(s.oidc, oidc) }

// readScopes takes a scope parameter apart. Entra reads everything before the last slash as the
// resource; a scope without a slash is one of Microsoft Graph's.
func (d *Directory) readScopes(client *App, raw string) (scopeSet, *refusal) {
	set := scopeSet{raw: raw}
	for _, s := range strings.Fields(raw) {
		name := strings.TrimPrefix(s, GraphURI+"/")
		if oidcScope(name) {
			if !slices.Contains(set.oidc, name) {
				set.oidc = append(set.oidc, name)
			}
			continue
		}
		if no := d.addScope(client, &set, s); no != nil {
			return set, no
		}
	}
	for _, a := range set.asks {
		if a.isDefault() && len(a.names) > 1 {
			no := refuse(70011, raw)
			no.text = "The provided value for the input parameter 'scope' is not valid. The scope " + raw +
				" is not valid. .default scope can't be combined with resource-specific scopes."
			return set, no
		}
	}
	return set, nil
}

func (d *Directory) addScope(client *App, set *scopeSet, s string) *refusal {
	as, name := "", s
	resource := d.client(GraphID)
	if i := strings.LastIndex(s, "/"); i >= 0 {
		as, name = s[:i], s[i+1:]
		resource = d.resource(as)
	}
	switch {
	case name == "":
		return refuse(70011, s)
	case resource == nil:
		return refuse(500011, orElse(as, GraphID), d.Name)
	case name != ".default":
		known := resource.scope(name)
		if known == nil {
			return refuse(650053, client.Name, name, resource.ClientID)
		}
		name = known.Name
	}
	i := slices.IndexFunc(set.asks, func(a ask) bool { return a.resource == resource })
	if i < 0 {
		set.asks = append(set.asks, ask{resource: resource, as: as, names: []string{name}})
	} else if !slices.Contains(set.asks[i].names, name) {
		set.asks[i].names = append(set.asks[i].names, name)
	}
	return nil
}

// oneAsk is what a token request wants: one resource. Without any, the token is for Microsoft Graph's
// userinfo endpoint.
func (d *Directory) oneAsk(set scopeSet) (ask, *refusal) {
	switch len(set.asks) {
	case 0:
		return ask{resource: d.client(GraphID)}, nil
	case 1:
		return set.asks[0], nil
	default:
		return ask{}, refuse(28000, set.raw)
	}
}

// consented lists the scopes of a resource that a client may use for a person.
func (d *Directory) consented(client, resource *App, p *Person) []string {
	var names []string
	add := func(more []string) {
		for _, n := range more {
			if s := resource.scope(n); s != nil && !slices.Contains(names, s.Name) {
				names = append(names, s.Name)
			}
		}
	}
	for _, c := range d.Consents {
		if d.app(c.Client) != client || d.resource(c.Resource) != resource {
			continue
		}
		if c.Person == everybody || d.person(c.Person) == p {
			add(c.Scopes)
		}
	}
	for _, pre := range resource.PreAuthorized {
		if d.app(pre.ClientID) == client {
			add(pre.Scopes)
		}
	}
	if client.Microsoft && resource.Microsoft {
		for _, s := range resource.Scopes {
			if !s.AdminOnly {
				add([]string{s.Name})
			}
		}
	}
	return names
}

// missing lists what somebody still has to consent to.
func (d *Directory) missing(client *App, a ask, p *Person) []string {
	have := d.consented(client, a.resource, p)
	want := a.names
	if a.isDefault() {
		if len(have) > 0 {
			return nil
		}
		want = d.declared(client, a.resource)
	}
	var lacking []string
	for _, n := range want {
		if !slices.Contains(have, n) {
			lacking = append(lacking, n)
		}
	}
	return lacking
}

// declared lists the scopes of a resource that the client's registration names.
func (d *Directory) declared(client, resource *App) []string {
	var names []string
	for _, p := range client.Permissions {
		if d.resource(p.Resource) == resource {
			names = append(names, p.Scopes...)
		}
	}
	return names
}
