package entratest

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// IdentityHeader is the secret that the App Service endpoint wants in X-IDENTITY-HEADER.
const IdentityHeader = "entratest-identity-header"

// managedLife is how long tokens of managed identities live.
const managedLife = 24 * time.Hour

// IdentityEndpoint is the value of IDENTITY_ENDPOINT for a program that believes to run in App Service;
// [IdentityHeader] is that of IDENTITY_HEADER.
func (t *Tenant) IdentityEndpoint() string { return t.base(nil) + "/msi/token" }

// managedRefusal is a refusal in the words of the endpoint that was asked.
type managedRefusal struct {
	status  int
	code    string
	message string
}

func (m *managedRefusal) Error() string { return m.code + ": " + m.message }

// appService is the managed identity endpoint of App Service and Functions.
func (t *Tenant) appService(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	fail := func(no *managedRefusal) {
		writeJSON(w, no.status, map[string]any{"statusCode": no.status, "message": no.message})
	}
	switch {
	case r.Header.Get("X-IDENTITY-HEADER") != IdentityHeader:
		fail(&managedRefusal{status: 401, message: "The X-IDENTITY-HEADER is missing or wrong."})
		return
	case query.Get("api-version") != "2019-08-01":
		fail(&managedRefusal{status: 400, message: "Unsupported api-version."})
		return
	}
	given, no := t.managedToken(r, firstOf(query.Get("client_id"), query.Get("principal_id"), query.Get("mi_res_id")))
	if no != nil {
		fail(no)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"access_token": given.token, "expires_on": strconv.FormatInt(given.expires.Unix(), 10),
		"resource": given.resource, "token_type": "Bearer", "client_id": given.client.ClientID,
	})
}

// imds is the managed identity endpoint of virtual machines, where everything is a string.
func (t *Tenant) imds(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	fail := func(no *managedRefusal) {
		writeJSON(w, no.status, map[string]any{"error": orElse(no.code, "invalid_request"), "error_description": no.message})
	}
	switch {
	case !strings.EqualFold(r.Header.Get("Metadata"), "true"):
		fail(&managedRefusal{status: 400, message: "Required metadata header not specified"})
		return
	case r.Header.Get("X-Forwarded-For") != "":
		fail(&managedRefusal{status: 400, message: "X-Forwarded-For header is not allowed"})
		return
	case query.Get("api-version") == "":
		fail(&managedRefusal{status: 400, message: "Required query variable 'api-version' is missing"})
		return
	}
	given, no := t.managedToken(r, firstOf(query.Get("client_id"), query.Get("object_id"), query.Get("msi_res_id"), query.Get("mi_res_id")))
	if no != nil {
		fail(no)
		return
	}
	seconds := int64(managedLife.Seconds())
	writeJSON(w, http.StatusOK, map[string]any{
		"access_token": given.token, "client_id": given.client.ClientID,
		"expires_in": strconv.FormatInt(seconds, 10), "expires_on": strconv.FormatInt(given.expires.Unix(), 10),
		"ext_expires_in": strconv.FormatInt(seconds, 10),
		"not_before":     strconv.FormatInt(given.expires.Unix()-seconds-300, 10),
		"resource":       given.resource, "token_type": "Bearer",
	})
}

// managedGrant is a token of a managed identity.
type managedGrant struct {
	token, resource string
	client          *App
	expires         time.Time
}

func (t *Tenant) managedToken(r *http.Request, which string) (managedGrant, *managedRefusal) {
	d := t.directory()
	name := r.URL.Query().Get("resource")
	if name == "" {
		return managedGrant{}, &managedRefusal{status: 400, message: "Required query variable 'resource' is missing"}
	}
	client := d.managed(which)
	if client == nil {
		return managedGrant{}, &managedRefusal{status: 400, message: "Identity not found"}
	}
	resource := d.resource(name)
	if resource == nil {
		no := refuse(500011, name, d.Name)
		return managedGrant{}, &managedRefusal{status: 400, code: "invalid_resource",
			message: fmt.Sprintf("AADSTS%d: %s", no.code, no.text)}
	}
	give := award{client: client, proof: proofCertificate, resource: resource, as: name}
	token, err := t.accessToken(d, t.base(r), give, managedLife)
	if err != nil {
		return managedGrant{}, &managedRefusal{status: 500, code: "server_error", message: err.Error()}
	}
	return managedGrant{token: token, resource: name, client: client, expires: t.now().Add(managedLife)}, nil
}

// managed finds a managed identity by client ID, principal ID or name. Nothing named means the
// system-assigned one: the first in the directory.
func (d *Directory) managed(which string) *App {
	for i := range d.Apps {
		a := &d.Apps[i]
		if !a.Managed {
			continue
		}
		if which == "" || strings.EqualFold(which, a.ClientID) || strings.EqualFold(which, a.PrincipalID) ||
			strings.HasSuffix(which, "/"+a.Name) {
			return a
		}
	}
	return nil
}

func firstOf(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}
