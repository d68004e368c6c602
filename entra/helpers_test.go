package entra_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/entratest"
)

const callback = "http://localhost:8080/callback"

// newClient makes Genkan's own client of the tenant; change adjusts its configuration.
func newClient(t testing.TB, tenant *entratest.Tenant, change ...func(*entra.ClientConfig)) *entra.Client {
	t.Helper()
	config := entra.ClientConfig{
		Cloud: devCloud(t, tenant), Tenant: entratest.TenantID, ClientID: entratest.GenkanID,
		Credential: entra.Secret(entratest.GenkanSecret),
	}
	for _, c := range change {
		c(&config)
	}
	client, err := entra.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func devCloud(t testing.TB, tenant *entratest.Tenant) entra.Cloud {
	t.Helper()
	cloud, err := entra.DevCloud(tenant.URL)
	if err != nil {
		t.Fatal(err)
	}
	return cloud
}

func signInRequest() entra.SignInRequest {
	return entra.SignInRequest{RedirectURI: callback, State: "the-state", Nonce: "the-nonce", Verifier: strings.Repeat("v", 43)}
}

// visit starts a sign-in and walks through it as somebody would.
func visit(t testing.TB, client *entra.Client, tenant *entratest.Tenant, who string, request entra.SignInRequest) *entratest.Answer {
	t.Helper()
	address, err := client.AuthCodeURL(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := tenant.SignIn(address, who)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func redeemRequest(answer *entratest.Answer) entra.RedeemRequest {
	r := signInRequest()
	return entra.RedeemRequest{Code: answer.Params.Get("code"), RedirectURI: callback, Nonce: r.Nonce, Verifier: r.Verifier}
}

func signInAs(t testing.TB, client *entra.Client, tenant *entratest.Tenant, who string) *entra.SignIn {
	t.Helper()
	signIn, err := client.Redeem(t.Context(), redeemRequest(visit(t, client, tenant, who, signInRequest())))
	if err != nil {
		t.Fatal(err)
	}
	return signIn
}

// wantError fails the test unless err is an *entra.Error with this code and reason, and a remedy.
func wantError(t testing.TB, err error, code int, reason entra.Reason) *entra.Error {
	t.Helper()
	var failure *entra.Error
	if !errors.As(err, &failure) {
		t.Fatalf("want AADSTS%d, got %v", code, err)
	}
	if failure.Code != code || failure.Reason != reason || failure.Remedy == "" {
		t.Errorf("want AADSTS%d with reason %s and a remedy, got %+v", code, reason, failure)
	}
	return failure
}

// wantInteraction fails the test unless the person must sign in again; it returns the claims.
func wantInteraction(t testing.TB, err error, code int) string {
	t.Helper()
	wantError(t, err, code, entra.Interaction)
	var interaction *entra.InteractionRequiredError
	if !errors.As(err, &interaction) {
		t.Fatalf("want *InteractionRequiredError, got %T: %v", err, err)
	}
	return interaction.Claims
}

// claimsOf reads a token without looking at its signature.
func claimsOf(t testing.TB, token entra.Token) map[string]any {
	t.Helper()
	_, payload, _ := parts(token.Reveal())
	raw, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// grants counts the token requests with that grant_type.
func grants(tenant *entratest.Tenant, grant string) int {
	n := 0
	for _, call := range tenant.Calls("/token") {
		if call.Grant == grant {
			n++
		}
	}
	return n
}

// clock is a time that a test moves.
type clock struct {
	mu     sync.Mutex
	offset time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset)
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}

// altered changes answers on their way, as a broken or hostile Entra would.
type altered func(*http.Request, *http.Response)

func (a altered) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		a(r, response)
	}
	return response, err
}
