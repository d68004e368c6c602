package entratest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/genkan-mcp/genkan/entratest"
)

func TestResourceParameterMustEqualTheResourceOfTheScopes(t *testing.T) {
	tenant := entratest.Start(t)
	for resource, accepted := range map[string]bool{
		entratest.GenkanID:                     true,
		entratest.GenkanID + "/":               false,
		entratest.GenkanURI:                    false,
		"http://localhost:8080/weather/mcp":    false,
		"https://graph.microsoft.com":          false,
		"9E6CA000-7777-4000-8000-000000000101": false,
	} {
		got := get(t, tenant, authorizeURL(tenant, "resource", resource))
		if accepted {
			if got.Status != http.StatusOK {
				t.Errorf("%s: %d", resource, got.Status)
			}
			continue
		}
		wantPage(t, got, 9010010)
	}
	byURI := authorizeURL(tenant, "scope", entratest.GenkanURI+"/access_as_user", "resource", entratest.GenkanURI)
	if got := get(t, tenant, byURI); got.Status != http.StatusOK {
		t.Errorf("the ID URI for scopes of the ID URI: %d", got.Status)
	}
}

func TestOlderTenantsRefuseEveryResourceParameter(t *testing.T) {
	tenant := entratest.Start(t, entratest.WithConfig(entratest.Config{Resource: entratest.ResourceUnsupported}))
	wantPage(t, get(t, tenant, authorizeURL(tenant, "resource", entratest.GenkanID)), 901002)
	form := redeemForm(signIn(t, tenant, "alice"), "resource", entratest.GenkanID)
	wantRefusal(t, post(t, tenant, tokenPath, form), 400, "invalid_request", 901002)
}

func TestV1EndpointTakesAResource(t *testing.T) {
	tenant := entratest.Start(t)
	got := post(t, tenant, "/"+entratest.TenantID+"/oauth2/token", values("grant_type", "client_credentials",
		"client_id", entratest.GenkanID, "client_secret", entratest.GenkanSecret, "resource", "https://graph.microsoft.com"))
	if got.Status != http.StatusOK {
		t.Fatal(got.Raw)
	}
	if aud := payload(t, got.str("access_token"))["aud"]; aud != "https://graph.microsoft.com" {
		t.Errorf("audience %v", aud)
	}
	v1 := strings.Replace(authorizeURL(tenant, "scope", "", "resource", "https://search.azure.com"), "/v2.0", "", 1)
	answer, err := tenant.SignIn(v1, "alice")
	if err != nil {
		t.Fatal(err)
	}
	got = post(t, tenant, "/"+entratest.TenantID+"/oauth2/token", redeemForm(answer.Params.Get("code"), "scope", ""))
	if got.Status != http.StatusOK || payload(t, got.str("access_token"))["aud"] != "https://search.azure.com" {
		t.Errorf("the resource of the sign-in: %s", got.Raw)
	}
}
