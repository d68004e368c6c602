package entratest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/entratest"
)

func TestGraphDemandsATokenOfItsOwn(t *testing.T) {
	tenant := entratest.Start(t)
	own := tokens(t, tenant, "alice").str("access_token")
	stale := graphToken(t, tenant, "alice")
	forged := stale[:len(stale)-6] + "AAAAAA"
	check := func(name, authorization, message string) {
		t.Helper()
		got := get(t, tenant, "/v1.0/me", "Authorization", authorization)
		failure, _ := got.JSON["error"].(map[string]any)
		if got.Status != http.StatusUnauthorized || failure["code"] != "InvalidAuthenticationToken" || got.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %d %s", name, got.Status, got.Raw)
		}
		if message != "" && failure["message"] != message {
			t.Errorf("%s: message %v, want %q", name, failure["message"], message)
		}
		if inner, _ := failure["innerError"].(map[string]any); inner["request-id"] != got.Header.Get("request-id") {
			t.Errorf("%s: request-id %v in the body, %q in the header", name, inner["request-id"], got.Header.Get("request-id"))
		}
	}
	check("no token", "", "Access token is empty.")
	check("another resource's token", "Bearer "+own, "Access token validation failure. Invalid audience.")
	check("garbage", "Bearer garbage", "")
	check("forged signature", "Bearer "+forged, "")
	check("unsigned", "Bearer eyJhbGciOiJub25lIn0.eyJhdWQiOiJodHRwczovL2dyYXBoLm1pY3Jvc29mdC5jb20ifQ.", "")
	tenant.Advance(2 * time.Hour)
	check("expired", "Bearer "+stale, "Lifetime validation failed, the token is expired.")
}

func TestGraphMe(t *testing.T) {
	tenant := entratest.Start(t)
	got := get(t, tenant, "/v1.0/me", "Authorization", "Bearer "+graphToken(t, tenant, "alice", "User.Read"))
	want := map[string]any{
		"@odata.context": tenant.URL + "/v1.0/$metadata#users/$entity", "businessPhones": []any{}, "displayName": "Alice Arai",
		"givenName": "Alice", "jobTitle": "Meteorologist", "mail": "alice@contoso.example", "mobilePhone": nil, "officeLocation": nil,
		"preferredLanguage": nil, "surname": "Arai", "userPrincipalName": "alice@contoso.example", "id": entratest.AliceID,
	}
	if diff := cmp.Diff(want, got.JSON); diff != "" {
		t.Errorf("GET /me (-want +got):\n%s", diff)
	}
	noScope := get(t, tenant, "/v1.0/me", "Authorization", "Bearer "+graphToken(t, tenant, "alice", "openid"))
	if noScope.Status != http.StatusForbidden {
		t.Errorf("without User.Read: %d", noScope.Status)
	}
	appOnly := get(t, tenant, "/v1.0/me", "Authorization", "Bearer "+graphToken(t, tenant, ""))
	if appOnly.Status != http.StatusBadRequest {
		t.Errorf("an application's /me: %d", appOnly.Status)
	}
}

func TestGraphMembershipsComeInPages(t *testing.T) {
	tenant := entratest.Start(t)
	token := graphToken(t, tenant, "erin")
	next, total, pages := tenant.URL+"/v1.0/me/memberOf?$top=120&$count=true", 0, 0
	for next != "" {
		page := get(t, tenant, next, "Authorization", "Bearer "+token)
		if page.Status != http.StatusOK || page.JSON["@odata.count"] != 250.0 {
			t.Fatal(page.Raw)
		}
		total, pages = total+len(page.JSON["value"].([]any)), pages+1
		next = page.str("@odata.nextLink")
	}
	if total != 250 || pages != 3 {
		t.Errorf("%d groups in %d pages, want 250 in 3", total, pages)
	}
	if bad := get(t, tenant, "/v1.0/me/memberOf?$top=5000", "Authorization", "Bearer "+token); bad.Status != http.StatusBadRequest {
		t.Errorf("$top=5000: %d", bad.Status)
	}
}

func TestGraphHidesGroupNamesFromThoseWhoMayNotReadThem(t *testing.T) {
	tenant := entratest.Start(t)
	names := func(scope string) []any {
		got := get(t, tenant, "/v1.0/me/memberOf", "Authorization", "Bearer "+graphToken(t, tenant, "alice", scope))
		var names []any
		for _, g := range got.JSON["value"].([]any) {
			names = append(names, g.(map[string]any)["displayName"])
		}
		return names
	}
	if diff := cmp.Diff([]any{nil, nil}, names("User.Read")); diff != "" {
		t.Errorf("User.Read (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]any{"All staff", "Forecasters"}, names("GroupMember.Read.All")); diff != "" {
		t.Errorf("GroupMember.Read.All (-want +got):\n%s", diff)
	}
}

func TestGraphMemberObjects(t *testing.T) {
	tenant := entratest.Start(t)
	for path, who := range map[string]string{
		"/v1.0/me/getMemberObjects":                                     "alice",
		"/v1.0/me/getMemberGroups":                                      "alice",
		"/v1.0/users/" + entratest.AliceID + "/getMemberObjects":        "",
		"/v1.0/users/alice@contoso.example/getMemberGroups":             "",
		"/v1.0/users/" + entratest.AliceID + "/getMemberObjects?a=self": "alice",
	} {
		got := sendJSON(t, tenant, http.MethodPost, path, graphToken(t, tenant, who), `{"securityEnabledOnly":true}`)
		if ids, _ := got.JSON["value"].([]any); got.Status != http.StatusOK || len(ids) != 2 {
			t.Errorf("%s: %d %s", path, got.Status, got.Raw)
		}
	}
	other := sendJSON(t, tenant, http.MethodPost, "/v1.0/users/"+entratest.BobID+"/getMemberObjects", graphToken(t, tenant, "alice", "User.Read"), `{}`)
	if other.Status != http.StatusForbidden {
		t.Errorf("somebody else's groups with User.Read: %d", other.Status)
	}
	missing := sendJSON(t, tenant, http.MethodPost, "/v1.0/users/"+entratest.GenkanID+"/getMemberObjects", graphToken(t, tenant, ""), `{}`)
	if missing.Status != http.StatusNotFound {
		t.Errorf("nobody's groups: %d", missing.Status)
	}
	all := sendJSON(t, tenant, http.MethodPost, "/v1.0/me/getMemberObjects", graphToken(t, tenant, "alice"), `{}`).JSON["value"].([]any)
	body := `{"groupIds":["` + all[1].(string) + `","` + entratest.GenkanID + `"]}`
	checked := sendJSON(t, tenant, http.MethodPost, "/v1.0/me/checkMemberGroups", graphToken(t, tenant, "alice"), body)
	if diff := cmp.Diff(all[1:], checked.JSON["value"]); diff != "" {
		t.Errorf("checkMemberGroups (-want +got):\n%s", diff)
	}
	if bad := sendJSON(t, tenant, http.MethodPost, "/v1.0/me/getMemberObjects", graphToken(t, tenant, "alice"), `no JSON`); bad.Status != http.StatusBadRequest {
		t.Errorf("a body that is no JSON: %d", bad.Status)
	}
}

func TestGraphUsers(t *testing.T) {
	tenant := entratest.Start(t)
	token := graphToken(t, tenant, "")
	if all := get(t, tenant, "/v1.0/users", "Authorization", "Bearer "+token); len(all.JSON["value"].([]any)) != 6 {
		t.Errorf("GET /users: %s", all.Raw)
	}
	one := get(t, tenant, "/v1.0/users?$filter=userPrincipalName%20eq%20'bob@contoso.example'", "Authorization", "Bearer "+token)
	if found := one.JSON["value"].([]any); len(found) != 1 || found[0].(map[string]any)["id"] != entratest.BobID {
		t.Errorf("$filter: %s", one.Raw)
	}
	dave := get(t, tenant, "/v1.0/users/dave@contoso.example?$select=id,accountEnabled", "Authorization", "Bearer "+token)
	if dave.JSON["accountEnabled"] != false {
		t.Errorf("dave: %s", dave.Raw)
	}
	for path, status := range map[string]int{
		"/v1.0/users/nobody@contoso.example": 404, "/v1.0/users?$filter=startswith(mail,'a')": 400, "/v1.0/nonsense": 404,
	} {
		if got := get(t, tenant, path, "Authorization", "Bearer "+token); got.Status != status {
			t.Errorf("%s: %d, want %d", path, got.Status, status)
		}
	}
	if got := get(t, tenant, "/v1.0/users", "Authorization", "Bearer "+graphToken(t, tenant, "alice", "User.Read")); got.Status != 403 {
		t.Errorf("everybody with User.Read: %d", got.Status)
	}
}

func TestGraphThrottles(t *testing.T) {
	tenant := entratest.Start(t)
	tenant.FailNext(entratest.Fault{Path: "/me", Status: http.StatusTooManyRequests, RetryAfter: 3 * time.Second})
	got := get(t, tenant, "/v1.0/me", "Authorization", "Bearer "+graphToken(t, tenant, "alice"))
	failure, _ := got.JSON["error"].(map[string]any)
	if got.Status != http.StatusTooManyRequests || got.Header.Get("Retry-After") != "3" || failure["code"] != "TooManyRequests" {
		t.Errorf("%d, Retry-After %q, %s", got.Status, got.Header.Get("Retry-After"), got.Raw)
	}
}
