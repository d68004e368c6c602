package authserver_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/internal/authserver"
	"github.com/genkan-mcp/genkan/internal/oauth"
)

func TestAClientDiscoversRegistersSignsInAndRefreshes(t *testing.T) {
	h := newHouse(t)
	m := h.do(http.DefaultClient, h.request(http.MethodGet, "/.well-known/oauth-authorization-server", "")).json(t)
	if m["issuer"] != h.URL || m["registration_endpoint"] != h.URL+"/register" {
		t.Fatalf("metadata: %v", m)
	}
	c, b := h.register(nil), h.browser()
	page := b.open(c.authorizeURL("scope", "alerts openid offline_access unknown"))
	for _, text := range []string{"Test Client", "Unverified", "127.0.0.1", "set weather alerts", "Did you start this yourself?"} {
		if !strings.Contains(page.body, text) {
			t.Errorf("the consent page does not say %q:\n%s", text, page.body)
		}
	}
	if strings.Contains(page.body, "change everything") {
		t.Error("the consent page shows a scope that nobody asked for")
	}
	back := b.comeBack(b.allow(page), "alice").location(t)
	if !strings.HasPrefix(back.String(), callback+"?") || back.Query().Get("state") != "client-state" || back.Query().Get("iss") != h.URL {
		t.Fatalf("came back at %s", back)
	}
	if sent := h.provider.lastVisit(); sent.RedirectURI != h.URL+"/callback" || sent.State == "client-state" || len(sent.Verifier) < 43 {
		t.Errorf("the identity provider was sent %+v", sent)
	}
	a := c.redeem(back.Query().Get("code"))
	first := a.tokens(t)
	if first.scope != "mcp alerts" || !strings.HasPrefix(first.access, "gka_") || !strings.HasPrefix(first.refresh, "gkr_") {
		t.Errorf("tokens: %s", a.body)
	}
	if got := []any{a.Header.Get("Cache-Control"), a.json(t)["token_type"], a.json(t)["expires_in"]}; !cmp.Equal(got, []any{"no-store", "Bearer", 3600.0}) {
		t.Errorf("token answer: %v", got)
	}
	second := c.refresh(first.refresh, "scope", "alerts openid offline_access unknown").tokens(t)
	if !h.works(second.access, "weather") || h.works(second.access, "profile") || second.scope != "mcp alerts" {
		t.Errorf("after the refresh: %+v", second)
	}
	g, err := h.grants.Check(t.Context(), second.access, h.resource("weather"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{tenant + "/alice-object", c.id, "mcp,alerts"}, []string{g.Identity.Key(), g.Identity.Client, strings.Join(g.Identity.Scopes, ",")}); diff != "" {
		t.Error(diff)
	}
}

func TestASecondSignInOfTheSamePersonSkipsThePage(t *testing.T) {
	h := newHouse(t)
	c, b, _ := h.connect()
	location := b.get(c.authorizeURL()).location(t)
	if location.Host != "idp.example" {
		t.Fatalf("want to be at the identity provider at once, got %s", location)
	}
	if back := b.comeBack(location.Query().Get("state"), "alice").location(t); !back.Query().Has("code") {
		t.Errorf("came back at %s", back)
	}
	if location := b.get(c.authorizeURL("prompt", "consent")).location(t); location.Path != "/consent" {
		t.Errorf("prompt=consent led to %s", location)
	}
}

func TestDenialReachesTheClient(t *testing.T) {
	h := newHouse(t)
	c, b := h.register(nil), h.browser()
	form := b.open(c.authorizeURL()).consentForm(t)
	form.Set("decision", "deny")
	h.wantClientError(b.submit("/consent", form).onward(t), "denied", oauth.AccessDenied)
	if len(h.provider.visits) != 0 {
		t.Error("the identity provider was visited without consent")
	}
}

func TestAClientThatSendsNoResourceMeansTheOnlyServer(t *testing.T) {
	h := newHouse(t, func(c *authserver.Config) { c.Servers = c.Servers[:1] })
	c, b := h.register(nil), h.browser()
	code := b.signIn(c.authorizeURL("resource", ""), "alice")
	if got := c.redeem(code, "resource", "").tokens(t); !h.works(got.access, "weather") {
		t.Error("the token does not open the only server")
	}
}

func TestAClientThatSendsNoResourceIsAskedForOneWhereThereAreSeveralServers(t *testing.T) {
	h := newHouse(t)
	c, b := h.register(nil), h.browser()
	h.wantClientError(b.get(c.authorizeURL("resource", "")).location(t), "no resource", oauth.InvalidTarget)
	// But one that found the metadata at the server's path was told which server it is.
	m := h.do(http.DefaultClient, h.request(http.MethodGet, "/.well-known/oauth-authorization-server/profile/mcp", "")).json(t)
	if m["authorization_endpoint"] != h.URL+"/authorize?server=profile" {
		t.Fatalf("metadata: %v", m)
	}
	code := b.signIn(c.authorizeURL("resource", "", "server", "profile"), "alice")
	if got := c.redeem(code, "resource", "").tokens(t); !h.works(got.access, "profile") {
		t.Error("the token does not open the server that was meant")
	}
}

func TestStepUpAsksForTheNewPartOnlyAndWidensTheSession(t *testing.T) {
	h := newHouse(t)
	c, b, first := h.connect()
	page := b.open(c.authorizeURL("scope", "mcp alerts"))
	_, after, found := strings.Cut(page.body, "It will also be able to")
	added, before, split := strings.Cut(after, "You allowed before")
	if !found || !split || !strings.Contains(added, "set weather alerts") || strings.Contains(added, "use Weather as you") || !strings.Contains(before, "use Weather as you") {
		t.Errorf("the page does not tell new from old:\n%s", page.body)
	}
	code := b.comeBack(b.allow(page), "alice").location(t).Query().Get("code")
	wide := c.redeem(code).tokens(t)
	if wide.scope != "mcp alerts" || !h.works(first.access, "weather") {
		t.Errorf("got the scope %q", wide.scope)
	}
	one, err := h.grants.Introspect(t.Context(), first.access)
	if err != nil {
		t.Fatal(err)
	}
	two, err := h.grants.Introspect(t.Context(), wide.access)
	if err != nil {
		t.Fatal(err)
	}
	if one.Grant.ID != two.Grant.ID {
		t.Error("the step-up opened another session")
	}
}

func TestConfidentialClientsAuthenticateWithTheirSecret(t *testing.T) {
	h := newHouse(t)
	for _, method := range []string{"client_secret_basic", "client_secret_post", ""} {
		c := h.register(map[string]any{"token_endpoint_auth_method": method})
		if c.secret == "" {
			t.Fatalf("%q: no secret", method)
		}
		code := h.browser().signIn(c.authorizeURL(), "alice")
		c.redeem(code).wantError(t, "no secret", http.StatusUnauthorized, oauth.InvalidClient)
		c.redeem(code, "client_secret", "wrong").wantError(t, "wrong secret", http.StatusUnauthorized, oauth.InvalidClient)
		c.redeem(code, "client_secret", c.secret).tokens(t)
	}
}

func TestBrowserScriptsMayCallWhatTheyNeedAndNothingElse(t *testing.T) {
	h := newHouse(t)
	for path, want := range map[string]string{
		"/.well-known/oauth-authorization-server": "*", "/.well-known/openid-configuration": "*", "/jwks": "*", "/token": "*",
		"/register": "*", "/revoke": "*", "/authorize": "", "/consent": "", "/callback": "", "/introspect": "",
	} {
		r := h.request(http.MethodOptions, path, "")
		r.Header.Set("Origin", "https://app.example")
		r.Header.Set("Access-Control-Request-Method", "POST")
		a := h.do(http.DefaultClient, r)
		if got := a.Header.Get("Access-Control-Allow-Origin"); got != want || a.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: status %d, allowed origin %q, want %q", path, a.StatusCode, got, want)
		}
	}
}

func TestMetadataSaysWhatIsThere(t *testing.T) {
	h := newHouse(t)
	first := h.do(http.DefaultClient, h.request(http.MethodGet, "/.well-known/oauth-authorization-server", ""))
	second := h.do(http.DefaultClient, h.request(http.MethodGet, "/.well-known/openid-configuration", ""))
	if diff := cmp.Diff(first.json(t), second.json(t)); diff != "" {
		t.Errorf("the two documents differ:\n%s", diff)
	}
	m := first.json(t)
	want := map[string]any{
		"code_challenge_methods_supported": []any{"S256"}, "response_types_supported": []any{"code"},
		"authorization_response_iss_parameter_supported": true, "client_id_metadata_document_supported": true,
		"scopes_supported": []any{"mcp", "alerts", "admin"},
	}
	for name, value := range want {
		if diff := cmp.Diff(value, m[name]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for name, value := range m {
		if address, ok := value.(string); ok && strings.HasSuffix(name, "_endpoint") {
			path := strings.TrimPrefix(address, h.URL)
			if a := h.do(http.DefaultClient, h.request(http.MethodPost, path, "")); a.StatusCode == http.StatusNotFound {
				t.Errorf("%s: there is nothing at %s", name, path)
			}
		}
	}
	a := h.do(http.DefaultClient, h.request(http.MethodGet, "/.well-known/oauth-authorization-server/nothing/here", ""))
	a.wantStatus(t, http.StatusNotFound)
	if got := h.do(http.DefaultClient, h.request(http.MethodGet, "/jwks", "")).body; got != `{"keys":[]}` {
		t.Errorf("keys: %s", got)
	}
}

func (a answer) wantStatus(t *testing.T, want int) {
	t.Helper()
	if a.StatusCode != want {
		t.Errorf("status %d, want %d\n%s", a.StatusCode, want, a.body)
	}
}
