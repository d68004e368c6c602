package entra_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/entratest"
	"github.com/genkan-mcp/genkan/policy"
)

const (
	searchScope = entratest.SearchURI + "/user_impersonation"
	oboGrant    = "urn:ietf:params:oauth:grant-type:jwt-bearer"
)

// exchange is an OnBehalfOf for Azure AI Search.
func exchange(t testing.TB, client *entra.Client) *entra.OnBehalfOf {
	t.Helper()
	obo, err := client.OnBehalfOf(entra.OnBehalfOfConfig{Scopes: []string{searchScope}})
	if err != nil {
		t.Fatal(err)
	}
	return obo
}

func TestOnBehalfOfGivesATokenOfThePersonForTheService(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant)
	signIn := signInAs(t, client, tenant, "alice")
	obo := exchange(t, client)
	token, err := obo.Token(t.Context(), entra.Assertion{Token: signIn.Token})
	if err != nil {
		t.Fatal(err)
	}
	claims := claimsOf(t, token)
	want := map[string]any{"oid": entratest.AliceID, "scp": "user_impersonation"}
	if diff := cmp.Diff(want, map[string]any{"oid": claims["oid"], "scp": claims["scp"]}); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(claims["aud"].(string), entratest.SearchURI) {
		t.Errorf("audience: want %s, got %v", entratest.SearchURI, claims["aud"])
	}
	again, err := obo.Token(t.Context(), entra.Assertion{Token: signIn.Token})
	if err != nil || again.Reveal() != token.Reveal() || grants(tenant, oboGrant) != 1 {
		t.Errorf("second call: want the kept token, got %v after %d exchanges", err, grants(tenant, oboGrant))
	}
}

func TestASessionKeepsItsTokensWhileItsAssertionIsRenewed(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant)
	alice, bob := signInAs(t, client, tenant, "alice"), signInAs(t, client, tenant, "bob")
	renewed, err := client.Refresh(t.Context(), alice.State)
	if err != nil {
		t.Fatal(err)
	}
	obo := exchange(t, client)
	first := mustExchange(t, obo, entra.Assertion{Token: alice.Token, Session: "s"})
	second := mustExchange(t, obo, entra.Assertion{Token: renewed.Token, Session: "s"})
	if first.Reveal() != second.Reveal() {
		t.Error("the renewed assertion of the same session was exchanged again")
	}
	// Even if a caller mixes sessions up, nobody gets another person's token.
	if got := claimsOf(t, mustExchange(t, obo, entra.Assertion{Token: bob.Token, Session: "s"}))["oid"]; got != entratest.BobID {
		t.Errorf("bob got a token of %v", got)
	}
	obo.Forget("s")
	if third := mustExchange(t, obo, entra.Assertion{Token: renewed.Token, Session: "s"}); third.Reveal() == first.Reveal() {
		t.Error("a forgotten session still has its token")
	}
}

func mustExchange(t *testing.T, obo *entra.OnBehalfOf, a entra.Assertion) entra.Token {
	t.Helper()
	token, err := obo.Token(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestATokenIsRenewedAheadOfItsEndAndKeptWhileEntraIsDown(t *testing.T) {
	tenant := entratest.Start(t)
	var time0 clock
	client := newClient(t, tenant, func(c *entra.ClientConfig) { c.Now = time0.now })
	signIn := signInAs(t, client, tenant, "alice")
	obo, a := exchange(t, client), entra.Assertion{Token: signIn.Token, Session: "s"}
	first := mustExchange(t, obo, a)
	time0.advance(time.Until(first.Expires()) - 4*time.Minute)
	fresh := refreshAt(t, tenant, client, signIn, time0.offset)

	tenant.FailNext(entratest.Fault{Path: "/token", Status: 503})
	before := grants(tenant, oboGrant)
	for range 3 {
		if got := mustExchange(t, obo, fresh); got.Reveal() != first.Reveal() {
			t.Error("while Entra is down: want the old token, which still works")
		}
	}
	if got := grants(tenant, oboGrant) - before; got != 1 {
		t.Errorf("attempts while Entra is down: want 1, got %d", got)
	}
	time0.advance(40 * time.Second)
	if got := mustExchange(t, obo, fresh); got.Reveal() == first.Reveal() {
		t.Error("four minutes before its end the token was not renewed")
	}
}

// refreshAt moves the tenant's clock along, and gets an assertion that is good at that time.
func refreshAt(t *testing.T, tenant *entratest.Tenant, client *entra.Client, signIn *entra.SignIn, offset time.Duration) entra.Assertion {
	t.Helper()
	tenant.Advance(offset)
	renewed, err := client.Refresh(t.Context(), signIn.State)
	if err != nil {
		t.Fatal(err)
	}
	return entra.Assertion{Token: renewed.Token, Session: "s"}
}

func TestANoIsRememberedBrieflyAndForThatAssertionOnly(t *testing.T) {
	tenant := entratest.Start(t)
	var time0 clock
	client := newClient(t, tenant, func(c *entra.ClientConfig) { c.Now = time0.now })
	signIn := signInAs(t, client, tenant, "alice")
	tenant.Require(entratest.Policy{Resource: entratest.SearchURI, MFA: true})
	obo, a := exchange(t, client), entra.Assertion{Token: signIn.Token, Session: "s"}
	for range 5 {
		_, err := obo.Token(t.Context(), a)
		if claims := wantInteraction(t, err, 50076); claims == "" {
			t.Error("want the claims that the next sign-in must satisfy")
		}
	}
	if got := grants(tenant, oboGrant); got != 1 {
		t.Errorf("exchanges for five callers: want 1, got %d", got)
	}
	tenant.LiftPolicies()
	renewed, err := client.Refresh(t.Context(), signIn.State)
	if err != nil {
		t.Fatal(err)
	}
	mustExchange(t, obo, entra.Assertion{Token: renewed.Token, Session: "s"})

	tenant.Require(entratest.Policy{Resource: entratest.SearchURI, MFA: true})
	other := entra.Assertion{Token: signInAs(t, client, tenant, "bob").Token}
	_, err = obo.Token(t.Context(), other)
	wantInteraction(t, err, 50076)
	tenant.LiftPolicies()
	time0.advance(21 * time.Second)
	mustExchange(t, obo, other)
}

func TestTheClaimsOfAnExchangeAreSatisfiedByTheNextSignIn(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant)
	tenant.Require(entratest.Policy{Resource: entratest.SearchURI, MFA: true})
	obo := exchange(t, client)
	_, err := obo.Token(t.Context(), entra.Assertion{Token: signInAs(t, client, tenant, "alice").Token})
	request := signInRequest()
	request.Claims = wantInteraction(t, err, 50076)
	stronger, err := client.Redeem(t.Context(), redeemRequest(visit(t, client, tenant, "alice", request)))
	if err != nil {
		t.Fatal(err)
	}
	mustExchange(t, obo, entra.Assertion{Token: stronger.Token})
}

func TestMissingConsentNamesThePermissionAndTheWayToGrantIt(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant)
	signIn := signInAs(t, client, tenant, "alice")
	tenant.WithdrawConsent(entratest.GenkanID, entratest.SearchURI)
	_, err := exchange(t, client).Token(t.Context(), entra.Assertion{Token: signIn.Token})
	var consent *entra.ConsentRequiredError
	if !errors.As(err, &consent) {
		t.Fatalf("want *ConsentRequiredError, got %v", err)
	}
	if diff := cmp.Diff([]string{searchScope}, consent.Permissions); diff != "" {
		t.Errorf("permissions (-want +got):\n%s", diff)
	}
	u, err := url.Parse(consent.AdminConsentURL)
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{"client_id": {entratest.GenkanID}, "scope": {searchScope}}
	if diff := cmp.Diff(want, u.Query()); diff != "" || u.Path != "/"+entratest.TenantID+"/v2.0/adminconsent" {
		t.Errorf("admin consent at %s (-want +got):\n%s", u, diff)
	}
	if !strings.Contains(consent.Error(), searchScope) || !strings.Contains(consent.Error(), consent.AdminConsentURL) {
		t.Errorf("want permission and link in %q", consent)
	}
	wantError(t, consent, 65001, entra.Interaction)
}

func TestApplicationsAreRefusedOrServedAsConfigured(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant)
	app, err := tenant.AccessToken("", entratest.GenkanID, entratest.GenkanID)
	if err != nil {
		t.Fatal(err)
	}
	a := entra.Assertion{Token: entra.NewToken(app, time.Now().Add(time.Hour))}
	_, err = exchange(t, client).Token(t.Context(), a)
	wantRefusal(t, err, policy.CheckKind)
	if got := grants(tenant, oboGrant); got != 0 {
		t.Errorf("exchanges: want none, got %d", got)
	}
	serving, err := client.OnBehalfOf(entra.OnBehalfOfConfig{
		Scopes: []string{entratest.GraphURI + "/User.Read"}, Applications: entra.ServeApplicationsAsMyself,
	})
	if err != nil {
		t.Fatal(err)
	}
	token, err := serving.Token(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	if stronger, err := serving.Satisfy(t.Context(), a, `{"access_token":{"xms_cc":{"values":["cp1"]}}}`); err != nil || stronger.Reveal() == token.Reveal() {
		t.Errorf("a challenge: want another token, got %v", err)
	}
	if claims := claimsOf(t, token); claims["oid"] != entratest.GenkanPrincipal || claims["scp"] != nil {
		t.Errorf("want a token of Genkan itself for Graph, got %v", claims)
	}
}

func TestAnAssertionThatEndedIsNotSent(t *testing.T) {
	tenant := entratest.Start(t)
	var time0 clock
	client := newClient(t, tenant, func(c *entra.ClientConfig) { c.Now = time0.now })
	signIn := signInAs(t, client, tenant, "alice")
	time0.advance(3 * time.Hour)
	_, err := exchange(t, client).Token(t.Context(), entra.Assertion{Token: signIn.Token})
	if !errors.Is(err, entra.ErrAssertionEnded) || grants(tenant, oboGrant) != 0 {
		t.Errorf("want ErrAssertionEnded without a request, got %v after %d", err, grants(tenant, oboGrant))
	}
	// The same when only Entra's clock says so.
	sleepy := newClient(t, tenant)
	tenant.Advance(3 * time.Hour)
	_, err = exchange(t, sleepy).Token(t.Context(), entra.Assertion{Token: signIn.Token})
	if !errors.Is(err, entra.ErrAssertionEnded) {
		t.Errorf("want ErrAssertionEnded, got %v", err)
	}
}

func TestAnAssertionForAnotherApplicationIsToldApart(t *testing.T) {
	tenant := entratest.Start(t)
	token, err := tenant.AccessToken("alice", entratest.GenkanToolsID, entratest.GraphURI, "User.Read")
	if err != nil {
		t.Fatal(err)
	}
	obo := exchange(t, newClient(t, tenant))
	_, err = obo.Token(t.Context(), entra.Assertion{Token: entra.NewToken(token, time.Time{})})
	wantError(t, err, 500131, entra.Misuse)
	_, err = obo.Token(t.Context(), entra.Assertion{Token: entra.NewToken("opaque", time.Time{})})
	wantRefusal(t, err, policy.CheckToken)
}

func TestSatisfyPassesByWhatIsKept(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant)
	obo, a := exchange(t, client), entra.Assertion{Token: signInAs(t, client, tenant, "alice").Token, Session: "s"}
	first := mustExchange(t, obo, a)
	_, err := obo.Satisfy(t.Context(), a, `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`)
	if claims := wantInteraction(t, err, 50076); claims == "" {
		t.Error("want the claims of the challenge")
	}
	token, err := obo.Satisfy(t.Context(), a, `{"access_token":{"xms_cc":{"values":["cp1"]}}}`)
	if err != nil || token.Reveal() == first.Reveal() {
		t.Errorf("want another token, got %v", err)
	}
	if kept := mustExchange(t, obo, a); kept.Reveal() != token.Reveal() {
		t.Error("the token that satisfies the challenge was not kept")
	}
	if _, err := obo.Satisfy(t.Context(), a, "c1"); err == nil {
		t.Error("claims that are no JSON: want an error")
	}
}

func TestScopesOfAnExchangeBelongToOneResource(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant)
	for name, scopes := range map[string][]string{
		"none": nil, "bare": {"User.Read"}, "two resources": {searchScope, entratest.GraphURI + "/User.Read"},
		".default among others": {entratest.GraphURI + "/.default", entratest.GraphURI + "/User.Read"}, "two in one": {searchScope + " openid"},
	} {
		if _, err := client.OnBehalfOf(entra.OnBehalfOfConfig{Scopes: scopes}); err == nil {
			t.Errorf("%s: want a mistake", name)
		}
	}
	if _, err := client.OnBehalfOf(entra.OnBehalfOfConfig{Scopes: []string{searchScope}, Applications: 9}); err == nil {
		t.Error("unknown treatment of applications: want a mistake")
	}
}

func TestApplicationTokensAreKept(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant)
	first, err := client.ApplicationToken(t.Context(), entratest.GraphURI)
	if err != nil {
		t.Fatal(err)
	}
	second, err := client.ApplicationToken(t.Context(), entratest.GraphURI+"/.default")
	if err != nil || second.Reveal() != first.Reveal() || grants(tenant, "client_credentials") != 1 {
		t.Errorf("second call: want the kept token, got %v", err)
	}
	if claims := claimsOf(t, first); claims["scp"] != nil || claims["oid"] != entratest.GenkanPrincipal {
		t.Errorf("want a token of the application itself, got %v", claims)
	}
	for _, resource := range []string{"", "/.default", "two words"} {
		if _, err := client.ApplicationToken(t.Context(), resource); err == nil {
			t.Errorf("resource %q: want a mistake", resource)
		}
	}
	_, err = client.ApplicationToken(t.Context(), "api://nobody")
	wantError(t, err, 500011, entra.Misuse)
}
