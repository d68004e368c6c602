package entratest_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/entratest"
)

// keysOf lists the names of a token's claims.
func keysOf(m map[string]any) []string {
	var names []string
	for k := range m {
		names = append(names, k)
	}
	slices.Sort(names)
	return names
}

func TestVersionTwoAccessTokenOfAPerson(t *testing.T) {
	tenant := entratest.Start(t)
	token := tokens(t, tenant, "alice").str("access_token")
	want := []string{"aio", "aud", "azp", "azpacr", "exp", "groups", "iat", "iss", "name", "nbf", "oid", "preferred_username",
		"rh", "roles", "scp", "sub", "tid", "uti", "ver"}
	if diff := cmp.Diff(want, keysOf(payload(t, token))); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"alg", "kid", "typ"}, keysOf(header(t, token))); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
}

func TestManifestDecidesTheVersionNotTheEndpoint(t *testing.T) {
	tenant := entratest.Start(t)
	app(tenant, entratest.GenkanID, func(a *entratest.App) { a.TokenVersion = 0 })
	asked := entratest.GenkanURI + "/access_as_user"
	token := post(t, tenant, tokenPath, redeemForm(signIn(t, tenant, "alice", "scope", asked), "scope", asked)).str("access_token")
	claims := payload(t, token)
	for name, want := range map[string]any{
		"ver": "1.0", "iss": "https://sts.windows.net/" + entratest.TenantID + "/", "aud": entratest.GenkanURI,
		"appid": entratest.GenkanID, "appidacr": "1", "upn": "alice@contoso.example", "unique_name": "alice@contoso.example",
		"given_name": "Alice", "family_name": "Arai", "acr": "1", "scp": "access_as_user", "oid": entratest.AliceID,
		"azp": nil, "preferred_username": nil,
	} {
		if claims[name] != want {
			t.Errorf("claim %s is %v, want %v", name, claims[name], want)
		}
	}
	if h := header(t, token); h["x5t"] != h["kid"] || h["x5t"] == nil {
		t.Errorf("x5t %v, kid %v", h["x5t"], h["kid"])
	}
	byGUID := tokens(t, tenant, "alice").str("access_token")
	if aud := payload(t, byGUID)["aud"]; aud != entratest.GenkanID {
		t.Errorf("asked by GUID: audience %v", aud)
	}
}

func TestAppOnlyToken(t *testing.T) {
	tenant := entratest.Start(t)
	tenant.Assign(entratest.GenkanID, entratest.GenkanID, "Weather.Read")
	ask := values("grant_type", "client_credentials", "client_id", entratest.GenkanID, "client_secret", entratest.GenkanSecret,
		"scope", entratest.GenkanURI+"/.default openid offline_access profile")
	got := post(t, tenant, tokenPath, ask)
	if got.Status != http.StatusOK || got.str("refresh_token") != "" || got.str("id_token") != "" || got.JSON["scope"] != nil {
		t.Fatalf("client credentials: %s", got.Raw)
	}
	claims := payload(t, got.str("access_token"))
	if diff := cmp.Diff([]any{"Weather.Read"}, claims["roles"]); diff != "" || claims["scp"] != nil || claims["idtyp"] != nil {
		t.Errorf("roles %v, scp %v, idtyp %v", claims["roles"], claims["scp"], claims["idtyp"])
	}
	if claims["oid"] != entratest.GenkanPrincipal || claims["sub"] != entratest.GenkanPrincipal {
		t.Errorf("oid %v, sub %v, want the service principal", claims["oid"], claims["sub"])
	}
	app(tenant, entratest.GenkanID, func(a *entratest.App) { a.OptionalClaims.Access = []string{"idtyp"} })
	if c := payload(t, post(t, tenant, tokenPath, ask).str("access_token")); c["idtyp"] != "app" {
		t.Errorf("idtyp %v once the manifest asks for it", c["idtyp"])
	}
	if c := payload(t, tokens(t, tenant, "alice").str("access_token")); c["idtyp"] != nil {
		t.Errorf("idtyp %v in a person's token", c["idtyp"])
	}
}

func TestSubjectIsPairwise(t *testing.T) {
	tenant := entratest.Start(t)
	first := tokens(t, tenant, "alice")
	graph := post(t, tenant, tokenPath, refreshForm(first.str("refresh_token"), "scope", "User.Read openid"))
	own := payload(t, first.str("access_token"))["sub"]
	if again := payload(t, tokens(t, tenant, "alice").str("access_token"))["sub"]; again != own {
		t.Errorf("subject changed from %v to %v", own, again)
	}
	if other := payload(t, graph.str("access_token"))["sub"]; other == own {
		t.Error("two resources know a person by the same subject")
	}
	if id := payload(t, graph.str("id_token"))["sub"]; id != own {
		t.Errorf("the ID token's subject is %v, for the same application it was %v", id, own)
	}
	if bob := payload(t, tokens(t, tenant, "bob").str("access_token"))["sub"]; bob == own {
		t.Error("two people have the same subject")
	}
}

func TestIDTokenFollowsScopesAndEndpoint(t *testing.T) {
	tenant := entratest.Start(t)
	bare := post(t, tenant, tokenPath, redeemForm(signIn(t, tenant, "alice", "scope", "openid"), "scope", "openid"))
	claims := payload(t, bare.str("id_token"))
	for _, name := range []string{"name", "preferred_username", "oid", "email"} {
		if claims[name] != nil {
			t.Errorf("openid alone: claim %s is there", name)
		}
	}
	full := post(t, tenant, tokenPath, redeemForm(signIn(t, tenant, "alice"), "scope", "openid profile email"))
	claims = payload(t, full.str("id_token"))
	for name, want := range map[string]any{
		"oid": entratest.AliceID, "name": "Alice Arai", "preferred_username": "alice@contoso.example", "email": "alice@contoso.example",
		"ver": "2.0", "nonce": "the nonce", "iss": tenant.URL + "/" + entratest.TenantID + "/v2.0",
	} {
		if claims[name] != want {
			t.Errorf("claim %s is %v, want %v", name, claims[name], want)
		}
	}
	v1 := post(t, tenant, "/"+entratest.TenantID+"/oauth2/token", redeemForm(signIn(t, tenant, "alice")))
	if c := payload(t, v1.str("id_token")); c["ver"] != "1.0" || c["upn"] != "alice@contoso.example" {
		t.Errorf("v1 endpoint: ver %v, upn %v", c["ver"], c["upn"])
	}
}

func TestOptionalClaims(t *testing.T) {
	tenant := entratest.Start(t)
	app(tenant, entratest.GenkanID, func(a *entratest.App) {
		a.OptionalClaims.Access = []string{"email", "upn", "family_name", "given_name", "auth_time", "sid", "acct", "login_hint"}
	})
	claims := payload(t, tokens(t, tenant, "alice").str("access_token"))
	for _, name := range []string{"email", "upn", "family_name", "given_name", "auth_time", "sid", "acct", "login_hint"} {
		if claims[name] == nil {
			t.Errorf("optional claim %s is missing", name)
		}
	}
}

func TestGroupsUpTo200StandInTheToken(t *testing.T) {
	tenant := entratest.Start(t)
	in := func(n int) map[string]any {
		tenant.Change(func(d *entratest.Directory) {
			for i := range d.People {
				if d.People[i].ID == entratest.ErinID {
					d.People[i].Groups = nil
					for _, g := range d.Groups[:n] {
						d.People[i].Groups = append(d.People[i].Groups, g.ID)
					}
				}
			}
		})
		return payload(t, tokens(t, tenant, "erin").str("access_token"))
	}
	if groups, _ := in(200)["groups"].([]any); len(groups) != 200 {
		t.Errorf("%d groups in the token, want 200", len(groups))
	}
	if c := in(201); c["groups"] != nil || c["_claim_names"] == nil {
		t.Errorf("201 groups: groups %v, _claim_names %v", c["groups"], c["_claim_names"])
	}
}

func TestGroupOverageSaysWhereToAsk(t *testing.T) {
	tenant := entratest.Start(t)
	claims := payload(t, tokens(t, tenant, "erin").str("access_token"))
	want := map[string]any{"groups": "src1"}
	if diff := cmp.Diff(want, claims["_claim_names"]); diff != "" {
		t.Errorf("_claim_names (-want +got):\n%s", diff)
	}
	source := claims["_claim_sources"].(map[string]any)["src1"].(map[string]any)["endpoint"].(string)
	if want := tenant.URL + "/v1.0/users/" + entratest.ErinID + "/getMemberObjects"; source != want {
		t.Errorf("endpoint %q, want %q", source, want)
	}
	path := "/v1.0/me/getMemberObjects"
	got := sendJSON(t, tenant, http.MethodPost, path, graphToken(t, tenant, "erin"), `{"securityEnabledOnly":false}`)
	if ids, _ := got.JSON["value"].([]any); len(ids) != 250 {
		t.Errorf("getMemberObjects gave %d groups: %.200s", len(ids), got.Raw)
	}
}

func TestTokensAreDatedBackFiveMinutes(t *testing.T) {
	at := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	tenant := entratest.Start(t, entratest.WithConfig(entratest.Config{Now: func() time.Time { return at }}))
	got := tokens(t, tenant, "alice")
	claims := payload(t, got.str("access_token"))
	from := float64(at.Add(-5 * time.Minute).Unix())
	if claims["iat"] != from || claims["nbf"] != from {
		t.Errorf("iat %v, nbf %v, want %v", claims["iat"], claims["nbf"], from)
	}
	if want := float64(at.Unix()) + got.JSON["expires_in"].(float64); claims["exp"] != want {
		t.Errorf("exp %v, want %v", claims["exp"], want)
	}
}

func TestTokenHoldsEverythingConsentedNotOnlyWhatWasAsked(t *testing.T) {
	tenant := entratest.Start(t)
	got := post(t, tenant, tokenPath, redeemForm(signIn(t, tenant, "alice", "scope", "User.Read"), "scope", "User.Read"))
	if scp := payload(t, got.str("access_token"))["scp"]; scp != "openid profile email User.Read GroupMember.Read.All" {
		t.Errorf("scp %v", scp)
	}
}

func TestGraphTokensCantBeVerifiedByOthers(t *testing.T) {
	tenant := entratest.Start(t)
	token := graphToken(t, tenant, "alice")
	if header(t, token)["nonce"] == nil {
		t.Fatal("no nonce in the header")
	}
	if signatureHolds(t, tenant, token) {
		t.Error("the signature of a Graph token holds for everybody")
	}
	if own := tokens(t, tenant, "alice").str("access_token"); !signatureHolds(t, tenant, own) {
		t.Error("the signature of one's own token doesn't hold")
	}
	if got := get(t, tenant, "/v1.0/me", "Authorization", "Bearer "+token); got.Status != http.StatusOK {
		t.Errorf("Graph itself refuses it: %s", got.Raw)
	}
}
