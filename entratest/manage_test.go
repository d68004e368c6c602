package entratest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/entratest"
)

// adminToken is an administrator's token that may manage registrations.
func adminToken(t *testing.T, tenant *entratest.Tenant) string {
	t.Helper()
	return graphToken(t, tenant, "frank", "Application.ReadWrite.All", "DelegatedPermissionGrant.ReadWrite.All",
		"AppRoleAssignment.ReadWrite.All", "Directory.Read.All")
}

const newApp = `{
  "displayName": "Door",
  "identifierUris": ["api://door"],
  "api": {
    "requestedAccessTokenVersion": 2,
    "oauth2PermissionScopes": [{"id": "d0000000-0000-4000-8000-000000000001", "value": "access_as_user", "type": "User", "isEnabled": true,
      "adminConsentDisplayName": "Use the door"}]
  },
  "appRoles": [{"id": "d0000000-0000-4000-8000-000000000002", "value": "Door.Open", "displayName": "Opener", "description": "Opens",
    "allowedMemberTypes": ["User"], "isEnabled": true}],
  "web": {"redirectUris": ["http://localhost/callback"]},
  "requiredResourceAccess": [{"resourceAppId": "00000003-0000-0000-c000-000000000000",
    "resourceAccess": [{"id": "e1fe6dd8-ba31-4d61-89e7-88639da4683d", "type": "Scope"}]}]
}`

func TestRegistrationMadeByGraphCanSignPeopleIn(t *testing.T) {
	tenant := entratest.Start(t)
	token := adminToken(t, tenant)
	call := func(method, path, body string, status int) reply {
		t.Helper()
		got := sendJSON(t, tenant, method, "/v1.0"+path, token, body)
		if got.Status != status {
			t.Fatalf("%s %s: %d %s", method, path, got.Status, got.Raw)
		}
		return got
	}
	made := call("POST", "/applications", newApp, 201)
	id, appID := made.str("id"), made.str("appId")
	call("GET", "/servicePrincipals(appId='"+appID+"')", "", 404)
	principal := call("POST", "/servicePrincipals", `{"appId":"`+appID+`"}`, 201).str("id")
	call("POST", "/servicePrincipals", `{"appId":"`+appID+`"}`, 409)
	secret := call("POST", "/applications/"+id+"/addPassword", `{"passwordCredential":{"displayName":"s"}}`, 200)
	graph := call("GET", "/servicePrincipals?$filter=appId%20eq%20'"+entratest.GraphID+"'", "", 200).JSON["value"].([]any)[0].(map[string]any)["id"].(string)
	for _, resource := range [][2]string{{principal, "access_as_user"}, {graph, "User.Read openid profile offline_access"}} {
		body := `{"clientId":"` + principal + `","consentType":"AllPrincipals","resourceId":"` + resource[0] + `","scope":"` + resource[1] + `"}`
		call("POST", "/oauth2PermissionGrants", body, 201)
	}
	role := `{"principalId":"` + entratest.CarolID + `","resourceId":"` + principal + `","appRoleId":"d0000000-0000-4000-8000-000000000002"}`
	call("POST", "/servicePrincipals/"+principal+"/appRoleAssignedTo", role, 201)

	pairs := []string{"client_id", appID, "scope", appID + "/access_as_user openid"}
	form := redeemForm(signIn(t, tenant, "carol", pairs...), "client_id", appID, "client_secret", secret.str("secretText"), "scope", "")
	got := post(t, tenant, tokenPath, form)
	if got.Status != http.StatusOK {
		t.Fatal(got.Raw)
	}
	claims := payload(t, got.str("access_token"))
	if diff := cmp.Diff([]any{"Door.Open"}, claims["roles"]); diff != "" || claims["aud"] != appID {
		t.Errorf("aud %v, roles %v", claims["aud"], claims["roles"])
	}
}

func TestRegistrationsAreReadChangedAndDeleted(t *testing.T) {
	tenant := entratest.Start(t)
	token := adminToken(t, tenant)
	call := func(method, path, body string) reply { return sendJSON(t, tenant, method, "/v1.0"+path, token, body) }
	made := call("POST", "/applications", newApp)
	path := "/applications/" + made.str("id")
	if got := call("PATCH", path, `{"web":{"redirectUris":["https://door.example/cb"]},"isFallbackPublicClient":true}`); got.Status != http.StatusNoContent {
		t.Fatal(got.Raw)
	}
	got := call("GET", "/applications(appId='"+made.str("appId")+"')", "")
	web := got.JSON["web"].(map[string]any)["redirectUris"]
	if diff := cmp.Diff([]any{"https://door.example/cb"}, web); diff != "" || got.JSON["isFallbackPublicClient"] != true || got.str("displayName") != "Door" {
		t.Errorf("after PATCH: %s", got.Raw)
	}
	if diff := cmp.Diff(made.JSON["requiredResourceAccess"], got.JSON["requiredResourceAccess"]); diff != "" {
		t.Errorf("what PATCH did not mention changed:\n%s", diff)
	}
	if again := call("PATCH", path, `{"identifierUris":["`+entratest.GenkanURI+`"]}`); again.Status != http.StatusBadRequest {
		t.Errorf("an ID URI that another has: %d", again.Status)
	}
	if named := call("GET", "/applications?$filter="+url.QueryEscape("displayName eq 'Door'"), ""); len(named.JSON["value"].([]any)) != 1 {
		t.Errorf("$filter: %s", named.Raw)
	}
	if gone := call("DELETE", path, ""); gone.Status != http.StatusNoContent {
		t.Fatal(gone.Raw)
	}
	if got := call("GET", path, ""); got.Status != http.StatusNotFound {
		t.Errorf("after DELETE: %d", got.Status)
	}
}

func TestCredentialsOfARegistration(t *testing.T) {
	tenant := entratest.Start(t)
	token := adminToken(t, tenant)
	path := "/v1.0/applications(appId='" + entratest.GenkanID + "')"
	call := func(method, at, body string) reply { return sendJSON(t, tenant, method, path+at, token, body) }
	made := call("POST", "/addPassword", `{"passwordCredential":{"displayName":"second"}}`)
	form := credentialsForm("client_secret", made.str("secretText"))
	if got := post(t, tenant, tokenPath, form); got.Status != http.StatusOK {
		t.Fatal(got.Raw)
	}
	if shown := call("GET", "", ""); strings.Contains(shown.Raw, made.str("secretText")) || strings.Contains(shown.Raw, entratest.GenkanSecret) {
		t.Error("a secret is shown a second time")
	}
	if got := call("POST", "/removePassword", `{"keyId":"`+made.str("keyId")+`"}`); got.Status != http.StatusNoContent {
		t.Fatal(got.Raw)
	}
	wantRefusal(t, post(t, tenant, tokenPath, form), 401, "invalid_client", 7000215)

	federated := `{"name":"ci","issuer":"https://ci.example","subject":"repo:x","audiences":["api://AzureADTokenExchange"]}`
	added := call("POST", "/federatedIdentityCredentials", federated)
	if added.Status != http.StatusCreated {
		t.Fatal(added.Raw)
	}
	if twice := call("POST", "/federatedIdentityCredentials", federated); twice.Status != http.StatusConflict {
		t.Errorf("twice: %d", twice.Status)
	}
	if got := call("DELETE", "/federatedIdentityCredentials/"+added.str("id"), ""); got.Status != http.StatusNoContent {
		t.Errorf("DELETE: %d", got.Status)
	}
	if left := call("GET", "/federatedIdentityCredentials", ""); len(left.JSON["value"].([]any)) != 2 {
		t.Errorf("left: %s", left.Raw)
	}
}

func TestGrantsCanBeNarrowedAndDeleted(t *testing.T) {
	tenant := entratest.Start(t)
	token := adminToken(t, tenant)
	call := func(method, path, body string) reply { return sendJSON(t, tenant, method, "/v1.0"+path, token, body) }
	list := call("GET", "/oauth2PermissionGrants?$filter="+url.QueryEscape("clientId eq '"+entratest.GenkanPrincipal+"'"), "")
	var own string
	for _, g := range list.JSON["value"].([]any) {
		if g := g.(map[string]any); g["resourceId"] == entratest.GenkanPrincipal {
			own = g["id"].(string)
		}
	}
	if got := call("PATCH", "/oauth2PermissionGrants/"+own, `{"scope":"nonsense"}`); got.Status != http.StatusBadRequest {
		t.Errorf("an unknown scope: %d", got.Status)
	}
	refreshToken := tokens(t, tenant, "alice").str("refresh_token")
	if got := call("DELETE", "/oauth2PermissionGrants/"+own, ""); got.Status != http.StatusNoContent {
		t.Fatal(got.Raw)
	}
	wantRefusal(t, post(t, tenant, tokenPath, refreshForm(refreshToken)), 400, "invalid_grant", 65001)
}

func TestManagingWantsThePermissionAndTheRole(t *testing.T) {
	tenant := entratest.Start(t)
	for name, token := range map[string]string{
		"no administrator":           graphToken(t, tenant, "alice", "Application.ReadWrite.All"),
		"no permission":              graphToken(t, tenant, "frank", "User.Read"),
		"application without a role": graphToken(t, tenant, ""),
	} {
		if got := sendJSON(t, tenant, http.MethodPost, "/v1.0/applications", token, newApp); got.Status != http.StatusForbidden {
			t.Errorf("%s: %d", name, got.Status)
		}
	}
}
