package authserver_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/internal/authserver"
	"github.com/genkan-mcp/genkan/internal/oauth"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/policy"
)

const jwtBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func publicKeys(key *ecdsa.PrivateKey) jose.JSONWebKeySet {
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}}
}

// assert signs claims as a client would; change alters them first.
func (h *house) assert(key any, id string, change func(map[string]any)) string {
	h.t.Helper()
	unique, err := secret.Random(rand.Reader, 26)
	if err != nil {
		h.t.Fatal(err)
	}
	claims := map[string]any{
		"iss": id, "sub": id, "aud": h.URL, "jti": unique, "iat": h.clock.Now().Unix(), "exp": h.clock.Now().Add(time.Minute).Unix(),
	}
	if change != nil {
		change(claims)
	}
	algorithm := jose.ES256
	if _, symmetric := key.([]byte); symmetric {
		algorithm = jose.HS256
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", "k1"))
	if err != nil {
		h.t.Fatal(err)
	}
	signed, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		h.t.Fatal(err)
	}
	return signed
}

func agentHouse(t *testing.T) (*house, *ecdsa.PrivateKey) {
	key := newKey(t)
	return newHouse(t, func(c *authserver.Config) {
		c.Clients = []authserver.Client{
			{ID: "agent", Name: "Night agent", Keys: publicKeys(key), Application: policy.Identity{
				Tenant: tenant, Object: "agent-object", Roles: []string{"Weather.Read"}, Name: "Night agent",
			}},
			{ID: "backend", SecretHash: secret.Hash("backend-secret"), Application: policy.Identity{Tenant: tenant, Object: "backend-object"}},
			{ID: "app", SecretHash: secret.Hash("app-secret"), RedirectURIs: []string{callback}},
		}
	}), key
}

func (h *house) credentials(pairs ...string) answer {
	h.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "resource": {h.resource("weather")}}
	replace(form, pairs)
	return h.post("/token", form)
}

func TestAnAgentActsForItselfWithItsOwnRoles(t *testing.T) {
	h, key := agentHouse(t)
	a := h.credentials("client_assertion_type", jwtBearer, "client_assertion", h.assert(key, "agent", nil), "scope", "alerts")
	got := a.tokens(t)
	g, err := h.grants.Check(t.Context(), got.access, h.resource("weather"))
	if err != nil {
		t.Fatal(err)
	}
	want := policy.Identity{
		Tenant: tenant, Object: "agent-object", Kind: policy.Application, Client: "agent", Roles: []string{"Weather.Read"},
		Scopes: []string{"mcp", "alerts"}, Name: "Night agent",
	}
	if diff := cmp.Diff(want, g.Identity); diff != "" {
		t.Error(diff)
	}
	if got.refresh != "" {
		t.Error("an agent needs no refresh token (RFC 6749 §4.4.3)")
	}
	h.credentials("client_id", "backend", "client_secret", "backend-secret").tokens(t)
}

func TestOnlyApplicationsOfTheConfigurationActForThemselves(t *testing.T) {
	h, _ := agentHouse(t)
	c := h.register(map[string]any{"token_endpoint_auth_method": "client_secret_post"})
	h.credentials("client_id", c.id, "client_secret", c.secret).wantError(t, "a registered client", 400, oauth.UnauthorizedClient)
	h.credentials("client_id", h.register(nil).id).wantError(t, "a public client", 400, oauth.UnauthorizedClient)
	h.credentials("client_id", "app", "client_secret", "app-secret").wantError(t, "no application", 400, oauth.UnauthorizedClient)
	h.credentials("client_id", "backend", "client_secret", "backend-secret", "resource", "").wantError(t, "no resource", 400, oauth.InvalidTarget)
	h.credentials("client_id", "backend").wantError(t, "no secret", 401, oauth.InvalidClient)
}

func TestThreat11_ClientAssertionsAreJudgedInEveryPart(t *testing.T) {
	h, key := agentHouse(t)
	send := func(assertion string) answer {
		return h.credentials("client_assertion_type", jwtBearer, "client_assertion", assertion)
	}
	for name, change := range map[string]func(map[string]any){
		"another issuer":   func(c map[string]any) { c["iss"] = "backend" },
		"another audience": func(c map[string]any) { c["aud"] = "https://elsewhere.example" },
		"audience prefix":  func(c map[string]any) { c["aud"] = h.URL + ".evil.example" },
		"no audience":      func(c map[string]any) { delete(c, "aud") },
		"expired":          func(c map[string]any) { c["exp"] = h.clock.Now().Add(-2 * time.Minute).Unix() },
		"no expiry":        func(c map[string]any) { delete(c, "exp") },
		"long life":        func(c map[string]any) { c["exp"] = h.clock.Now().Add(24 * time.Hour).Unix() },
		"not yet valid":    func(c map[string]any) { c["nbf"] = h.clock.Now().Add(5 * time.Minute).Unix() },
		"no ID":            func(c map[string]any) { delete(c, "jti") },
		"no subject":       func(c map[string]any) { delete(c, "sub") },
		"another subject":  func(c map[string]any) { c["sub"] = "backend" },
	} {
		send(h.assert(key, "agent", change)).wantError(t, name, 401, oauth.InvalidClient)
	}
	send(h.assert(newKey(t), "agent", nil)).wantError(t, "another key", 401, oauth.InvalidClient)
	send(h.assert([]byte(strings.Repeat("s", 32)), "agent", nil)).wantError(t, "HMAC", 401, oauth.InvalidClient)
	send("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZ2VudCJ9.").wantError(t, "none", 401, oauth.InvalidClient)
	good := h.assert(key, "agent", func(c map[string]any) { c["aud"] = h.URL + "/token" })
	send(good).tokens(t)
	send(good).wantError(t, "replay", 401, oauth.InvalidClient)
	h.credentials("client_id", "agent", "client_secret", "x").wantError(t, "a secret in place of the key", 401, oauth.InvalidClient)
	h.credentials("client_id", "agent").wantError(t, "nothing in place of the key", 401, oauth.InvalidClient)
}

func TestADocumentClientMayProveItselfWithItsKey(t *testing.T) {
	h, s := newSite(t)
	key := newKey(t)
	keys, err := json.Marshal(publicKeys(key))
	if err != nil {
		t.Fatal(err)
	}
	s.serve(documentFor(certified, `,"token_endpoint_auth_method":"private_key_jwt","jwks":`+string(keys)))
	c, b := h.documentClient(certified), h.browser()
	code := b.signIn(c.authorizeURL(), "alice")
	c.redeem(code).wantError(t, "no proof", http.StatusUnauthorized, oauth.InvalidClient)
	c.redeem(code, "client_assertion_type", jwtBearer, "client_assertion", h.assert(newKey(t), certified, nil)).wantError(t, "another key", http.StatusUnauthorized, oauth.InvalidClient)
	c.redeem(code, "client_assertion_type", jwtBearer, "client_assertion", h.assert(key, certified, nil)).tokens(t)
	// Who proves itself is not imitated by other programs, so that the consent is remembered even on loopback.
	if at := b.get(c.authorizeURL()).location(t); at.Host != "idp.example" {
		t.Errorf("the second sign-in was asked for consent again: %s", at)
	}
}

func TestAnApprovedClientIsSaidToBe(t *testing.T) {
	h, _ := agentHouse(t)
	c, b := &oauthClient{house: h, id: "app"}, h.browser()
	page := b.open(c.authorizeURL())
	if !strings.Contains(page.body, "Approved") || strings.Contains(page.body, "Did you start this yourself?") {
		t.Errorf("the page:\n%s", page.body)
	}
	code := b.comeBack(b.allow(page), "alice").location(t).Query().Get("code")
	c.redeem(code, "client_secret", "app-secret").tokens(t)
}

func TestMistakesInTheConfigurationAreAllSaid(t *testing.T) {
	_, err := authserver.New(authserver.Config{Issuer: "https://mcp.example/path"})
	if err == nil || !strings.Contains(err.Error(), "issuer") || !strings.Contains(err.Error(), "identity provider") || !strings.Contains(err.Error(), "no server") {
		t.Errorf("got %v", err)
	}
}

func TestThreat29_RolesAreReadAgainAtEachRefreshAndASessionEndsForGood(t *testing.T) {
	h := newHouse(t)
	h.provider.roles = []string{"Weather.Write"}
	c, _, got := h.connect()
	h.provider.roles = nil
	got = c.refresh(got.refresh).tokens(t)
	g, err := h.grants.Check(t.Context(), got.access, h.resource("weather"))
	if err != nil || len(g.Identity.Roles) != 0 {
		t.Errorf("roles %v, %v", g, err)
	}
	for range 29 {
		h.clock.Advance(24 * time.Hour)
		got = c.refresh(got.refresh).tokens(t)
	}
	h.clock.Advance(24 * time.Hour)
	c.refresh(got.refresh).wantError(t, "after thirty days", 400, oauth.InvalidGrant)
}

func TestThreat29_WhatAnAddressLooksLikeDecidesNothing(t *testing.T) {
	h := newHouse(t)
	c, b, _ := h.connect() // alice
	for _, claimed := range []string{"alice@contoso.example", "alice@contoso.example@evil.example", "<b>alice</b>@contoso.example", ""} {
		h.provider.claims = claimed
		at := b.comeBack(b.get(c.authorizeURL()).location(t).Query().Get("state"), "mallory").location(t)
		if at.Path != "/consent" {
			t.Fatalf("mallory passed for alice as %q: %s", claimed, at)
		}
		page := b.get(at.String())
		if strings.Contains(page.body, "<b>alice") {
			t.Errorf("the page:\n%s", page.body)
		}
		form := page.consentForm(t)
		form.Set("decision", "deny")
		b.submit("/consent", form).onward(t)
	}
	state := b.get(c.authorizeURL("login_hint", "bob@contoso.example")).location(t).Query().Get("state")
	if h.provider.lastVisit().LoginHint != "bob@contoso.example" {
		t.Error("the hint did not reach the identity provider")
	}
	if at := b.comeBack(state, "alice").location(t); !at.Query().Has("code") {
		t.Errorf("a hint decided who alice is: %s", at)
	}
}
