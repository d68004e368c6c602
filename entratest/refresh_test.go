package entratest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/entratest"
)

func TestOldRefreshTokenStaysValidBesideTheNewOne(t *testing.T) {
	tenant := entratest.Start(t)
	first := tokens(t, tenant, "alice").str("refresh_token")
	second := post(t, tenant, tokenPath, refreshForm(first))
	if second.Status != http.StatusOK || second.str("refresh_token") == first || second.str("refresh_token") == "" {
		t.Fatalf("refresh: %s", second.Raw)
	}
	for _, token := range []string{first, second.str("refresh_token")} {
		if got := post(t, tenant, tokenPath, refreshForm(token)); got.Status != http.StatusOK {
			t.Errorf("used again: %s", got.Raw)
		}
	}
}

func TestRefreshWithoutScopeAsksForTheClientItself(t *testing.T) {
	tenant := entratest.Start(t)
	token := tokens(t, tenant, "alice").str("refresh_token")
	wantRefusal(t, post(t, tenant, tokenPath, refreshForm(token, "scope", "")), 400, "invalid_request", 90009)
}

func TestRefreshForOneselfWantsTheGUID(t *testing.T) {
	tenant := entratest.Start(t)
	token := tokens(t, tenant, "alice").str("refresh_token")
	wantRefusal(t, post(t, tenant, tokenPath, refreshForm(token, "scope", entratest.GenkanURI+"/access_as_user offline_access")), 400, "invalid_request", 90009)
	if got := post(t, tenant, tokenPath, refreshForm(token)); got.Status != http.StatusOK {
		t.Errorf("with the GUID: %s", got.Raw)
	}
}

func TestRefreshWithAReplayedScopeString(t *testing.T) {
	tenant := entratest.Start(t)
	token := tokens(t, tenant, "alice").str("refresh_token")
	mixed := entratest.GenkanID + "/access_as_user " + entratest.GenkanID + "/.default"
	got := post(t, tenant, tokenPath, refreshForm(token, "scope", mixed))
	wantRefusal(t, got, 400, "invalid_scope", 70011)
	if !strings.Contains(got.str("error_description"), ".default scope can't be combined") {
		t.Errorf("description %q", got.str("error_description"))
	}
}

func TestRefreshTokenIsNotBoundToAResource(t *testing.T) {
	tenant := entratest.Start(t)
	token := tokens(t, tenant, "alice").str("refresh_token")
	audiences := map[string]any{}
	for _, scope := range []string{"https://search.azure.com/user_impersonation", "https://vault.azure.net/.default", "https://graph.microsoft.com/User.Read"} {
		got := post(t, tenant, tokenPath, refreshForm(token, "scope", scope))
		if got.Status != http.StatusOK {
			t.Fatal(got.Raw)
		}
		audiences[scope] = payload(t, got.str("access_token"))["aud"]
	}
	want := map[string]any{
		"https://search.azure.com/user_impersonation": "https://search.azure.com",
		"https://vault.azure.net/.default":            "https://vault.azure.net",
		"https://graph.microsoft.com/User.Read":       "https://graph.microsoft.com",
	}
	if diff := cmp.Diff(want, audiences); diff != "" {
		t.Errorf("audiences (-want +got):\n%s", diff)
	}
}

func TestRefreshRefusals(t *testing.T) {
	tenant := entratest.Start(t)
	token := tokens(t, tenant, "alice").str("refresh_token")
	for name, c := range map[string]struct {
		pairs  []string
		status int
		oauth  string
		code   int
	}{
		"token missing":             {[]string{"refresh_token", ""}, 400, "invalid_request", 900144},
		"token unknown":             {[]string{"refresh_token", "1.Anothing"}, 400, "invalid_grant", 70000},
		"token of another client":   {[]string{"client_id", entratest.GenkanToolsID, "client_secret", ""}, 400, "invalid_grant", 70000},
		"secret missing":            {[]string{"client_secret", ""}, 401, "invalid_client", 7000218},
		"two resources":             {[]string{"scope", genkanScopes + " User.Read"}, 400, "invalid_scope", 28000},
		"scope that nobody exposes": {[]string{"scope", "mcp.read"}, 401, "invalid_client", 650053},
		"resource parameter":        {[]string{"resource", "https://mcp.example/weather/mcp"}, 400, "invalid_target", 9010010},
	} {
		t.Run(name, func(t *testing.T) {
			wantRefusal(t, post(t, tenant, tokenPath, refreshForm(token, c.pairs...)), c.status, c.oauth, c.code)
		})
	}
}

func TestRefreshTokenExpires(t *testing.T) {
	tenant := entratest.Start(t)
	token := tokens(t, tenant, "alice").str("refresh_token")
	tenant.Advance(89 * 24 * time.Hour)
	newer := post(t, tenant, tokenPath, refreshForm(token))
	if newer.Status != http.StatusOK {
		t.Fatalf("on day 89: %s", newer.Raw)
	}
	tenant.Advance(2 * 24 * time.Hour)
	old := post(t, tenant, tokenPath, refreshForm(token))
	wantRefusal(t, old, 400, "invalid_grant", 700082)
	if old.str("suberror") != "token_expired" {
		t.Errorf("suberror %q", old.str("suberror"))
	}
	if got := post(t, tenant, tokenPath, refreshForm(newer.str("refresh_token"))); got.Status != http.StatusOK {
		t.Errorf("the successor: %s", got.Raw)
	}
}

func TestSinglePageApplicationsRefreshForADay(t *testing.T) {
	tenant := entratest.Start(t)
	withSPA(tenant)
	verifier := strings.Repeat("v", 50)
	form := redeemForm(signIn(t, tenant, "bob", spaPairs(verifier)...), "client_id", spaID, "client_secret", "",
		"redirect_uri", "http://localhost:3000/app", "code_verifier", verifier, "scope", "")
	first := post(t, tenant, tokenPath, form, "Origin", "http://localhost:3000")
	again := func(token string) reply {
		return post(t, tenant, tokenPath, refreshForm(token, "client_id", spaID, "client_secret", "",
			"scope", entratest.GenkanURI+"/access_as_user offline_access"), "Origin", "http://localhost:3000")
	}
	tenant.Advance(23 * time.Hour)
	second := again(first.str("refresh_token"))
	if second.Status != http.StatusOK {
		t.Fatal(second.Raw)
	}
	tenant.Advance(2 * time.Hour)
	wantRefusal(t, again(second.str("refresh_token")), 400, "invalid_grant", 700084)
}

func TestRolesAreReadAnewAtEachRefresh(t *testing.T) {
	tenant := entratest.Start(t)
	first := tokens(t, tenant, "alice")
	tenant.Unassign(entratest.GenkanID, "alice", "Weather.Write")
	second := post(t, tenant, tokenPath, refreshForm(first.str("refresh_token")))
	got := [][]any{
		payload(t, first.str("access_token"))["roles"].([]any), payload(t, second.str("access_token"))["roles"].([]any),
	}
	if diff := cmp.Diff([][]any{{"Weather.Read", "Weather.Write"}, {"Weather.Read"}}, got); diff != "" {
		t.Errorf("roles (-want +got):\n%s", diff)
	}
}
