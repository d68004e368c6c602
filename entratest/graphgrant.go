package entratest

import (
	"net/http"
	"slices"
	"strings"
)

// permissionGrant is how Graph writes a consent.
type permissionGrant struct {
	ID          string  `json:"id,omitempty"`
	ClientID    string  `json:"clientId"` // of the client's service principal
	ConsentType string  `json:"consentType"`
	PrincipalID *string `json:"principalId"`
	ResourceID  string  `json:"resourceId"`
	Scope       string  `json:"scope"`
}

const grantPermission = "DelegatedPermissionGrant.ReadWrite.All"

func (d *Directory) grantOf(c Consent) (permissionGrant, bool) {
	client, resource := d.app(c.Client), d.resource(c.Resource)
	if client == nil || resource == nil {
		return permissionGrant{}, false
	}
	doc := permissionGrant{ID: c.ID, ClientID: client.PrincipalID, ResourceID: resource.PrincipalID,
		ConsentType: "AllPrincipals", Scope: strings.Join(c.Scopes, " ")}
	if c.Person != everybody {
		p := d.person(c.Person)
		if p == nil {
			return doc, false
		}
		doc.ConsentType, doc.PrincipalID = "Principal", &p.ID
	}
	return doc, true
}

func (t *Tenant) listGrants(w http.ResponseWriter, r *http.Request, b *bearer) error {
	if !b.may(grantPermission, "Directory.Read.All") {
		return forbidden()
	}
	name, value, err := filter(r.URL.Query())
	if err != nil {
		return err
	}
	d := t.directory()
	var found []permissionGrant
	for _, c := range d.Consents {
		doc, ok := d.grantOf(c)
		got, known := map[string]string{"": "", "clientId": doc.ClientID, "resourceId": doc.ResourceID, "consentType": doc.ConsentType}[name]
		if !known {
			return badGraph("Invalid filter clause: '" + name + "' can't be filtered by.")
		}
		if ok && (name == "" || got == value) {
			found = append(found, doc)
		}
	}
	return writePage(t, w, r, "oauth2PermissionGrants", found)
}

func (t *Tenant) createGrant(w http.ResponseWriter, r *http.Request, b *bearer) error {
	if err := t.mayManage(b, grantPermission); err != nil {
		return err
	}
	var doc permissionGrant
	if err := readJSON(r, &doc); err != nil {
		return err
	}
	var err error
	t.change(func(d *Directory) { doc, err = d.addGrant(doc) })
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, doc)
	return nil
}

func (d *Directory) addGrant(doc permissionGrant) (permissionGrant, error) {
	client, resource := d.principal(doc.ClientID), d.principal(doc.ResourceID)
	if client == nil || resource == nil {
		return doc, notFound(doc.ClientID + " or " + doc.ResourceID)
	}
	who := everybody
	switch {
	case doc.ConsentType == "Principal" && doc.PrincipalID != nil && d.person(*doc.PrincipalID) != nil:
		who = *doc.PrincipalID
	case doc.ConsentType != "AllPrincipals":
		return doc, badGraph("consentType is AllPrincipals, or Principal with a principalId.")
	}
	made := Consent{Client: client.ClientID, Resource: resource.ClientID, Person: who, Scopes: strings.Fields(doc.Scope)}
	for _, c := range d.Consents {
		if d.app(c.Client) == client && d.resource(c.Resource) == resource && c.Person == who {
			return doc, &graphRefusal{status: 409, code: "Request_MultipleObjectsWithSameKeyValue",
				message: "Permission entry already exists."}
		}
	}
	if no := unknownScope(resource, made.Scopes); no != nil {
		return doc, no
	}
	d.Consents = append(d.Consents, made)
	d.complete()
	full, _ := d.grantOf(d.Consents[len(d.Consents)-1])
	return full, nil
}

func unknownScope(resource *App, names []string) error {
	for _, name := range names {
		if resource.scope(name) == nil {
			return badGraph("Scope '" + name + "' does not exist on the resource.")
		}
	}
	return nil
}

func (t *Tenant) patchGrant(w http.ResponseWriter, r *http.Request, b *bearer) error {
	if err := t.mayManage(b, grantPermission); err != nil {
		return err
	}
	var doc struct {
		Scope string `json:"scope"`
	}
	if err := readJSON(r, &doc); err != nil {
		return err
	}
	return t.editGrant(w, r, func(d *Directory, i int) error {
		c := &d.Consents[i]
		if err := unknownScope(d.resource(c.Resource), strings.Fields(doc.Scope)); err != nil {
			return err
		}
		c.Scopes = strings.Fields(doc.Scope)
		return nil
	})
}

func (t *Tenant) deleteGrant(w http.ResponseWriter, r *http.Request, b *bearer) error {
	if err := t.mayManage(b, grantPermission); err != nil {
		return err
	}
	return t.editGrant(w, r, func(d *Directory, i int) error {
		d.Consents = slices.Delete(d.Consents, i, i+1)
		return nil
	})
}

func (t *Tenant) editGrant(w http.ResponseWriter, r *http.Request, edit func(*Directory, int) error) error {
	var err error
	t.change(func(d *Directory) {
		i := slices.IndexFunc(d.Consents, func(c Consent) bool { return c.ID == r.PathValue("id") })
		if i < 0 {
			err = notFound(r.PathValue("id"))
			return
		}
		err = edit(d, i)
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
