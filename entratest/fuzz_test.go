package entratest_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/genkan-mcp/genkan/entratest"
)

// FuzzAuthorizeNeverRedirectsElsewhere sends whatever a stranger may to the authorize endpoint: no
// answer may lead to an address that is not registered.
func FuzzAuthorizeNeverRedirectsElsewhere(f *testing.F) {
	tenant, err := entratest.New(entratest.Config{URL: "http://localhost:8081"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(entratest.GenkanID, "http://localhost:8080/callback", "openid", "code", "query")
	f.Add(entratest.GenkanID, "http://localhost@evil.example/callback", "openid", "code", "fragment")
	f.Add(entratest.GenkanID, "http://localhost\\@evil.example/callback", "x/.default", "id_token", "form_post")
	f.Add("", "//evil.example", "", "", "")
	f.Fuzz(func(t *testing.T, client, redirect, scope, kind, mode string) {
		query := values("client_id", client, "redirect_uri", redirect, "scope", scope, "response_type", kind, "response_mode", mode)
		r := httptest.NewRequest(http.MethodGet, "http://localhost:8081/common/oauth2/v2.0/authorize?"+query.Encode(), nil)
		w := httptest.NewRecorder()
		tenant.ServeHTTP(w, r)
		location := w.Header().Get("Location")
		if location == "" {
			return
		}
		to, err := url.Parse(location)
		if err != nil || to.Hostname() != "localhost" || to.User != nil || to.Path != "/callback" && to.Path != "/console/callback" {
			t.Errorf("redirect to %q", location)
		}
	})
}

// FuzzTokenAnswersInEntrasWords sends whatever a stranger may to the token endpoint.
func FuzzTokenAnswersInEntrasWords(f *testing.F) {
	tenant, err := entratest.New(entratest.Config{URL: "http://localhost:8081"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(refreshForm("x").Encode())
	f.Add(oboForm("a.b.c").Encode())
	f.Add(credentialsForm("client_assertion", "e30.e30.e30", "client_assertion_type", assertionType).Encode())
	f.Add("grant_type=device_code&claims=%7B%7D")
	f.Add("%zz")
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest(http.MethodPost, "http://localhost:8081"+tokenPath, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		tenant.ServeHTTP(w, r)
		if w.Code >= http.StatusInternalServerError {
			t.Errorf("%q: %d %s", body, w.Code, w.Body)
		}
		if w.Code != http.StatusOK && !strings.Contains(w.Body.String(), `"error_codes"`) {
			t.Errorf("%q: %d %s", body, w.Code, w.Body)
		}
	})
}
