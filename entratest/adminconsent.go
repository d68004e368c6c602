package entratest

import (
	"net/http"
	"slices"
	"strings"
)

// adminConsent begins the consent of an administrator for everybody.
func (t *Tenant) adminConsent(w http.ResponseWriter, r *http.Request) error {
	if no := t.knownTenant(r); no != nil {
		return no
	}
	if err := r.ParseForm(); err != nil {
		return refuse(9002313)
	}
	d := t.directory()
	client, redirect, kind, no := readClient(d, r.Form)
	if no != nil {
		return no
	}
	v := &visit{
		id: t.opaque(24), redirect: redirect, state: r.Form.Get("state"), v2: v2(r), begun: t.now(),
		mode: "query", maxAge: -1, kind: visitAdmin,
	}
	v.client, v.platform = client.ClientID, kind
	v.scope = orElse(r.Form.Get("scope"), d.allDefaults(client))
	if _, no := d.readScopes(client, v.scope); no != nil {
		return &sendBack{to: v, no: no}
	}
	t.saveVisit(v)
	return t.pickerPage(w, r, d, v)
}

// allDefaults asks for everything that a registration declares.
func (d *Directory) allDefaults(client *App) string {
	var scopes []string
	for _, p := range client.Permissions {
		if r := d.resource(p.Resource); r != nil {
			scopes = append(scopes, r.uri()+"/.default")
		}
	}
	return strings.Join(scopes, " ")
}

// everything lists all that a sign-in asks for, consented before or not.
func (d *Directory) everything(client *App, v *visit) ([]lack, *refusal) {
	set, no := d.readScopes(client, v.scope)
	if no != nil {
		return nil, no
	}
	var all []lack
	for _, a := range set.asks {
		names := a.names
		if a.isDefault() {
			names = d.declared(client, a.resource)
		}
		all = append(all, lack{ask: a, names: names})
	}
	return all, nil
}

// askAdmin shows the consent page to an administrator, and to nobody else.
func (t *Tenant) askAdmin(w http.ResponseWriter, r *http.Request, d *Directory, v *visit) error {
	client := d.client(v.client)
	if !d.person(v.person).Admin {
		return refuse(90094, client.Name)
	}
	lacking, no := d.everything(client, v)
	if no != nil {
		return &sendBack{to: v, no: no}
	}
	return t.consentPage(w, r, d, v, lacking)
}

// adminAgreed records the consent, app roles included, and goes back to the application.
func (t *Tenant) adminAgreed(w http.ResponseWriter, d *Directory, v *visit) error {
	client := d.client(v.client)
	if !d.person(v.person).Admin {
		return refuse(90094, client.Name)
	}
	lacking, no := d.everything(client, v)
	if no != nil {
		return &sendBack{to: v, no: no}
	}
	for _, l := range lacking {
		if len(l.names) > 0 {
			t.grantConsent(Consent{Client: v.client, Resource: l.ask.resource.ClientID, Person: everybody, Scopes: l.names})
		}
	}
	t.change(func(d *Directory) { d.giveDeclaredRoles(d.client(v.client)) })
	t.remember(func(s *state) { delete(s.visits, v.id) })
	return t.answer(w, v, []pair{
		{"admin_consent", "True"}, {"tenant", t.TenantID}, {"state", v.state}, {"scope", v.scope},
	})
}

// giveDeclaredRoles gives an application the roles that its registration asks for.
func (d *Directory) giveDeclaredRoles(client *App) {
	for _, p := range client.Permissions {
		resource := d.resource(p.Resource)
		if resource == nil {
			continue
		}
		have := d.appRolesOf(client, resource)
		for _, role := range p.Roles {
			if !slices.Contains(have, role) {
				resource.Assignments = append(resource.Assignments, Assignment{To: client.ClientID, Role: role})
			}
		}
	}
}
