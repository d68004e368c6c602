package entratest

import (
	"net/http"
	"strings"
)

// managementRoutes are the shapes that a set-up program needs: registrations, service principals,
// consent and role assignments.
func (t *Tenant) managementRoutes() map[string]graphHandler {
	return map[string]graphHandler{
		"GET /v1.0/applications":                                            t.listApps,
		"POST /v1.0/applications":                                           t.createApp,
		"GET /v1.0/applications/{id}":                                       t.getApp,
		"PATCH /v1.0/applications/{id}":                                     t.patchApp,
		"DELETE /v1.0/applications/{id}":                                    t.deleteApp,
		"POST /v1.0/applications/{id}/addPassword":                          t.addPassword,
		"POST /v1.0/applications/{id}/removePassword":                       t.removePassword,
		"GET /v1.0/applications/{id}/federatedIdentityCredentials":          t.listFederated,
		"POST /v1.0/applications/{id}/federatedIdentityCredentials":         t.addFederated,
		"DELETE /v1.0/applications/{id}/federatedIdentityCredentials/{fid}": t.removeFederated,
		"GET /v1.0/servicePrincipals":                                       t.listPrincipals,
		"POST /v1.0/servicePrincipals":                                      t.createPrincipal,
		"GET /v1.0/servicePrincipals/{id}":                                  t.getPrincipal,
		"PATCH /v1.0/servicePrincipals/{id}":                                t.patchPrincipal,
		"GET /v1.0/servicePrincipals/{id}/appRoleAssignedTo":                t.listAssigned,
		"POST /v1.0/servicePrincipals/{id}/appRoleAssignedTo":               t.addAssigned,
		"DELETE /v1.0/servicePrincipals/{id}/appRoleAssignedTo/{aid}":       t.removeAssigned,
		"GET /v1.0/oauth2PermissionGrants":                                  t.listGrants,
		"POST /v1.0/oauth2PermissionGrants":                                 t.createGrant,
		"PATCH /v1.0/oauth2PermissionGrants/{id}":                           t.patchGrant,
		"DELETE /v1.0/oauth2PermissionGrants/{id}":                          t.deleteGrant,
	}
}

// mayManage asks for the permission, and of a person also for the role of an administrator.
func (t *Tenant) mayManage(b *bearer, permission string) error {
	if !b.may(permission) {
		return forbidden()
	}
	if b.Scopes != "" {
		if p := t.directory().person(b.Object); p == nil || !p.Admin {
			return forbidden()
		}
	}
	return nil
}

func mayReadApps(b *bearer) error {
	if !b.may("Application.Read.All", "Application.ReadWrite.All", "Directory.Read.All") {
		return forbidden()
	}
	return nil
}

// registration finds an application object by object ID, or by appId=... from an alternate key.
func (d *Directory) registration(id string) *App {
	for i := range d.Apps {
		a := &d.Apps[i]
		if !a.Managed && (strings.EqualFold(a.ObjectID, id) || strings.EqualFold("appId="+a.ClientID, id)) {
			return a
		}
	}
	return nil
}

// editApp changes one registration; the change is whole or not at all.
func (t *Tenant) editApp(id string, edit func(*Directory, *App) error) error {
	var err error
	t.change(func(d *Directory) {
		a := d.registration(id)
		if a == nil {
			err = notFound(id)
			return
		}
		before := d.clone()
		if err = edit(d, a); err != nil {
			*d = *before
		}
	})
	return err
}

func (t *Tenant) listApps(w http.ResponseWriter, r *http.Request, b *bearer) error {
	if err := mayReadApps(b); err != nil {
		return err
	}
	name, value, err := filter(r.URL.Query())
	if err != nil {
		return err
	}
	d := t.directory()
	var found []application
	for i := range d.Apps {
		a := &d.Apps[i]
		got, known := map[string]string{"": "", "appId": a.ClientID, "displayName": a.Name, "id": a.ObjectID}[name]
		if !known {
			return badGraph("Invalid filter clause: '" + name + "' can't be filtered by.")
		}
		if !a.Managed && !a.Microsoft && (name == "" || strings.EqualFold(got, value)) {
			found = append(found, applicationOf(d, a))
		}
	}
	return writePage(t, w, r, "applications", found)
}

func (t *Tenant) createApp(w http.ResponseWriter, r *http.Request, b *bearer) error {
	if err := t.mayManage(b, "Application.ReadWrite.All"); err != nil {
		return err
	}
	var doc application
	if err := readJSON(r, &doc); err != nil {
		return err
	}
	if doc.DisplayName == nil || *doc.DisplayName == "" {
		return badGraph("Property 'displayName' is required.")
	}
	made := App{ClientID: t.guid(), ObjectID: t.guid(), PrincipalID: t.guid(), NoPrincipal: true}
	var err error
	t.change(func(d *Directory) {
		if err = made.apply(d, doc); err == nil {
			d.Apps = append(d.Apps, made)
		}
	})
	if err != nil {
		return err
	}
	return t.writeApp(w, r, made.ObjectID, http.StatusCreated)
}

func (t *Tenant) writeApp(w http.ResponseWriter, r *http.Request, id string, status int) error {
	d := t.directory()
	a := d.registration(id)
	if a == nil {
		return notFound(id)
	}
	doc := applicationOf(d, a)
	doc.Context = t.base(r) + "/v1.0/$metadata#applications/$entity"
	writeJSON(w, status, doc)
	return nil
}

func (t *Tenant) getApp(w http.ResponseWriter, r *http.Request, b *bearer) error {
	if err := mayReadApps(b); err != nil {
		return err
	}
	return t.writeApp(w, r, r.PathValue("id"), http.StatusOK)
}

func (t *Tenant) patchApp(w http.ResponseWriter, r *http.Request, b *bearer) error {
	if err := t.mayManage(b, "Application.ReadWrite.All"); err != nil {
		return err
	}
	var doc application
	if err := readJSON(r, &doc); err != nil {
		return err
	}
	if err := t.editApp(r.PathValue("id"), func(d *Directory, a *App) error { return a.apply(d, doc) }); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (t *Tenant) deleteApp(w http.ResponseWriter, r *http.Request, b *bearer) error {
	if err := t.mayManage(b, "Application.ReadWrite.All"); err != nil {
		return err
	}
	err := t.editApp(r.PathValue("id"), func(d *Directory, a *App) error {
		gone, kept := a.ClientID, d.Apps[:0:0]
		for _, other := range d.Apps {
			if other.ClientID != gone {
				kept = append(kept, other)
			}
		}
		d.Apps = kept
		d.dropConsents(gone)
		return nil
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// dropConsents forgets what an application that is gone was allowed, and what others were at it.
func (d *Directory) dropConsents(gone string) {
	kept := d.Consents[:0:0]
	for _, c := range d.Consents {
		if d.app(c.Client) != nil && d.resource(c.Resource) != nil && c.Client != gone && c.Resource != gone {
			kept = append(kept, c)
		}
	}
	d.Consents = kept
}
