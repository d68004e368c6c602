package entratest

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// derivedID is a GUID that is the same for the same names in every process.
func derivedID(parts ...string) string {
	h := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	h[6] = h[6]&0x0f | 0x40
	h[8] = h[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[0:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

// complete fills what a declaration may leave out.
func (d *Directory) complete() {
	d.TenantID = orElse(d.TenantID, TenantID)
	d.Domain = orElse(d.Domain, Domain)
	d.Name = orElse(d.Name, d.Domain)
	for i := range d.Groups {
		g := &d.Groups[i]
		g.ID = orElse(g.ID, derivedID(d.TenantID, "group", g.Name))
	}
	for i := range d.People {
		p := &d.People[i]
		p.Alias = orElse(p.Alias, strings.ToLower(p.GivenName))
		p.Address = orElse(p.Address, p.Alias+"@"+d.Domain)
		p.ID = orElse(p.ID, derivedID(d.TenantID, "person", p.Alias))
		p.Name = orElse(p.Name, p.Alias)
	}
	for i := range d.Apps {
		d.Apps[i].complete(d.TenantID)
	}
	for i := range d.Consents {
		c := &d.Consents[i]
		c.ID = orElse(c.ID, derivedID(d.TenantID, "consent", c.Client, c.Resource, c.Person))
	}
}

func (a *App) complete(tenant string) {
	a.ClientID = orElse(a.ClientID, derivedID(tenant, "app", a.Name))
	a.ObjectID = orElse(a.ObjectID, derivedID(tenant, "application", a.ClientID))
	a.PrincipalID = orElse(a.PrincipalID, derivedID(tenant, "principal", a.ClientID))
	for i := range a.Scopes {
		a.Scopes[i].ID = orElse(a.Scopes[i].ID, derivedID(a.ClientID, "scope", a.Scopes[i].Name))
	}
	for i := range a.Roles {
		a.Roles[i].ID = orElse(a.Roles[i].ID, derivedID(a.ClientID, "role", a.Roles[i].Value))
	}
	for i := range a.Secrets {
		a.Secrets[i].ID = orElse(a.Secrets[i].ID, derivedID(a.ClientID, "secret", fmt.Sprint(i)))
	}
}

func orElse(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

// clone is a deep copy, so that a handler can go on reading what it began with.
func (d *Directory) clone() *Directory {
	b, err := json.Marshal(d)
	if err != nil {
		panic(fmt.Sprintf("entratest: a directory is plain data: %v", err))
	}
	out := new(Directory)
	if err := json.Unmarshal(b, out); err != nil {
		panic(fmt.Sprintf("entratest: a directory is plain data: %v", err))
	}
	return out
}

// person finds somebody by alias, address or object ID; nil when nobody is called so.
func (d *Directory) person(who string) *Person {
	if who == "" {
		return nil
	}
	for i := range d.People {
		p := &d.People[i]
		if strings.EqualFold(who, p.Alias) || strings.EqualFold(who, p.Address) || strings.EqualFold(who, p.ID) {
			return p
		}
	}
	return nil
}

func (d *Directory) group(name string) *Group {
	for i := range d.Groups {
		if d.Groups[i].Name == name || strings.EqualFold(d.Groups[i].ID, name) {
			return &d.Groups[i]
		}
	}
	return nil
}

// app finds an application by client ID or name.
func (d *Directory) app(id string) *App {
	if id == "" {
		return nil
	}
	for i := range d.Apps {
		if strings.EqualFold(d.Apps[i].ClientID, id) || d.Apps[i].Name == id {
			return &d.Apps[i]
		}
	}
	return nil
}

// client finds an application as the protocol names it: by client ID only.
func (d *Directory) client(id string) *App {
	a := d.app(id)
	if a == nil || !strings.EqualFold(a.ClientID, id) {
		return nil
	}
	return a
}

// resource finds an application by application ID URI or client ID. A trailing slash makes no
// difference to which application it is, though it does to the audience.
func (d *Directory) resource(name string) *App {
	name = strings.TrimSuffix(name, "/")
	if name == "" {
		return nil
	}
	for i := range d.Apps {
		a := &d.Apps[i]
		if strings.EqualFold(a.ClientID, name) || slices.ContainsFunc(a.URIs, func(u string) bool {
			return strings.EqualFold(strings.TrimSuffix(u, "/"), name)
		}) {
			return a
		}
	}
	return nil
}

func (a *App) scope(name string) *Scope {
	for i := range a.Scopes {
		if strings.EqualFold(a.Scopes[i].Name, name) {
			return &a.Scopes[i]
		}
	}
	return nil
}

func (a *App) role(value string) *Role {
	for i := range a.Roles {
		if a.Roles[i].Value == value || strings.EqualFold(a.Roles[i].ID, value) {
			return &a.Roles[i]
		}
	}
	return nil
}

func (a *App) uri() string {
	if len(a.URIs) > 0 {
		return a.URIs[0]
	}
	return a.ClientID
}

// groupsOf lists the IDs of a person's groups.
func (d *Directory) groupsOf(p *Person) []string {
	ids := []string{}
	for _, name := range p.Groups {
		if g := d.group(name); g != nil {
			ids = append(ids, g.ID)
		}
	}
	return ids
}

// assigned says whether an assignment reaches a person: directly, by a group, or because it is for all.
func (d *Directory) assigned(a Assignment, p *Person) bool {
	if a.To == everybody || d.person(a.To) == p {
		return true
	}
	g := d.group(a.To)
	return g != nil && slices.Contains(d.groupsOf(p), g.ID)
}

// rolesOf lists the role values that a person has at a resource.
func (d *Directory) rolesOf(p *Person, resource *App) []string {
	var roles []string
	for _, a := range resource.Assignments {
		r := resource.role(a.Role)
		if r != nil && !r.NoPeople && d.assigned(a, p) && !slices.Contains(roles, r.Value) {
			roles = append(roles, r.Value)
		}
	}
	return roles
}

// appRolesOf lists the role values that an application has at a resource.
func (d *Directory) appRolesOf(client, resource *App) []string {
	var roles []string
	for _, a := range resource.Assignments {
		r := resource.role(a.Role)
		if r != nil && r.Applications && d.app(a.To) == client && !slices.Contains(roles, r.Value) {
			roles = append(roles, r.Value)
		}
	}
	return roles
}

// mayUse says whether the person passes "assignment required".
func (d *Directory) mayUse(p *Person, a *App) bool {
	return !a.AssignmentRequired || slices.ContainsFunc(a.Assignments, func(as Assignment) bool { return d.assigned(as, p) })
}
