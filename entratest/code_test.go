package entratest_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/entratest"
)

func TestCodeIsRedeemedOnce(t *testing.T) {
	tenant := entratest.Start(t)
	code := signIn(t, tenant, "alice")
	if got := post(t, tenant, tokenPath, redeemForm(code)); got.Status != http.StatusOK {
		t.Fatal(got.Raw)
	}
	wantRefusal(t, post(t, tenant, tokenPath, redeemForm(code)), 400, "invalid_grant", 54005)
}

func TestOneOfManyRedemptionsWins(t *testing.T) {
	tenant := entratest.Start(t)
	form := redeemForm(signIn(t, tenant, "alice"))
	var wg sync.WaitGroup
	status := make([]int, 8)
	for i := range status {
		wg.Go(func() {
			resp, err := tenant.Client().PostForm(tenant.URL+tokenPath, form)
			if err != nil {
				return
			}
			defer resp.Body.Close()
			status[i] = resp.StatusCode
		})
	}
	wg.Wait()
	won := 0
	for _, s := range status {
		if s == http.StatusOK {
			won++
		}
	}
	if won != 1 {
		t.Errorf("%d redemptions won: %v", won, status)
	}
}

func TestCodeExpires(t *testing.T) {
	tenant := entratest.Start(t)
	code := signIn(t, tenant, "alice")
	tenant.Advance(11 * time.Minute)
	wantRefusal(t, post(t, tenant, tokenPath, redeemForm(code)), 400, "invalid_grant", 70008)
}

func TestRefusedRedemptionLeavesTheCodeGood(t *testing.T) {
	tenant := entratest.Start(t)
	verifier := strings.Repeat("v", 43)
	code := signIn(t, tenant, "alice", "code_challenge", challengeS256(verifier), "code_challenge_method", "S256")
	for name, c := range map[string]struct {
		pairs  []string
		status int
		oauth  string
		code   int
	}{
		"code unknown":               {[]string{"code", "1.Anothing"}, 400, "invalid_grant", 70000},
		"code missing":               {[]string{"code", ""}, 400, "invalid_request", 900144},
		"grant_type missing":         {[]string{"grant_type", ""}, 400, "invalid_request", 900144},
		"grant_type unknown":         {[]string{"grant_type", "password2"}, 400, "unsupported_grant_type", 70003},
		"client_id missing":          {[]string{"client_id", ""}, 400, "invalid_request", 900144},
		"client_id unknown":          {[]string{"client_id", "22222222-2222-2222-2222-222222222222"}, 400, "unauthorized_client", 700016},
		"code of another client":     {[]string{"client_id", entratest.GenkanToolsID, "client_secret", ""}, 400, "invalid_grant", 70000},
		"redirect_uri missing":       {[]string{"redirect_uri", ""}, 400, "invalid_request", 900144},
		"redirect_uri another":       {[]string{"redirect_uri", "http://localhost:9999/callback"}, 400, "invalid_grant", 500112},
		"verifier missing":           {nil, 400, "invalid_grant", 50148},
		"verifier wrong":             {[]string{"code_verifier", strings.Repeat("w", 43)}, 400, "invalid_grant", 501481},
		"secret wrong":               {[]string{"client_secret", "guess"}, 401, "invalid_client", 7000215},
		"secret missing":             {[]string{"client_secret", ""}, 401, "invalid_client", 7000218},
		"two resources in the scope": {[]string{"scope", genkanScopes + " https://search.azure.com/user_impersonation", "code_verifier", verifier}, 400, "invalid_scope", 28000},
		"resource parameter":         {[]string{"resource", "https://mcp.example/", "code_verifier", verifier}, 400, "invalid_target", 9010010},
	} {
		t.Run(name, func(t *testing.T) {
			wantRefusal(t, post(t, tenant, tokenPath, redeemForm(code, c.pairs...)), c.status, c.oauth, c.code)
		})
	}
	if got := post(t, tenant, tokenPath, redeemForm(code, "code_verifier", verifier)); got.Status != http.StatusOK {
		t.Errorf("after all the refusals: %s", got.Raw)
	}
}

func TestMalformedTokenRequests(t *testing.T) {
	tenant := entratest.Start(t)
	wantRefusal(t, post(t, tenant, tokenPath, url.Values{"grant_type": {"refresh_token", "refresh_token"}}), 400, "invalid_request", 9000411)
	asJSON := sendJSON(t, tenant, http.MethodPost, tokenPath, "", `{"grant_type":"refresh_token"}`)
	wantRefusal(t, asJSON, 400, "invalid_request", 900144)
	broken := post(t, tenant, tokenPath, values("grant_type", "client_credentials", "claims", "no JSON"))
	wantRefusal(t, broken, 400, "invalid_request", 90100)
	if got := get(t, tenant, tokenPath); got.Status != http.StatusMethodNotAllowed {
		t.Errorf("GET /token: %d", got.Status)
	}
}

func TestPKCEPlainAndWithoutChallenge(t *testing.T) {
	tenant := entratest.Start(t)
	verifier := strings.Repeat("p", 43)
	for _, method := range []string{"plain", ""} {
		code := signIn(t, tenant, "alice", "code_challenge", verifier, "code_challenge_method", method)
		if got := post(t, tenant, tokenPath, redeemForm(code, "code_verifier", verifier)); got.Status != http.StatusOK {
			t.Errorf("method %q: %s", method, got.Raw)
		}
	}
	code := signIn(t, tenant, "alice")
	wantRefusal(t, post(t, tenant, tokenPath, redeemForm(code, "code_verifier", verifier)), 400, "invalid_grant", 501481)
}

func TestClientSecretBasic(t *testing.T) {
	tenant := entratest.Start(t)
	form := redeemForm(signIn(t, tenant, "alice"), "client_id", "", "client_secret", "")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, tenant.URL+tokenPath, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(entratest.GenkanID, entratest.GenkanSecret)
	if got := send(t, tenant, req); got.Status != http.StatusOK {
		t.Errorf("client_secret_basic: %s", got.Raw)
	}
}

func TestPublicPlatformRefusesASecret(t *testing.T) {
	tenant := entratest.Start(t)
	pairs := []string{"client_id", entratest.GenkanToolsID, "redirect_uri", "http://localhost:4000", "scope", entratest.GenkanURI + "/access_as_user openid"}
	form := redeemForm(signIn(t, tenant, "alice", pairs...), "client_id", entratest.GenkanToolsID, "redirect_uri", "http://localhost:4000",
		"client_secret", "something", "scope", "")
	wantRefusal(t, post(t, tenant, tokenPath, form), 401, "invalid_client", 700025)
	form.Del("client_secret")
	got := post(t, tenant, tokenPath, form)
	if got.Status != http.StatusOK {
		t.Fatal(got.Raw)
	}
	if acr := payload(t, got.str("access_token"))["azpacr"]; acr != "0" {
		t.Errorf("azpacr %v, want 0 for a public client", acr)
	}
}

func TestNoRefreshTokenWithoutOfflineAccess(t *testing.T) {
	tenant := entratest.Start(t)
	got := post(t, tenant, tokenPath, redeemForm(signIn(t, tenant, "alice"), "scope", entratest.GenkanID+"/access_as_user openid"))
	if got.Status != http.StatusOK || got.str("refresh_token") != "" || got.str("id_token") == "" {
		t.Errorf("without offline_access: %s", got.Raw)
	}
	got = post(t, tenant, tokenPath, redeemForm(signIn(t, tenant, "alice"), "scope", entratest.GenkanID+"/access_as_user"))
	if got.str("id_token") != "" {
		t.Error("an ID token without openid")
	}
}

func TestTokenResponseShape(t *testing.T) {
	tenant := entratest.Start(t)
	got := tokens(t, tenant, "alice")
	if got.str("token_type") != "Bearer" || got.JSON["ext_expires_in"] != got.JSON["expires_in"] {
		t.Errorf("token_type %v, expires_in %v, ext_expires_in %v", got.JSON["token_type"], got.JSON["expires_in"], got.JSON["ext_expires_in"])
	}
	if s := got.JSON["expires_in"].(float64); s < 3600 || s >= 5400 {
		t.Errorf("expires_in %v, want 60 to 90 minutes", s)
	}
	if cache := got.Header.Get("Cache-Control"); !strings.Contains(cache, "no-store") {
		t.Errorf("Cache-Control %q", cache)
	}
	info := segment(t, "."+got.str("client_info")+".", 1)
	if info["uid"] != entratest.AliceID || info["utid"] != entratest.TenantID {
		t.Errorf("client_info %v", info)
	}
}

func TestScopeComesBackInTheFormThatWasAsked(t *testing.T) {
	tenant := entratest.Start(t)
	for asked, want := range map[string]string{
		entratest.GenkanID + "/access_as_user offline_access":  entratest.GenkanID + "/access_as_user",
		entratest.GenkanURI + "/access_as_user openid profile": entratest.GenkanURI + "/access_as_user",
		entratest.GenkanID + "/.default":                       entratest.GenkanID + "/access_as_user " + entratest.GenkanID + "/.default",
		"https://search.azure.com/user_impersonation":          "https://search.azure.com/user_impersonation",
		"User.Read":                             "openid profile email User.Read GroupMember.Read.All",
		"openid email":                          "openid profile email User.Read GroupMember.Read.All",
		"https://graph.microsoft.com/User.Read": "openid profile email https://graph.microsoft.com/User.Read https://graph.microsoft.com/GroupMember.Read.All",
	} {
		got := post(t, tenant, tokenPath, redeemForm(signIn(t, tenant, "alice", "scope", asked), "scope", asked))
		if got.str("scope") != want {
			t.Errorf("asked %q, got %q, want %q (%d)", asked, got.str("scope"), want, got.Status)
		}
	}
}
