package entratest_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/entratest"
)

func TestDisabledPersonEndsAtTheNextRefresh(t *testing.T) {
	tenant := entratest.Start(t)
	token := tokens(t, tenant, "bob").str("refresh_token")
	tenant.Disable("bob")
	wantRefusal(t, post(t, tenant, tokenPath, refreshForm(token)), 400, "invalid_grant", 50057)
	tenant.Enable("bob")
	wantRefusal(t, post(t, tenant, tokenPath, refreshForm(token)), 400, "invalid_grant", 50173)
	if got := post(t, tenant, tokenPath, redeemForm(signIn(t, tenant, "bob"))); got.Status != http.StatusOK {
		t.Errorf("a new sign-in: %s", got.Raw)
	}
}

func TestSignedOutPersonHasToSignInAgain(t *testing.T) {
	at := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	tenant := entratest.Start(t, entratest.WithConfig(entratest.Config{Now: func() time.Time { return at }}))
	client := browser(t, tenant)
	chooseAccount(t, client, authorizeURL(tenant), "bob@contoso.example")
	token := tokens(t, tenant, "bob").str("refresh_token")
	code := signIn(t, tenant, "bob")
	tenant.SignOut("bob")
	refused := post(t, tenant, tokenPath, refreshForm(token))
	wantRefusal(t, refused, 400, "invalid_grant", 50173)
	if refused.str("suberror") != "bad_token" {
		t.Errorf("suberror %q", refused.str("suberror"))
	}
	wantRefusal(t, post(t, tenant, tokenPath, redeemForm(code)), 400, "invalid_grant", 50173)
	wantBack(t, visit(t, client, authorizeURL(tenant, "prompt", "none")), "login_required", 50058)
	if got := post(t, tenant, tokenPath, redeemForm(signIn(t, tenant, "bob"))); got.Status != http.StatusOK {
		t.Errorf("a new sign-in at the same instant: %s", got.Raw)
	}
}

func TestWithdrawnConsentShowsAtTheNextRefresh(t *testing.T) {
	tenant := entratest.Start(t)
	token := tokens(t, tenant, "alice").str("refresh_token")
	tenant.WithdrawConsent(entratest.GenkanID, entratest.GenkanID)
	got := post(t, tenant, tokenPath, refreshForm(token))
	wantRefusal(t, got, 400, "invalid_grant", 65001)
	if got.str("suberror") != "consent_required" {
		t.Errorf("suberror %q", got.str("suberror"))
	}
	tenant.Consent(entratest.GenkanID, entratest.GenkanID, entratest.GenkanScope)
	if again := post(t, tenant, tokenPath, refreshForm(token)); again.Status != http.StatusOK {
		t.Errorf("consent given again: %s", again.Raw)
	}
}

func TestMFAIsAskedByChallengeAndSatisfiedByPage(t *testing.T) {
	tenant := entratest.Start(t)
	token := tokens(t, tenant, "alice").str("refresh_token")
	tenant.Require(entratest.Policy{Resource: entratest.GenkanID, MFA: true})
	got := post(t, tenant, tokenPath, refreshForm(token))
	wantRefusal(t, got, 400, "interaction_required", 50076)
	if !strings.Contains(got.str("claims"), "capolids") {
		t.Errorf("claims %q", got.str("claims"))
	}
	client := browser(t, tenant)
	page := chooseAccount(t, client, authorizeURL(tenant), "alice@contoso.example")
	if !strings.Contains(page.Raw, "Approve this sign-in") {
		t.Fatalf("no page for the second factor: %.300s", page.Raw)
	}
	wantBack(t, visit(t, client, authorizeURL(tenant, "prompt", "none")), "interaction_required", 50076)
	submit(t, client, tenant.URL, aForm.FindStringSubmatch(page.Raw))
	if silent := visit(t, client, authorizeURL(tenant, "prompt", "none")); !strings.Contains(silent.Header.Get("Location"), "code=") {
		t.Error("asked again for a second factor that was given")
	}
	fresh := tokens(t, tenant, "alice").str("refresh_token")
	if again := post(t, tenant, tokenPath, refreshForm(fresh)); again.Status != http.StatusOK {
		t.Errorf("after the second factor: %s", again.Raw)
	}
	tenant.LiftPolicies()
	if again := post(t, tenant, tokenPath, refreshForm(token)); again.Status != http.StatusOK {
		t.Errorf("without the policy: %s", again.Raw)
	}
}

func TestSignInFrequency(t *testing.T) {
	tenant := entratest.Start(t)
	tenant.Require(entratest.Policy{Resource: entratest.GenkanID, SignInFrequency: time.Hour})
	client := browser(t, tenant)
	chooseAccount(t, client, authorizeURL(tenant), "alice@contoso.example")
	token := tokens(t, tenant, "alice").str("refresh_token")
	if got := post(t, tenant, tokenPath, refreshForm(token)); got.Status != http.StatusOK {
		t.Fatal(got.Raw)
	}
	tenant.Advance(61 * time.Minute)
	got := post(t, tenant, tokenPath, refreshForm(token))
	wantRefusal(t, got, 400, "interaction_required", 70043)
	if got.str("claims") == "" || got.str("suberror") != "token_expired" {
		t.Errorf("claims %q, suberror %q", got.str("claims"), got.str("suberror"))
	}
	if page := visit(t, client, authorizeURL(tenant)); !strings.Contains(page.Raw, "Pick an account") {
		t.Error("an old session was enough")
	}
}

func TestBlockedByConditionalAccess(t *testing.T) {
	tenant := entratest.Start(t)
	token := tokens(t, tenant, "alice").str("refresh_token")
	tenant.Require(entratest.Policy{Resource: entratest.GenkanID, Block: true, People: []string{"alice"}})
	wantRefusal(t, post(t, tenant, tokenPath, refreshForm(token)), 400, "interaction_required", 53003)
	_, err := tenant.SignIn(authorizeURL(tenant), "alice")
	var page *entratest.PageError
	if !errors.As(err, &page) || page.Code != 53003 {
		t.Errorf("alice: %v, want a page with AADSTS53003", err)
	}
	signIn(t, tenant, "bob")
}

func TestMaxAgeWantsAFreshSignIn(t *testing.T) {
	tenant := entratest.Start(t)
	client := browser(t, tenant)
	chooseAccount(t, client, authorizeURL(tenant), "alice@contoso.example")
	tenant.Advance(10 * time.Minute)
	if page := visit(t, client, authorizeURL(tenant, "max_age", "60")); !strings.Contains(page.Raw, "Pick an account") {
		t.Error("max_age=60 was content with a sign-in ten minutes ago")
	}
	if page := visit(t, client, authorizeURL(tenant, "max_age", "3600")); page.Header.Get("Location") == "" {
		t.Error("max_age=3600 asked again")
	}
}

func TestFaultsOfTheTokenEndpoint(t *testing.T) {
	tenant := entratest.Start(t)
	token := tokens(t, tenant, "alice").str("refresh_token")
	tenant.FailNext(entratest.Fault{Path: "/token", Status: http.StatusTooManyRequests, RetryAfter: 7 * time.Second})
	tenant.FailNext(entratest.Fault{Path: "/token", Grant: "refresh_token", Status: http.StatusServiceUnavailable})
	tenant.FailNext(entratest.Fault{Path: "/token", Code: 50076, Claims: `{"access_token":{}}`})
	tenant.FailNext(entratest.Fault{Path: "/token", Status: http.StatusBadGateway, Body: "<html>Bad gateway</html>"})
	throttled := post(t, tenant, tokenPath, refreshForm(token))
	if throttled.Status != http.StatusTooManyRequests || throttled.Header.Get("Retry-After") != "7" {
		t.Errorf("first: %d, Retry-After %q", throttled.Status, throttled.Header.Get("Retry-After"))
	}
	wantRefusal(t, post(t, tenant, tokenPath, refreshForm(token)), 503, "temporarily_unavailable", 90033)
	challenged := post(t, tenant, tokenPath, refreshForm(token))
	wantRefusal(t, challenged, 400, "interaction_required", 50076)
	if challenged.str("claims") != `{"access_token":{}}` {
		t.Errorf("claims %q", challenged.str("claims"))
	}
	if html := post(t, tenant, tokenPath, refreshForm(token)); html.Status != http.StatusBadGateway || html.JSON != nil {
		t.Errorf("fourth: %d %s", html.Status, html.Raw)
	}
	if got := post(t, tenant, tokenPath, refreshForm(token)); got.Status != http.StatusOK {
		t.Errorf("after all faults: %s", got.Raw)
	}
}

func TestFaultThatDropsOrDelays(t *testing.T) {
	tenant := entratest.Start(t)
	tenant.FailNext(entratest.Fault{Path: "/keys", Drop: true, Times: -1})
	if resp, err := tenant.Client().Get(tenant.URL + "/common/discovery/v2.0/keys"); err == nil {
		resp.Body.Close()
		t.Error("a dropped connection answered")
	}
	tenant.ClearFaults()
	tenant.FailNext(entratest.Fault{Path: "/keys", Delay: time.Minute})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, tenant.URL+"/common/discovery/v2.0/keys", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := tenant.Client().Do(req); err == nil {
		resp.Body.Close()
		t.Error("a slow answer was fast")
	}
	if got := get(t, tenant, "/common/discovery/v2.0/keys"); got.Status != http.StatusOK {
		t.Errorf("afterwards: %d", got.Status)
	}
}

func TestCallsAreCountedWithoutSecrets(t *testing.T) {
	tenant := entratest.Start(t)
	tokens(t, tenant, "alice")
	calls := tenant.Calls("/token")
	if len(calls) != 1 || calls[0].Grant != "authorization_code" || calls[0].Client != entratest.GenkanID {
		t.Errorf("calls: %+v", calls)
	}
}

func TestContinuousAccessEvaluation(t *testing.T) {
	tenant := entratest.Start(t)
	const capable = `{"access_token":{"xms_cc":{"values":["cp1"]}}}`
	scope := "https://graph.microsoft.com/User.Read openid offline_access"
	got := post(t, tenant, tokenPath, redeemForm(signIn(t, tenant, "alice", "scope", scope), "scope", scope, "claims", capable))
	if s := got.JSON["expires_in"].(float64); s < 20*3600 || s > 28*3600 {
		t.Errorf("expires_in %v, want 20 to 28 hours", s)
	}
	plain := graphToken(t, tenant, "alice")
	tenant.SignOut("alice")
	if old := get(t, tenant, "/v1.0/me", "Authorization", "Bearer "+plain); old.Status != http.StatusOK {
		t.Errorf("a client that knows no challenges: %d", old.Status)
	}
	refused := get(t, tenant, "/v1.0/me", "Authorization", "Bearer "+got.str("access_token"))
	_, encoded, found := strings.Cut(refused.Header.Get("WWW-Authenticate"), `error="insufficient_claims", claims="`)
	claims, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(encoded, `"`))
	if refused.Status != http.StatusUnauthorized || !found || err != nil || !strings.Contains(string(claims), `"nbf"`) {
		t.Errorf("%d %q: %s", refused.Status, refused.Header.Get("WWW-Authenticate"), claims)
	}
	client := browser(t, tenant)
	if page := chooseAccount(t, client, authorizeURL(tenant, "claims", string(claims)), "alice@contoso.example"); page.Header.Get("Location") == "" {
		t.Errorf("a sign-in with the challenge: %d", page.Status)
	}
}

func TestChallengeOnDemand(t *testing.T) {
	tenant := entratest.Start(t)
	const challenge = `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`
	tenant.FailNext(entratest.Fault{Path: "/me", Challenge: challenge})
	got := get(t, tenant, "/v1.0/me", "Authorization", "Bearer "+graphToken(t, tenant, "alice"))
	want := `error="insufficient_claims", claims="` + base64.StdEncoding.EncodeToString([]byte(challenge)) + `"`
	if got.Status != http.StatusUnauthorized || !strings.Contains(got.Header.Get("WWW-Authenticate"), want) {
		t.Errorf("%d %s", got.Status, got.Header.Get("WWW-Authenticate"))
	}
}
