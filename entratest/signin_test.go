package entratest_test

import (
	"net/http"
	"testing"

	"github.com/genkan-mcp/genkan/entratest"
)

func TestCodeGrantGivesTokensOfTheRightVersionAndShape(t *testing.T) {
	tenant := entratest.Start(t)
	got := tokens(t, tenant, "alice")
	access := payload(t, got.str("access_token"))
	for name, want := range map[string]any{
		"aud": entratest.GenkanID, "iss": tenant.URL + "/" + entratest.TenantID + "/v2.0", "ver": "2.0",
		"azp": entratest.GenkanID, "azpacr": "1", "oid": entratest.AliceID, "tid": entratest.TenantID,
		"scp": "access_as_user", "preferred_username": "alice@contoso.example",
	} {
		if access[name] != want {
			t.Errorf("claim %s is %v, want %v", name, access[name], want)
		}
	}
	id := payload(t, got.str("id_token"))
	if id["nonce"] != "the nonce" || id["aud"] != entratest.GenkanID {
		t.Errorf("ID token: nonce %v, aud %v", id["nonce"], id["aud"])
	}
	if got.str("refresh_token") == "" || got.str("client_info") == "" {
		t.Error("refresh_token or client_info is missing")
	}
	if got.str("scope") != entratest.GenkanID+"/access_as_user" {
		t.Errorf("scope is %q", got.str("scope"))
	}
}

func TestGraphKnowsWhoTheTokenIsFor(t *testing.T) {
	tenant := entratest.Start(t)
	first := tokens(t, tenant, "bob")
	got := post(t, tenant, tokenPath, values("grant_type", "refresh_token", "client_id", entratest.GenkanID,
		"client_secret", entratest.GenkanSecret, "refresh_token", first.str("refresh_token"), "scope", "User.Read"))
	if got.Status != http.StatusOK {
		t.Fatalf("refresh for Graph: %s", got.Raw)
	}
	me := get(t, tenant, "/v1.0/me", "Authorization", "Bearer "+got.str("access_token"))
	if me.Status != http.StatusOK || me.str("id") != entratest.BobID {
		t.Fatalf("GET /me: %d %s", me.Status, me.Raw)
	}
}
