package entratest_test

import (
	"net/http"
	"net/url"
	"regexp"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/entratest"
)

const (
	devicePath  = "/" + entratest.TenantID + "/oauth2/v2.0/devicecode"
	grantDevice = "urn:ietf:params:oauth:grant-type:device_code"
)

func startDevice(t *testing.T, tenant *entratest.Tenant) (code reply, poll url.Values) {
	t.Helper()
	code = post(t, tenant, devicePath, values("client_id", entratest.GenkanToolsID,
		"scope", entratest.GenkanURI+"/access_as_user openid profile offline_access"))
	if code.Status != http.StatusOK {
		t.Fatal(code.Raw)
	}
	return code, values("grant_type", grantDevice, "client_id", entratest.GenkanToolsID, "device_code", code.str("device_code"))
}

func TestDeviceCode(t *testing.T) {
	tenant := entratest.Start(t)
	code, poll := startDevice(t, tenant)
	if code.JSON["expires_in"] != 900.0 || code.JSON["interval"] != 5.0 || code.str("message") == "" ||
		!regexp.MustCompile(`^[B-Z2-9]{9}$`).MatchString(code.str("user_code")) {
		t.Errorf("device code: %s", code.Raw)
	}
	wantRefusal(t, post(t, tenant, tokenPath, poll), 400, "authorization_pending", 70016)
	client := browser(t, tenant)
	page := visit(t, client, code.str("verification_uri"))
	entered := submit(t, client, code.str("verification_uri"), aForm.FindStringSubmatch(page.Raw), "otc", code.str("user_code"))
	asked := submit(t, client, tenant.URL, formWith(t, entered.Raw, "bob@contoso.example"))
	done := submit(t, client, tenant.URL, aForm.FindStringSubmatch(asked.Raw), "answer", "accept")
	if done.Status != http.StatusOK {
		t.Fatal(done.Raw)
	}
	got := post(t, tenant, tokenPath, poll)
	if got.Status != http.StatusOK || payload(t, got.str("access_token"))["oid"] != entratest.BobID || got.str("refresh_token") == "" {
		t.Fatalf("after the approval: %s", got.Raw)
	}
	wantRefusal(t, post(t, tenant, tokenPath, poll), 400, "invalid_grant", 54005)
}

// formWith is the form on a page that has some text in it.
func formWith(t *testing.T, page, text string) []string {
	t.Helper()
	for _, form := range aForm.FindAllStringSubmatch(page, -1) {
		if regexp.MustCompile(regexp.QuoteMeta(text)).MatchString(form[2]) {
			return form
		}
	}
	t.Fatalf("no form with %s", text)
	return nil
}

func TestDeviceCodeDeclinedExpiredAndWrong(t *testing.T) {
	tenant := entratest.Start(t)
	code, poll := startDevice(t, tenant)
	client := browser(t, tenant)
	entered := submit(t, client, tenant.URL, []string{"", "/devicelogin", ""}, "otc", code.str("user_code"))
	asked := submit(t, client, tenant.URL, formWith(t, entered.Raw, "bob@contoso.example"))
	submit(t, client, tenant.URL, aForm.FindStringSubmatch(asked.Raw), "answer", "cancel")
	wantRefusal(t, post(t, tenant, tokenPath, poll), 400, "authorization_declined", 70017)

	_, late := startDevice(t, tenant)
	tenant.Advance(16 * time.Minute)
	wantRefusal(t, post(t, tenant, tokenPath, late), 400, "expired_token", 70020)

	late.Set("device_code", "nothing")
	wantRefusal(t, post(t, tenant, tokenPath, late), 400, "bad_verification_code", 70018)
	if wrong := submit(t, client, tenant.URL, []string{"", "/devicelogin", ""}, "otc", "WRONGCODE"); wrong.Status != http.StatusBadRequest {
		t.Errorf("a wrong user code: %d", wrong.Status)
	}
}

func TestDeviceCodeNeedsPublicClientFlows(t *testing.T) {
	tenant := entratest.Start(t)
	_, poll := startDevice(t, tenant)
	app(tenant, entratest.GenkanToolsID, func(a *entratest.App) { a.PublicFlows = false })
	wantRefusal(t, post(t, tenant, tokenPath, poll), 401, "invalid_client", 7000218)
}
