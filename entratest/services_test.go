package entratest_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"github.com/genkan-mcp/genkan/entratest"
)

func TestManagedIdentityInTheShapeOfAppService(t *testing.T) {
	tenant := entratest.Start(t)
	ask := func(query string, header ...string) reply { return get(t, tenant, "/msi/token?"+query, header...) }
	const good = "api-version=2019-08-01&resource=https://vault.azure.net"
	got := ask(good, "X-IDENTITY-HEADER", entratest.IdentityHeader)
	if got.Status != http.StatusOK || got.str("expires_on") == "" || got.str("resource") != "https://vault.azure.net" ||
		payload(t, got.str("access_token"))["oid"] != entratest.SystemIdentityPrincipal {
		t.Errorf("system-assigned: %s", got.Raw)
	}
	for name, c := range map[string]struct {
		query, header string
		status        int
	}{
		"header missing":   {good, "", 401},
		"header wrong":     {good, "guess", 401},
		"version missing":  {"resource=https://vault.azure.net", entratest.IdentityHeader, 400},
		"resource missing": {"api-version=2019-08-01", entratest.IdentityHeader, 400},
		"unknown identity": {good + "&client_id=" + entratest.GenkanID, entratest.IdentityHeader, 400},
		"unknown resource": {"api-version=2019-08-01&resource=api://nobody", entratest.IdentityHeader, 400},
	} {
		if got := ask(c.query, "X-IDENTITY-HEADER", c.header); got.Status != c.status {
			t.Errorf("%s: %d %s", name, got.Status, got.Raw)
		}
	}
}

func TestManagedIdentityInTheShapeOfIMDS(t *testing.T) {
	tenant := entratest.Start(t)
	const path = "/metadata/identity/oauth2/token?"
	const good = "api-version=2018-02-01&resource=https://search.azure.com"
	got := get(t, tenant, path+good+"&object_id="+entratest.UserIdentityPrincipal, "Metadata", "true")
	if got.str("client_id") != entratest.UserIdentityID || got.str("expires_in") != "86400" || got.str("token_type") != "Bearer" {
		t.Errorf("user-assigned: %s", got.Raw)
	}
	for name, c := range map[string]struct {
		query  string
		header []string
		said   string
	}{
		"header missing":   {good, nil, "Required metadata header not specified"},
		"forwarded":        {good, []string{"Metadata", "true", "X-Forwarded-For", "10.0.0.1"}, "X-Forwarded-For header is not allowed"},
		"unknown identity": {good + "&client_id=" + entratest.AliceID, []string{"Metadata", "true"}, "Identity not found"},
	} {
		if got := get(t, tenant, path+c.query, c.header...); got.Status != http.StatusBadRequest || got.str("error_description") != c.said {
			t.Errorf("%s: %d %s", name, got.Status, got.Raw)
		}
	}
	wantPage(t, get(t, tenant, authorizeURL(tenant, "client_id", entratest.UserIdentityID)), 700016)
}

func TestSearchDemandsATokenForSearch(t *testing.T) {
	tenant := entratest.Start(t)
	const path = "/indexes/handbook/docs/search?api-version=2024-07-01"
	token, err := tenant.AccessToken("alice", entratest.GenkanID, entratest.SearchURI)
	if err != nil {
		t.Fatal(err)
	}
	got := sendJSON(t, tenant, http.MethodPost, path, token, `{"search":"storm warning","count":true,"select":"title"}`)
	hits, _ := got.JSON["value"].([]any)
	if got.Status != http.StatusOK || len(hits) != 1 || hits[0].(map[string]any)["title"] != "Storm warnings" || got.JSON["@odata.count"] != 1.0 {
		t.Errorf("search: %d %s", got.Status, got.Raw)
	}
	if hits[0].(map[string]any)["content"] != nil {
		t.Error("select was ignored")
	}
	for name, c := range map[string]struct {
		token, path string
		status      int
	}{
		"no token":               {"", path, 401},
		"a token for Graph":      {graphToken(t, tenant, "alice"), path, 401},
		"a token for Genkan":     {tokens(t, tenant, "alice").str("access_token"), path, 401},
		"unknown index":          {token, "/indexes/nothing/docs/search?api-version=2024-07-01", 404},
		"without an API version": {token, "/indexes/handbook/docs/search", 400},
	} {
		if got := sendJSON(t, tenant, http.MethodPost, c.path, c.token, `{"search":"*"}`); got.Status != c.status {
			t.Errorf("%s: %d, want %d", name, got.Status, c.status)
		}
	}
	byGet := get(t, tenant, "/indexes/handbook/docs?api-version=2024-07-01&search=*&$top=2", "Authorization", "Bearer "+token)
	if len(byGet.JSON["value"].([]any)) != 2 {
		t.Errorf("GET with $top=2: %s", byGet.Raw)
	}
}

func TestKeyVaultWrapsAndUnwraps(t *testing.T) {
	tenant := entratest.Start(t)
	token, err := tenant.AccessToken("", entratest.GenkanID, entratest.KeyVaultURI)
	if err != nil {
		t.Fatal(err)
	}
	const version = "?api-version=7.4"
	call := func(path string, body map[string]string) reply {
		raw, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		return sendJSON(t, tenant, http.MethodPost, path+version, token, string(raw))
	}
	for _, alg := range []string{"RSA-OAEP", "RSA-OAEP-256"} {
		wrapped := call("/keys/genkan/wrapkey", map[string]string{"alg": alg, "value": "c2VjcmV0"})
		kid := wrapped.str("kid")
		call("/keys/genkan/create", map[string]string{"kty": "RSA"})
		back := call(kid[len(tenant.URL):]+"/unwrapkey", map[string]string{"alg": alg, "value": wrapped.str("value")})
		if back.Status != http.StatusOK || back.str("value") != "c2VjcmV0" || back.str("kid") != kid {
			t.Errorf("%s: %d %s", alg, back.Status, back.Raw)
		}
		newest := call("/keys/genkan/unwrapkey", map[string]string{"alg": alg, "value": wrapped.str("value")})
		if newest.Status != http.StatusBadRequest {
			t.Errorf("%s: the newer version unwraps what the older one wrapped: %d", alg, newest.Status)
		}
	}
	challenge := sendJSON(t, tenant, http.MethodGet, "/keys/genkan"+version, "", "")
	want := `Bearer authorization="` + tenant.URL + "/" + entratest.TenantID + `", resource="https://vault.azure.net"`
	if challenge.Status != http.StatusUnauthorized || challenge.Header.Get("WWW-Authenticate") != want {
		t.Errorf("without a token: %d %q", challenge.Status, challenge.Header.Get("WWW-Authenticate"))
	}
	if missing := sendJSON(t, tenant, http.MethodGet, "/keys/genkan/ffff"+version, token, ""); missing.Status != http.StatusNotFound {
		t.Errorf("an unknown version: %d", missing.Status)
	}
}

func TestAzkeysWrapsAndUnwraps(t *testing.T) {
	tenant := entratest.Start(t, entratest.WithTLS())
	options := entraCloud(tenant)
	cred, err := azidentity.NewClientSecretCredential(entratest.TenantID, entratest.GenkanID, entratest.GenkanSecret,
		&azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
	if err != nil {
		t.Fatal(err)
	}
	client, err := azkeys.NewClient(tenant.URL, cred, &azkeys.ClientOptions{ClientOptions: options, DisableChallengeResourceVerification: true})
	if err != nil {
		t.Fatal(err)
	}
	alg := azkeys.EncryptionAlgorithmRSAOAEP256
	wrapped, err := client.WrapKey(t.Context(), "genkan", "", azkeys.KeyOperationParameters{Algorithm: &alg, Value: []byte("data key")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	back, err := client.UnwrapKey(t.Context(), "genkan", wrapped.KID.Version(), azkeys.KeyOperationParameters{Algorithm: &alg, Value: wrapped.Result}, nil)
	if err != nil || !bytes.Equal(back.Result, []byte("data key")) {
		t.Errorf("unwrapped %q, %v", back.Result, err)
	}
}
