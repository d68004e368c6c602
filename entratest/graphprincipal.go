package entratest

import (
	"net/http"
	"slices"
	"strings"
)

// principal is how Graph writes a service principal.
type principal struct {
	Context            string       `json:"@odata.context,omitempty"`
	ID                 string       `json:"id"`
	AppID              string       `json:"appId"`
	DisplayName        string       `json:"displayName"`
	AppDisplayName     string       `json:"appDisplayName"`
	Type               string       `json:"servicePrincipalType"`
	Names              []string     `json:"servicePrincipalNames"`
	Enabled            bool         `json:"accountEnabled"`
	AssignmentRequired bool         `json:"appRoleAssignmentRequired"`
	Roles              []graphRole  `json:"appRoles"`
	Scopes             []graphScope `json:"oauth2PermissionScopes"`
}

func principalOf(a *App) principal {
	kind := "Application"
	if a.Managed {
		kind = "ManagedIdentity"
	}
	return principal{ID: a.PrincipalID, AppID: a.ClientID, DisplayName: a.Name, AppDisplayName: a.Name, Type: kind,
		Names: append([]string{a.ClientID}, a.URIs...), Enabled: !a.Disabled, AssignmentRequired: a.AssignmentRequired,
		Roles: *all(graphRoles(a)), Scopes: *all(graphScopes(a))}
}

// principal finds a service principal by object ID, or by appId=... from an alternate key.
func (d *Directory) principal(id string) *App {
	for i := range d.Apps {
		a := &d.Apps[i]
		if !a.NoPrincipal && (strings.EqualFold(a.PrincipalID, id) || strings.EqualFold("appId="+a.ClientID, id)) {
			return a
		}
	}
	return nil
}

func (t *Tenant) listPrincipals(w http.ResponseWriter, r *http.Request, b *bearer) error {
	if err := mayReadApps(b); err != nil {
		return err
	}
	name, value, err := filter(r.URL.Query())
	if err != nil {
		return err
	}
	d := t.directory()
	var found []principal
	for i := range d.Apps {
		a := &d.Apps[i]
		got, known := map[string]string{"": "", "appId": a.ClientID, "displayName": a.Name, "id": a.PrincipalID}[name]
		if !known {
			return badGraph("Invalid filter clause: '" + name + "' can't be filtered by.")
		}
		if !a.NoPrincipal && (name == "" || strings.EqualFold(got, value)) {
			found = append(found, principalOf(a))
		}
	}
	return writePage(t, w, r, "servicePrincipals", found)
}

func (t *Tenant) createPrincipal(w http.ResponseWriter, r *http.Request, b *bearer) error {
	if err := t.mayManage(b, "Application.ReadWrite.All"); err != nil {
		return err
	}
	var doc struct {
		AppID string `json:"appId"`
	}
	if err := readJSON(r, &doc); err != nil {
		return err
	}
	err := t.editApp("appId="+doc.AppID, func(_ *Directory, a *App) error {
		if !a.NoPrincipal {
			return &graphRefusal{status: 409, code: "Request_MultipleObjectsWithSameKeyValue",
				message: "The service principal cannot be created, updated, or restored because the service principal name " + a.ClientID + " is already in use."}
		}
		a.NoPrincipal = false
		return nil
	})
	if err != nil {
		return err
	}
	return t.writePrincipal(w, r, "appId="+doc.AppID, http.StatusCreated)
}

func (t *Tenant) writePrincipal(w http.ResponseWriter, r *http.Request, id string, status int) error {
	a := t.directory().principal(id)
	if a == nil {
		return notFound(id)
	}
	doc := principalOf(a)
	doc.Context = t.base(r) + "/v1.0/$metadata#servicePrincipals/$entity"
	writeJSON(w, status, doc)
	return nil
}

func (t *Tenant) getPrincipal(w http.ResponseWriter, r *http.Request, b *bearer) error {
	if err := mayReadApps(b); err != nil {
		return err
	}
	return t.writePrincipal(w, r, r.PathValue("id"), http.StatusOK)
}

func (t *Tenant) patchPrincipal(w http.ResponseWriter, r *http.Request, b *bearer) error {
	if err := t.mayManage(b, "Application.ReadWrite.All"); err != nil {
		return err
	}
	var doc struct {
		Enabled            *bool `json:"accountEnabled"`
		AssignmentRequired *bool `json:"appRoleAssignmentRequired"`
	}
	if err := readJSON(r, &doc); err != nil {
		return err
	}
	var err error
	t.change(func(d *Directory) {
		a := d.principal(r.PathValue("id"))
		if a == nil {
			err = notFound(r.PathValue("id"))
			return
		}
		set(&a.AssignmentRequired, doc.AssignmentRequired)
		if doc.Enabled != nil {
			a.Disabled = !*doc.Enabled
		}
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// assignment is how Graph writes who has which app role.
type assignment struct {
	ID            string `json:"id"`
	RoleID        string `json:"appRoleId"`
	PrincipalID   string `json:"principalId"`
	PrincipalType string `json:"principalType"`
	PrincipalName string `json:"principalDisplayName"`
	ResourceID    string `json:"resourceId"`
	ResourceName  string `json:"resourceDisplayName"`
}

// noRole is Graph's ID for an assignment without a role.
const noRole = "00000000-0000-0000-0000-000000000000"

func (d *Directory) assignmentOf(resource *App, as Assignment) (assignment, bool) {
	doc := assignment{RoleID: noRole, ResourceID: resource.PrincipalID, ResourceName: resource.Name}
	if r := resource.role(as.Role); r != nil {
		doc.RoleID = r.ID
	}
	if p := d.person(as.To); p != nil {
		doc.PrincipalID, doc.PrincipalType, doc.PrincipalName = p.ID, "User", p.Name
	} else if g := d.group(as.To); g != nil {
		doc.PrincipalID, doc.PrincipalType, doc.PrincipalName = g.ID, "Group", g.Name
	} else if a := d.app(as.To); a != nil {
		doc.PrincipalID, doc.PrincipalType, doc.PrincipalName = a.PrincipalID, "ServicePrincipal", a.Name
	} else {
		return doc, false
	}
	doc.ID = derivedID("assignment", doc.ResourceID, doc.PrincipalID, doc.RoleID)
	return doc, true
}

func (t *Tenant) listAssigned(w http.ResponseWriter, r *http.Request, b *bearer) error {
	if err := mayReadApps(b); err != nil {
		return err
	}
	d := t.directory()
	resource := d.principal(r.PathValue("id"))
	if resource == nil {
		return notFound(r.PathValue("id"))
	}
	var found []assignment
	for _, as := range resource.Assignments {
		if doc, ok := d.assignmentOf(resource, as); ok {
			found = append(found, doc)
		}
	}
	return writePage(t, w, r, "appRoleAssignments", found)
}

func (t *Tenant) addAssigned(w http.ResponseWriter, r *http.Request, b *bearer) error {
	if err := t.mayManage(b, "AppRoleAssignment.ReadWrite.All"); err != nil {
		return err
	}
	var doc assignment
	if err := readJSON(r, &doc); err != nil {
		return err
	}
	var err error
	t.change(func(d *Directory) { doc, err = d.assign(r.PathValue("id"), doc) })
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, doc)
	return nil
}

func (d *Directory) assign(id string, doc assignment) (assignment, error) {
	resource := d.principal(id)
	if resource == nil || doc.ResourceID != resource.PrincipalID {
		return doc, notFound(id)
	}
	made := Assignment{To: doc.PrincipalID}
	if a := d.principal(doc.PrincipalID); a != nil {
		made.To = a.ClientID
	}
	if doc.RoleID != noRole {
		role := resource.role(doc.RoleID)
		if role == nil {
			return doc, badGraph("Permission being assigned was not found on application '" + resource.ClientID + "'.")
		}
		made.Role = role.Value
	}
	full, ok := d.assignmentOf(resource, made)
	if !ok {
		return doc, notFound(doc.PrincipalID)
	}
	for _, as := range resource.Assignments {
		if old, ok := d.assignmentOf(resource, as); ok && old.ID == full.ID {
			return doc, badGraph("Permission being assigned already exists on the object")
		}
	}
	resource.Assignments = append(resource.Assignments, made)
	return full, nil
}

func (t *Tenant) removeAssigned(w http.ResponseWriter, r *http.Request, b *bearer) error {
	if err := t.mayManage(b, "AppRoleAssignment.ReadWrite.All"); err != nil {
		return err
	}
	var err error
	t.change(func(d *Directory) {
		resource := d.principal(r.PathValue("id"))
		if resource == nil {
			err = notFound(r.PathValue("id"))
			return
		}
		before := len(resource.Assignments)
		resource.Assignments = slices.DeleteFunc(resource.Assignments, func(as Assignment) bool {
			doc, ok := d.assignmentOf(resource, as)
			return ok && doc.ID == r.PathValue("aid")
		})
		if len(resource.Assignments) == before {
			err = notFound(r.PathValue("aid"))
		}
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
