package entratest_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/genkan-mcp/genkan/entratest"
)

// toolsURL asks for a permission of Graph that nobody has consented to.
func toolsURL(tenant *entratest.Tenant, pairs ...string) string {
	return authorizeURL(tenant, append([]string{"client_id", entratest.GenkanToolsID, "redirect_uri", "http://localhost:4000",
		"scope", "openid Mail.Read"}, pairs...)...)
}

func TestConsentPageAsksOnceAndForThatPersonOnly(t *testing.T) {
	tenant := entratest.Start(t)
	client := browser(t, tenant)
	page := chooseAccount(t, client, toolsURL(tenant), "alice@contoso.example")
	if !strings.Contains(page.Raw, "Permissions requested") || !strings.Contains(page.Raw, "Mail.Read") {
		t.Fatalf("no consent page: %.300s", page.Raw)
	}
	accepted := submit(t, client, tenant.URL, aForm.FindStringSubmatch(page.Raw), "answer", "accept")
	if !strings.Contains(accepted.Header.Get("Location"), "code=") {
		t.Fatalf("accepted: %s", accepted.Header.Get("Location"))
	}
	if again := visit(t, client, toolsURL(tenant)); !strings.Contains(again.Header.Get("Location"), "code=") {
		t.Error("asked again")
	}
	if other := chooseAccount(t, browser(t, tenant), toolsURL(tenant), "bob@contoso.example"); !strings.Contains(other.Raw, "Permissions requested") {
		t.Error("bob was not asked")
	}
}

func TestDeclinedConsent(t *testing.T) {
	tenant := entratest.Start(t)
	client := browser(t, tenant)
	page := chooseAccount(t, client, toolsURL(tenant), "alice@contoso.example")
	q := wantBack(t, submit(t, client, tenant.URL, aForm.FindStringSubmatch(page.Raw), "answer", "cancel"), "access_denied", 65004)
	if q.Get("error_subcode") != "cancel" {
		t.Errorf("error_subcode %q", q.Get("error_subcode"))
	}
}

func TestConsentIsNeverAskedSilently(t *testing.T) {
	tenant := entratest.Start(t)
	client := browser(t, tenant)
	chooseAccount(t, client, authorizeURL(tenant), "alice@contoso.example")
	wantBack(t, visit(t, client, toolsURL(tenant, "prompt", "none")), "consent_required", 65001)
}

func TestAdministratorsConsentForEverybody(t *testing.T) {
	tenant := entratest.Start(t)
	admins := toolsURL(tenant, "scope", "openid User.Read.All")
	_, err := tenant.SignIn(admins, "alice")
	var page *entratest.PageError
	if !errors.As(err, &page) || page.Code != 90094 {
		t.Errorf("alice: %v, want AADSTS90094", err)
	}
	client := browser(t, tenant)
	asked := chooseAccount(t, client, admins, "frank@contoso.example")
	submit(t, client, tenant.URL, aForm.FindStringSubmatch(asked.Raw), "answer", "accept", "organization", "yes")
	if answer, err := tenant.SignIn(admins, "alice"); err != nil || answer.Params.Get("code") == "" {
		t.Errorf("alice afterwards: %v", err)
	}
}

func TestAdminConsentEndpoint(t *testing.T) {
	tenant := entratest.Start(t)
	tenant.WithdrawConsent(entratest.GenkanID, entratest.SearchURI)
	address := tenant.URL + "/contoso.example/v2.0/adminconsent?" + values("client_id", entratest.GenkanID,
		"redirect_uri", genkanRedirect, "state", "the state", "scope", "https://search.azure.com/.default").Encode()
	client := browser(t, tenant)
	page := chooseAccount(t, client, address, "frank@contoso.example")
	back := submit(t, client, tenant.URL, aForm.FindStringSubmatch(page.Raw), "answer", "accept")
	to, err := url.Parse(back.Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"admin_consent": "True", "tenant": entratest.TenantID, "state": "the state"} {
		if got := to.Query().Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	assertion := tokens(t, tenant, "alice").str("access_token")
	if got := post(t, tenant, tokenPath, oboForm(assertion, "scope", "https://search.azure.com/user_impersonation")); got.Status != http.StatusOK {
		t.Errorf("afterwards: %s", got.Raw)
	}
	page = chooseAccount(t, client, address, "frank@contoso.example")
	wantBack(t, submit(t, client, tenant.URL, aForm.FindStringSubmatch(page.Raw), "answer", "cancel"), "access_denied", 65004)
	wantPage(t, chooseAccount(t, client, address, "alice@contoso.example"), 90094)
	wantPage(t, get(t, tenant, strings.Replace(address, "localhost%3A8080", "evil.example", 1)), 50011)
}

func TestPreAuthorizedClientsNeedNoConsent(t *testing.T) {
	tenant := entratest.Start(t)
	vscode := authorizeURL(tenant, "client_id", entratest.VSCodeID, "redirect_uri", "http://localhost:5000", "scope", entratest.GenkanURI+"/access_as_user openid")
	page := chooseAccount(t, browser(t, tenant), vscode, "carol@contoso.example")
	if !strings.Contains(page.Header.Get("Location"), "code=") {
		t.Fatalf("%d %.300s", page.Status, page.Raw)
	}
	app(tenant, entratest.GenkanID, func(a *entratest.App) { a.PreAuthorized = nil })
	page = chooseAccount(t, browser(t, tenant), vscode, "carol@contoso.example")
	if !strings.Contains(page.Raw, "Permissions requested") {
		t.Errorf("no longer pre-authorised: %d", page.Status)
	}
}

func TestDefaultOfAResourceThatWasNeverDeclared(t *testing.T) {
	tenant := entratest.Start(t)
	address := toolsURL(tenant, "scope", "https://vault.azure.net/.default")
	wantBack(t, chooseAccount(t, browser(t, tenant), address, "alice@contoso.example"), "invalid_resource", 650057)
}

func TestSignOutEndsTheSessionAndTellsTheApplications(t *testing.T) {
	tenant := entratest.Start(t)
	logout := tenant.URL + "/contoso.example/oauth2/v2.0/logout?post_logout_redirect_uri="
	client := browser(t, tenant)
	chooseAccount(t, client, authorizeURL(tenant), "alice@contoso.example")
	out := visit(t, client, logout+url.QueryEscape("http://localhost:8080/callback")+"&state=s")
	if want := "http://localhost:8080/callback?state=s"; out.Header.Get("Location") != want {
		t.Errorf("went to %q, want %q", out.Header.Get("Location"), want)
	}
	wantBack(t, visit(t, client, authorizeURL(tenant, "prompt", "none")), "login_required", 50058)

	app(tenant, entratest.GenkanID, func(a *entratest.App) { a.Logout = "http://localhost:8080/signed-out" })
	chooseAccount(t, client, authorizeURL(tenant), "alice@contoso.example")
	page := visit(t, client, logout+url.QueryEscape("https://evil.example/"))
	if page.Header.Get("Location") != "" || strings.Contains(page.Raw, "evil.example") {
		t.Error("went to an address that nobody registered")
	}
	if !strings.Contains(page.Raw, `<iframe src="http://localhost:8080/signed-out?iss=`) || !strings.Contains(page.Raw, "sid=") {
		t.Errorf("no front-channel logout: %s", page.Raw)
	}
}

func TestUserinfo(t *testing.T) {
	tenant := entratest.Start(t)
	got := post(t, tenant, tokenPath, redeemForm(signIn(t, tenant, "alice", "scope", "openid profile email"), "scope", "openid profile email"))
	info := get(t, tenant, "/oidc/userinfo", "Authorization", "Bearer "+got.str("access_token"))
	id := payload(t, got.str("id_token"))
	for name, want := range map[string]any{"sub": id["sub"], "name": "Alice Arai", "email": "alice@contoso.example"} {
		if info.JSON[name] != want {
			t.Errorf("%s is %v, want %v", name, info.JSON[name], want)
		}
	}
	own := tokens(t, tenant, "alice").str("access_token")
	if refused := get(t, tenant, "/oidc/userinfo", "Authorization", "Bearer "+own); refused.Status != http.StatusUnauthorized {
		t.Errorf("with a token for another resource: %d", refused.Status)
	}
}
