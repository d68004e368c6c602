package entratest_test

import (
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"slices"
	"testing"

	"github.com/genkan-mcp/genkan/entratest"
)

func TestDiscoveryNamesTheTenantByItsGUID(t *testing.T) {
	tenant := entratest.Start(t)
	for _, name := range []string{entratest.TenantID, "contoso.example", "CONTOSO.example"} {
		got := get(t, tenant, "/"+name+"/v2.0/.well-known/openid-configuration")
		base := tenant.URL + "/" + entratest.TenantID
		for field, want := range map[string]any{
			"issuer": base + "/v2.0", "token_endpoint": base + "/oauth2/v2.0/token",
			"authorization_endpoint": base + "/oauth2/v2.0/authorize", "jwks_uri": base + "/discovery/v2.0/keys",
			"device_authorization_endpoint": base + "/oauth2/v2.0/devicecode", "end_session_endpoint": base + "/oauth2/v2.0/logout",
			"userinfo_endpoint": tenant.URL + "/oidc/userinfo", "tenant_region_scope": "WW",
			"cloud_instance_name": "microsoftonline.com", "cloud_graph_host_name": "graph.windows.net",
			"msgraph_host": "graph.microsoft.com", "rbac_url": "https://pas.windows.net",
		} {
			if got.JSON[field] != want {
				t.Errorf("%s: %s is %v, want %v", name, field, got.JSON[field], want)
			}
		}
	}
}

func TestDiscoveryOfCommonHasALiteralTenantInTheIssuer(t *testing.T) {
	tenant := entratest.Start(t)
	for _, name := range []string{"common", "organizations"} {
		got := get(t, tenant, "/"+name+"/v2.0/.well-known/openid-configuration")
		if want := tenant.URL + "/{tenantid}/v2.0"; got.str("issuer") != want {
			t.Errorf("%s: issuer %q, want %q", name, got.str("issuer"), want)
		}
		if want := tenant.URL + "/" + name + "/oauth2/v2.0/token"; got.str("token_endpoint") != want {
			t.Errorf("%s: token endpoint %q, want %q", name, got.str("token_endpoint"), want)
		}
		if got.JSON["tenant_region_scope"] != nil {
			t.Errorf("%s: tenant_region_scope %v, want null", name, got.JSON["tenant_region_scope"])
		}
	}
}

func TestDiscoveryOfV1(t *testing.T) {
	tenant := entratest.Start(t)
	got := get(t, tenant, "/"+entratest.TenantID+"/.well-known/openid-configuration")
	if want := "https://sts.windows.net/" + entratest.TenantID + "/"; got.str("issuer") != want {
		t.Errorf("issuer %q, want %q", got.str("issuer"), want)
	}
	if want := tenant.URL + "/" + entratest.TenantID + "/oauth2/token"; got.str("token_endpoint") != want {
		t.Errorf("token endpoint %q, want %q", got.str("token_endpoint"), want)
	}
}

func TestDiscoveryLacksWhatEntraLacks(t *testing.T) {
	tenant := entratest.Start(t)
	got := get(t, tenant, "/common/v2.0/.well-known/openid-configuration")
	for _, field := range []string{
		"code_challenge_methods_supported", "registration_endpoint", "revocation_endpoint", "introspection_endpoint",
		"authorization_response_iss_parameter_supported",
	} {
		if _, there := got.JSON[field]; there {
			t.Errorf("%s is there; Entra has none", field)
		}
	}
	for _, path := range []string{
		"/.well-known/oauth-authorization-server",
		"/.well-known/oauth-authorization-server/" + entratest.TenantID + "/v2.0",
		"/" + entratest.TenantID + "/v2.0/.well-known/oauth-authorization-server",
	} {
		if got := get(t, tenant, path); got.Status != http.StatusNotFound {
			t.Errorf("%s answers %d; Entra has no RFC 8414 document", path, got.Status)
		}
	}
}

func TestUnknownTenant(t *testing.T) {
	tenant := entratest.Start(t)
	wantRefusal(t, get(t, tenant, "/fabrikam.example/v2.0/.well-known/openid-configuration"), 400, "invalid_request", 90002)
	wantRefusal(t, post(t, tenant, "/consumers/oauth2/v2.0/token", values("grant_type", "refresh_token")), 400, "invalid_request", 90002)
	wantPage(t, get(t, tenant, "/fabrikam.example/oauth2/v2.0/authorize?client_id="+entratest.GenkanID), 90002)
}

func TestKeysCarryTheirCertificate(t *testing.T) {
	tenant := entratest.Start(t)
	got := get(t, tenant, "/"+entratest.TenantID+"/discovery/v2.0/keys")
	keys, _ := got.JSON["keys"].([]any)
	if len(keys) == 0 {
		t.Fatalf("no keys: %s", got.Raw)
	}
	key := keys[0].(map[string]any)
	chain, _ := key["x5c"].([]any)
	raw, err := base64.StdEncoding.DecodeString(chain[0].(string))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x509.ParseCertificate(raw); err != nil {
		t.Fatal(err)
	}
	thumbprint := sha1.Sum(raw)
	kid := base64.RawURLEncoding.EncodeToString(thumbprint[:])
	for field, want := range map[string]any{
		"kty": "RSA", "use": "sig", "kid": kid, "x5t": kid, "e": "AQAB", "issuer": tenant.URL + "/" + entratest.TenantID + "/v2.0",
	} {
		if key[field] != want {
			t.Errorf("%s is %v, want %v", field, key[field], want)
		}
	}
	common := get(t, tenant, "/common/discovery/v2.0/keys").JSON["keys"].([]any)[0].(map[string]any)
	if want := tenant.URL + "/{tenantid}/v2.0"; common["issuer"] != want {
		t.Errorf("issuer of common's key %v, want %v", common["issuer"], want)
	}
}

func TestInstanceDiscoveryKnowsItsOwnHostOnly(t *testing.T) {
	tenant := entratest.Start(t)
	own := get(t, tenant, "/common/discovery/instance?api-version=1.1&authorization_endpoint="+tenant.URL+"/contoso.example/oauth2/v2.0/authorize")
	if want := tenant.URL + "/contoso.example/v2.0/.well-known/openid-configuration"; own.str("tenant_discovery_endpoint") != want {
		t.Errorf("tenant_discovery_endpoint %q, want %q", own.str("tenant_discovery_endpoint"), want)
	}
	other := get(t, tenant, "/common/discovery/instance?api-version=1.1&authorization_endpoint=https://login.evil.example/x/oauth2/v2.0/authorize")
	wantRefusal(t, other, 400, "invalid_instance", 50049)
}

func TestRotatedKeysStayPublishedUntilForgotten(t *testing.T) {
	tenant := entratest.Start(t)
	kids := func() []string {
		var all []string
		for _, k := range get(t, tenant, "/common/discovery/v2.0/keys").JSON["keys"].([]any) {
			all = append(all, k.(map[string]any)["kid"].(string))
		}
		return all
	}
	old := kids()
	tenant.RotateKeys()
	both := kids()
	signing := header(t, tokens(t, tenant, "alice").str("access_token"))["kid"].(string)
	if len(both) != 2 || !slices.Contains(both, old[0]) || signing == old[0] || !slices.Contains(both, signing) {
		t.Errorf("before %v, after %v, signing with %s", old, both, signing)
	}
	tenant.ForgetOldKeys()
	if now := kids(); !slices.Equal(now, []string{signing}) {
		t.Errorf("published %v, want only %s", now, signing)
	}
}
