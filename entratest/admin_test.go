package entratest_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/entratest"
)

func TestAdminOrders(t *testing.T) {
	tenant := entratest.Start(t)
	order := func(name, body string) {
		t.Helper()
		if got := sendJSON(t, tenant, http.MethodPost, "/admin/"+name, "", body); got.Status != http.StatusNoContent {
			t.Fatalf("%s: %d %s", name, got.Status, got.Raw)
		}
	}
	token := tokens(t, tenant, "alice").str("refresh_token")
	order("fail-next", `{"fault":{"path":"/token","status":429,"retry_after":"2s"}}`)
	if got := post(t, tenant, tokenPath, refreshForm(token)); got.Status != 429 || got.Header.Get("Retry-After") != "2" {
		t.Errorf("fail-next: %d", got.Status)
	}
	order("unassign", `{"app":"Genkan","person":"alice","role":"Weather.Write"}`)
	order("assign", `{"app":"Genkan","person":"alice","role":"Genkan.Admin"}`)
	claims := payload(t, post(t, tenant, tokenPath, refreshForm(token)).str("access_token"))
	if diff := cmp.Diff([]any{"Weather.Read", "Genkan.Admin"}, claims["roles"]); diff != "" {
		t.Errorf("roles (-want +got):\n%s", diff)
	}
	order("require", `{"resource":"`+entratest.GenkanURI+`","policy":{"sign_in_frequency":"1h"}}`)
	order("advance", `{"by":"2h"}`)
	wantRefusal(t, post(t, tenant, tokenPath, refreshForm(token)), 400, "interaction_required", 70043)
	order("lift-policies", "")
	order("withdraw-consent", `{"app":"Genkan","resource":"`+entratest.GenkanURI+`"}`)
	wantRefusal(t, post(t, tenant, tokenPath, refreshForm(token)), 400, "invalid_grant", 65001)
	order("consent", `{"app":"Genkan","resource":"`+entratest.GenkanURI+`","scopes":["access_as_user"]}`)
	order("sign-out", `{"person":"alice"}`)
	wantRefusal(t, post(t, tenant, tokenPath, refreshForm(token)), 400, "invalid_grant", 50173)
	order("disable", `{"person":"alice"}`)
	wantRefusal(t, post(t, tenant, tokenPath, refreshForm(token)), 400, "invalid_grant", 50057)
	order("expire-secrets", `{"app":"Genkan"}`)
	wantRefusal(t, post(t, tenant, tokenPath, refreshForm(token)), 401, "invalid_client", 7000222)
	order("rotate-keys", "")
	if keys := get(t, tenant, "/common/discovery/v2.0/keys").JSON["keys"].([]any); len(keys) != 2 {
		t.Errorf("%d keys", len(keys))
	}
	if calls := get(t, tenant, "/admin/calls?path=/token"); !strings.Contains(calls.Raw, "refresh_token") || strings.Contains(calls.Raw, token) {
		t.Errorf("calls: %.300s", calls.Raw)
	}
}

func TestAdminSaysWhatIsWrongWithAnOrder(t *testing.T) {
	tenant := entratest.Start(t)
	for path, body := range map[string]string{
		"disable": `{"person":"nobody"}`, "advance": `{"by":"soon"}`, "assign": `{"app":"Genkan","person":"alice","role":"No.Such"}`,
		"enable": `{"persn":"alice"}`, "rotate-keys": `[`, "require": `{"resource":"api://nobody"}`,
	} {
		got := sendJSON(t, tenant, http.MethodPost, "/admin/"+path, "", body)
		if got.Status != http.StatusBadRequest || got.str("error") == "" {
			t.Errorf("%s %s: %d %s", path, body, got.Status, got.Raw)
		}
	}
	signIn(t, tenant, "alice") // the tenant goes on
}

func TestAdminIsForProgramsOnThisMachine(t *testing.T) {
	tenant := entratest.Start(t)
	for name, change := range map[string]func(*http.Request){
		"from another machine":   func(r *http.Request) { r.RemoteAddr = "192.0.2.7:4711" },
		"under a foreign name":   func(r *http.Request) { r.Host = "tenant.evil.example" },
		"from a web page":        func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
		"from the tenant's page": func(r *http.Request) { r.Header.Set("Origin", tenant.URL) },
		"cross-site fetch":       func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
	} {
		r := httptest.NewRequest(http.MethodPost, tenant.URL+"/admin/disable", strings.NewReader(`{"person":"alice"}`))
		r.RemoteAddr = "127.0.0.1:4711"
		change(r)
		w := httptest.NewRecorder()
		tenant.ServeHTTP(w, r)
		if w.Code != http.StatusForbidden {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	signIn(t, tenant, "alice")
}

const declaration = `
domain: fabrikam.example
name: Fabrikam
tenant_id: 0fab0000-0000-4000-8000-000000000001
people:
  - {alias: gina, name: Gina Grau, groups: [Everyone], admin: true}
  - {alias: hugo, name: Hugo Haas, disabled: true}
groups:
  - name: Everyone
apps:
  - name: Door
    client_id: d0000000-0000-4000-8000-00000000000d
    uris: ["api://door"]
    token_version: 2
    group_claims: true
    scopes: [{name: access_as_user}]
    roles: [{value: Opener}]
    web: [http://localhost/callback]
    secrets: [{value: fabrikam-secret, not_after: 2030-01-01T00:00:00Z}]
    assignments: [{to: Everyone, role: Opener}]
consents:
  - {client: Door, resource: api://door, person: everybody, scopes: [access_as_user]}
  - {client: Door, resource: "https://graph.microsoft.com", person: gina, scopes: [openid]}
policies:
  - {resource: api://door, sign_in_frequency: 1h}
`

func TestTenantDeclaredInYAML(t *testing.T) {
	directory, err := entratest.Load(strings.NewReader(declaration))
	if err != nil {
		t.Fatal(err)
	}
	tenant := entratest.Start(t, entratest.WithConfig(entratest.Config{Directory: directory}))
	const door = "d0000000-0000-4000-8000-00000000000d"
	address := strings.Replace(authorizeURL(tenant, "client_id", door, "scope", "api://door/access_as_user openid"),
		entratest.TenantID, "fabrikam.example", 1)
	answer, err := tenant.SignIn(address, "gina@fabrikam.example")
	if err != nil {
		t.Fatal(err)
	}
	form := redeemForm(answer.Params.Get("code"), "client_id", door, "client_secret", "fabrikam-secret", "scope", "")
	got := post(t, tenant, "/fabrikam.example/oauth2/v2.0/token", form)
	if got.Status != http.StatusOK {
		t.Fatal(got.Raw)
	}
	claims := payload(t, got.str("access_token"))
	if diff := cmp.Diff([]any{"Opener"}, claims["roles"]); diff != "" || claims["tid"] != "0fab0000-0000-4000-8000-000000000001" {
		t.Errorf("tid %v, roles %v", claims["tid"], claims["roles"])
	}
	if groups, _ := claims["groups"].([]any); len(groups) != 1 {
		t.Errorf("groups %v", claims["groups"])
	}
}

func TestMistakesInADeclarationAreAllSaid(t *testing.T) {
	_, err := entratest.Load(strings.NewReader(`
people: [{alias: gina, groups: [Nowhere]}]
apps: [{name: Door, assignments: [{to: nobody, role: Opener}]}]
consents: [{client: Window, resource: Door, person: everybody}]
`))
	for _, want := range []string{`"Nowhere"`, `"nobody"`, `"Opener"`, `"Window"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s: %v", want, err)
		}
	}
	if _, err := entratest.Load(strings.NewReader("peple: []")); err == nil {
		t.Error("an unknown key is taken")
	}
}

func TestDirectoryIsReadAndReplacedByTheAdminAPI(t *testing.T) {
	tenant := entratest.Start(t)
	before := get(t, tenant, "/admin/directory")
	directory, err := entratest.Load(strings.NewReader(before.Raw))
	if err != nil {
		t.Fatal(err)
	}
	for i := range directory.People {
		directory.People[i].Disabled = false
	}
	var text strings.Builder
	if err := directory.Write(&text); err != nil {
		t.Fatal(err)
	}
	if got := sendJSON(t, tenant, http.MethodPut, "/admin/directory", "", text.String()); got.Status != http.StatusNoContent {
		t.Fatal(got.Raw)
	}
	signIn(t, tenant, "dave")
	if got := sendJSON(t, tenant, http.MethodPut, "/admin/directory", "", "domain: another.example"); got.Status != http.StatusBadRequest {
		t.Errorf("another domain: %d", got.Status)
	}
}

func TestServedOverHTTPSWithItsOwnCA(t *testing.T) {
	made, err := entratest.NewCA(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	key, err := made.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	ca, err := entratest.LoadCA(made.PEM(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Certificate(time.Now(), "localhost", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	tenant, err := entratest.New(entratest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(tenant)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	server.StartTLS()
	t.Cleanup(server.Close)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(made.PEM())
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	t.Cleanup(client.CloseIdleConnections)
	resp, err := client.Get(server.URL + "/contoso.example/v2.0/.well-known/openid-configuration")
	if err != nil {
		t.Fatal(err)
	}
	if issuer := read(t, resp).str("issuer"); issuer != server.URL+"/"+entratest.TenantID+"/v2.0" {
		t.Errorf("issuer %q", issuer)
	}
}

func TestNewRefusesWhatIsNoBaseAddress(t *testing.T) {
	for _, address := range []string{"localhost:8081", "http://localhost:8081/", "/tenant", "http://"} {
		if _, err := entratest.New(entratest.Config{URL: address}); err == nil {
			t.Errorf("%q is taken", address)
		}
	}
}

func TestForgedTokensAreWhatTheyClaim(t *testing.T) {
	tenant := entratest.Start(t)
	claims, err := tenant.Claims("alice", entratest.GenkanID, entratest.GenkanID)
	if err != nil {
		t.Fatal(err)
	}
	claims["tid"] = "another"
	token, err := tenant.Sign(claims, map[string]any{"kid": "unknown"})
	if err != nil {
		t.Fatal(err)
	}
	if payload(t, token)["tid"] != "another" || header(t, token)["kid"] != "unknown" {
		t.Errorf("header %v, claims %v", header(t, token), payload(t, token))
	}
	if _, err := tenant.AccessToken("nobody", entratest.GenkanID, entratest.GenkanID); err == nil {
		t.Error("a token for nobody")
	}
}
