package entratest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/genkan-mcp/genkan/entratest"
)

func TestRedirectMatching(t *testing.T) {
	tenant := entratest.Start(t)
	app(tenant, entratest.GenkanID, func(a *entratest.App) {
		a.Web = append(a.Web, "https://mcp.contoso.example/callback", "http://127.0.0.1:9000/callback", "http://localhost")
	})
	for uri, accepted := range map[string]bool{
		"http://localhost/callback":                         true,
		"http://localhost:8080/callback":                    true,
		"http://localhost:65535/callback":                   true,
		"http://localhost":                                  true,
		"http://localhost:1234":                             true,
		"http://localhost:1234/":                            true,
		"https://mcp.contoso.example/callback":              true,
		"http://127.0.0.1:9000/callback":                    true,
		"http://127.0.0.1:9001/callback":                    false,
		"http://127.0.0.1/callback":                         false,
		"http://[::1]:8080/callback":                        false,
		"https://localhost:8080/callback":                   false,
		"http://localhost:8080/Callback":                    false,
		"http://localhost:8080/callback/":                   false,
		"http://localhost:8080/callback?x=1":                false,
		"http://localhost:8080/callback#x":                  false,
		"http://user@localhost:8080/callback":               false,
		"http://app.localhost:8080/callback":                false,
		"http://localhost.evil.example/callback":            false,
		"http://localhost:8080@evil.example/callback":       false,
		"https://mcp.contoso.example:444/callback":          false,
		"https://MCP.contoso.example/callback":              false,
		"https://mcp.contoso.example/callback/../admin":     false,
		"https://mcp.contoso.example.evil.example/callback": false,
		"javascript:alert(1)":                               false,
	} {
		got := get(t, tenant, authorizeURL(tenant, "redirect_uri", uri))
		if accepted && got.Status != http.StatusOK {
			t.Errorf("%s: refused: %d", uri, got.Status)
		}
		if !accepted && !strings.Contains(got.Raw, "AADSTS50011") {
			t.Errorf("%s: accepted: %d %s", uri, got.Status, got.Header.Get("Location"))
		}
	}
}

const spaID = "5ba00000-0000-4000-8000-000000000001"

// withSPA adds a single-page application that may use Genkan.
func withSPA(tenant *entratest.Tenant) {
	tenant.Change(func(d *entratest.Directory) {
		d.Apps = append(d.Apps, entratest.App{Name: "Dashboard", ClientID: spaID, SPA: []string{"http://localhost/app"}})
	})
	tenant.Consent(spaID, entratest.GenkanID, entratest.GenkanScope)
	tenant.Consent(spaID, entratest.GraphID, "openid", "profile", "offline_access")
}

func spaPairs(verifier string) []string {
	return []string{"client_id", spaID, "redirect_uri", "http://localhost:3000/app", "scope", entratest.GenkanURI + "/access_as_user openid profile offline_access",
		"code_challenge", challengeS256(verifier), "code_challenge_method", "S256"}
}

func TestSinglePageApplicationsRedeemCrossOriginOnly(t *testing.T) {
	tenant := entratest.Start(t)
	withSPA(tenant)
	verifier := strings.Repeat("v", 50)
	without := spaPairs(verifier)
	without = append(without, "code_challenge", "")
	wantBack(t, get(t, tenant, authorizeURL(tenant, without...)), "invalid_request", 9002325)

	form := redeemForm(signIn(t, tenant, "bob", spaPairs(verifier)...), "client_id", spaID, "client_secret", "",
		"redirect_uri", "http://localhost:3000/app", "code_verifier", verifier, "scope", "")
	wantRefusal(t, post(t, tenant, tokenPath, form), 400, "invalid_request", 9002327)
	got := post(t, tenant, tokenPath, form, "Origin", "http://localhost:3000")
	if got.Status != http.StatusOK || got.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Fatalf("cross-origin: %d %s", got.Status, got.Raw)
	}
	web := redeemForm(signIn(t, tenant, "bob"))
	wantRefusal(t, post(t, tenant, tokenPath, web, "Origin", "http://localhost:3000"), 400, "invalid_request", 9002326)
}
