package entratest_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/entratest"
)

// oboForm exchanges an assertion; pairs replace or add, "" removes.
func oboForm(assertion string, pairs ...string) url.Values {
	v := values("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer", "client_id", entratest.GenkanID,
		"client_secret", entratest.GenkanSecret, "assertion", assertion, "requested_token_use", "on_behalf_of",
		"scope", "https://graph.microsoft.com/User.Read offline_access")
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			v.Del(pairs[i])
			continue
		}
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

func TestOnBehalfOfGivesDelegatedTokens(t *testing.T) {
	tenant := entratest.Start(t)
	assertion := tokens(t, tenant, "alice").str("access_token")
	got := post(t, tenant, tokenPath, oboForm(assertion))
	if got.Status != http.StatusOK || got.str("refresh_token") == "" {
		t.Fatal(got.Raw)
	}
	claims := payload(t, got.str("access_token"))
	for name, want := range map[string]any{
		"oid": entratest.AliceID, "appid": entratest.GenkanID, "aud": "https://graph.microsoft.com", "roles": nil,
	} {
		if claims[name] != want {
			t.Errorf("claim %s is %v, want %v", name, claims[name], want)
		}
	}
	if me := get(t, tenant, "/v1.0/me", "Authorization", "Bearer "+got.str("access_token")); me.str("id") != entratest.AliceID {
		t.Errorf("GET /me: %s", me.Raw)
	}
}

func TestOnBehalfOfRefusals(t *testing.T) {
	tenant := entratest.Start(t)
	own := tokens(t, tenant, "alice").str("access_token")
	stranger := tokens(t, entratest.Start(t), "alice").str("access_token")
	forGraph := graphToken(t, tenant, "alice")
	appOnly := post(t, tenant, tokenPath, credentialsForm("client_secret", entratest.GenkanSecret, "scope", entratest.GenkanID+"/.default")).str("access_token")
	for name, c := range map[string]struct {
		form   url.Values
		status int
		oauth  string
		code   int
	}{
		"assertion missing":           {oboForm(""), 400, "invalid_request", 900144},
		"requested_token_use missing": {oboForm(own, "requested_token_use", ""), 400, "invalid_request", 900144},
		"scope missing":               {oboForm(own, "scope", ""), 400, "invalid_request", 900144},
		"secret missing":              {oboForm(own, "client_secret", ""), 401, "invalid_client", 7000218},
		"secret wrong":                {oboForm(own, "client_secret", "guess"), 401, "invalid_client", 7000215},
		"assertion for another":       {oboForm(forGraph), 400, "invalid_grant", 500131},
		"assertion signed by another": {oboForm(stranger), 400, "invalid_grant", 50013},
		"garbage":                     {oboForm("garbage"), 400, "invalid_grant", 50013},
		"application's own token":     {oboForm(appOnly), 400, "invalid_grant", 7000114},
		"two resources":               {oboForm(own, "scope", "User.Read https://vault.azure.net/user_impersonation"), 400, "invalid_scope", 28000},
	} {
		t.Run(name, func(t *testing.T) {
			wantRefusal(t, post(t, tenant, tokenPath, c.form), c.status, c.oauth, c.code)
		})
	}
	tenant.Advance(2 * time.Hour)
	wantRefusal(t, post(t, tenant, tokenPath, oboForm(own)), 400, "invalid_grant", 50013)
}

func TestOnBehalfOfWithoutConsent(t *testing.T) {
	tenant := entratest.Start(t)
	assertion := tokens(t, tenant, "alice").str("access_token")
	tenant.WithdrawConsent(entratest.GenkanID, entratest.SearchURI)
	for _, scope := range []string{"https://search.azure.com/user_impersonation", "https://search.azure.com/.default"} {
		got := post(t, tenant, tokenPath, oboForm(assertion, "scope", scope))
		wantRefusal(t, got, 400, "invalid_grant", 65001)
		if got.str("suberror") != "consent_required" {
			t.Errorf("suberror %q", got.str("suberror"))
		}
	}
}

func TestOnBehalfOfUnderConditionalAccess(t *testing.T) {
	tenant := entratest.Start(t)
	assertion := tokens(t, tenant, "alice").str("access_token")
	tenant.Require(entratest.Policy{Resource: entratest.SearchURI, MFA: true})
	ask := oboForm("", "scope", "https://search.azure.com/user_impersonation", "assertion", assertion)
	got := post(t, tenant, tokenPath, ask)
	wantRefusal(t, got, 400, "interaction_required", 50076)
	if got.str("claims") == "" || got.str("suberror") != "basic_action" {
		t.Fatalf("claims %q, suberror %q", got.str("claims"), got.str("suberror"))
	}
	stronger := post(t, tenant, tokenPath, redeemForm(signIn(t, tenant, "alice", "claims", got.str("claims"))))
	ask.Set("assertion", stronger.str("access_token"))
	if again := post(t, tenant, tokenPath, ask); again.Status != http.StatusOK {
		t.Errorf("after a sign-in with the challenge: %s", again.Raw)
	}
}

func TestOnBehalfOfStopsWhenThePersonIsDisabled(t *testing.T) {
	tenant := entratest.Start(t)
	assertion := tokens(t, tenant, "alice").str("access_token")
	tenant.Disable("alice")
	wantRefusal(t, post(t, tenant, tokenPath, oboForm(assertion)), 400, "invalid_grant", 50057)
}
