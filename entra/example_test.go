package entra_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/entratest"
)

// contoso is a tenant for an example: alice, bob and the others live there. In production there is no such thing to
// start: leave Cloud zero, and give the IDs of your own tenant and application.
func contoso() (tenant *entratest.Tenant, cloud entra.Cloud, stop func()) {
	tenant, err := entratest.New(entratest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	server := httptest.NewServer(tenant)
	tenant.URL = server.URL
	cloud, err = entra.DevCloud(server.URL)
	if err != nil {
		log.Fatal(err)
	}
	return tenant, cloud, server.Close
}

// An API asks who a bearer token speaks for.
func ExampleVerifier_Verify() {
	tenant, cloud, stop := contoso()
	defer stop()
	verifier, err := entra.NewVerifier(entra.VerifierConfig{
		Cloud:     cloud,
		Tenants:   []string{entratest.TenantID},
		Audiences: entra.AudiencesOf(entratest.GenkanID),
		Scopes:    []string{entra.DefaultScope},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, resource := range []string{entratest.GenkanURI, entratest.SearchURI} {
		bearer, err := tenant.AccessToken("alice", entratest.GenkanToolsID, resource)
		if err != nil {
			log.Fatal(err)
		}
		verified, err := verifier.Verify(context.Background(), bearer)
		var refusal *entra.Refusal
		switch {
		case err == nil:
			fmt.Println("let in:", verified.Identity.Username, verified.Identity.Roles)
		case errors.As(err, &refusal):
			fmt.Println("401:", refusal.Check, "got", refusal.Got)
		default:
			fmt.Println("503:", err)
		}
	}
	// Output:
	// let in: alice@contoso.example [Weather.Read Weather.Write]
	// 401: audience got "https://search.azure.com"
}

// A person wonders why a token is refused.
func ExampleVerifier_Explain() {
	tenant, cloud, stop := contoso()
	defer stop()
	verifier, err := entra.NewVerifier(entra.VerifierConfig{
		Cloud: cloud, Tenants: []string{entratest.TenantID}, Audiences: entra.AudiencesOf(entratest.GenkanID), Scopes: []string{"Mail.Send"},
	})
	if err != nil {
		log.Fatal(err)
	}
	bearer, err := tenant.AccessToken("alice", entratest.GenkanToolsID, entratest.GenkanURI)
	if err != nil {
		log.Fatal(err)
	}
	for _, row := range verifier.Explain(context.Background(), bearer) {
		if !row.Passed {
			fmt.Printf("%s: wanted %s, got %s\n%s\n", row.Check, row.Wanted, row.Got, row.Remedy)
		}
	}
	// Output:
	// scope: wanted Mail.Send, got "access_as_user"
	// Ask Entra for a token with the wanted scope, and have it consented to.
}

// A web application signs somebody in, and asks Entra again later.
func ExampleClient() {
	tenant, cloud, stop := contoso()
	defer stop()
	ctx := context.Background()
	client, err := entra.NewClient(entra.ClientConfig{
		Cloud:      cloud,
		Tenant:     entratest.TenantID,
		ClientID:   entratest.GenkanID,
		Credential: entra.Secret(entratest.GenkanSecret), // in production: entra.ManagedIdentity("")
	})
	if err != nil {
		log.Fatal(err)
	}
	// Random for each visit, and bound to the browser by a cookie until it comes back.
	visit := entra.SignInRequest{
		RedirectURI: "http://localhost:8080/callback", State: "random", Nonce: "random", Verifier: strings.Repeat("random", 8),
	}
	address, err := client.AuthCodeURL(ctx, visit)
	if err != nil {
		log.Fatal(err)
	}
	answer, err := tenant.SignIn(address, "alice") // alice's browser, and alice
	if err != nil {
		log.Fatal(err)
	}
	signIn, err := client.Redeem(ctx, entra.RedeemRequest{
		Code: answer.Params.Get("code"), RedirectURI: visit.RedirectURI, Nonce: visit.Nonce, Verifier: visit.Verifier,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("came in:", signIn.Identity.Name, signIn.Identity.Roles)

	tenant.Disable("alice")
	_, err = client.Refresh(ctx, signIn.State)
	var failure *entra.Error
	if errors.As(err, &failure) {
		fmt.Printf("an hour later: %s: %s\n", failure.Reason, failure.Remedy)
	}
	// Output:
	// came in: Alice Arai [Weather.Read Weather.Write]
	// an hour later: ended: The account is disabled: have an administrator enable it.
}

// An API calls another service as the person who called it. What to do about each failure depends on its type.
func ExampleOnBehalfOf() {
	tenant, cloud, stop := contoso()
	defer stop()
	ctx := context.Background()
	client, err := entra.NewClient(entra.ClientConfig{
		Cloud: cloud, Tenant: entratest.TenantID, ClientID: entratest.GenkanID, Credential: entra.Secret(entratest.GenkanSecret),
	})
	if err != nil {
		log.Fatal(err)
	}
	search, err := client.OnBehalfOf(entra.OnBehalfOfConfig{Scopes: []string{"https://search.azure.com/user_impersonation"}})
	if err != nil {
		log.Fatal(err)
	}
	bearer, err := tenant.AccessToken("alice", entratest.GenkanToolsID, entratest.GenkanURI)
	if err != nil {
		log.Fatal(err)
	}
	caller := entra.Assertion{Token: entra.NewToken(bearer, time.Now().Add(time.Hour))} // verified before

	call := func() {
		token, err := search.Token(ctx, caller)
		var interaction *entra.InteractionRequiredError
		var consent *entra.ConsentRequiredError
		switch {
		case err == nil:
			fmt.Println("call the service with", token) // token.Reveal() goes into the header
		case errors.As(err, &interaction):
			fmt.Println("the person must sign in again, with claims:", interaction.Claims != "")
		case errors.As(err, &consent):
			fmt.Println("an administrator must grant", consent.Permissions)
		case errors.Is(err, entra.ErrAssertionEnded):
			fmt.Println("refresh the sign-in, then try again")
		default:
			fmt.Println(err)
		}
	}
	call()
	tenant.WithdrawConsent(entratest.GenkanID, entratest.SearchURI)
	caller.Session = "a session that has no token yet"
	call()
	// Output:
	// call the service with [token]
	// an administrator must grant [https://search.azure.com/user_impersonation]
}

// A service reads a person's profile on their behalf, and knows how old it is.
func ExampleGraph_Me() {
	tenant, cloud, stop := contoso()
	defer stop()
	client, err := entra.NewClient(entra.ClientConfig{
		Cloud: cloud, Tenant: entratest.TenantID, ClientID: entratest.GenkanID, Credential: entra.Secret(entratest.GenkanSecret),
	})
	if err != nil {
		log.Fatal(err)
	}
	graph, err := client.Graph(entra.GraphConfig{ReadAge: time.Minute})
	if err != nil {
		log.Fatal(err)
	}
	bearer, err := tenant.AccessToken("bob", entratest.GenkanToolsID, entratest.GenkanURI)
	if err != nil {
		log.Fatal(err)
	}
	profile, age, err := graph.Me(context.Background(), entra.Assertion{Token: entra.NewToken(bearer, time.Now().Add(time.Hour))})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(profile.Name, "-", profile.JobTitle, "- as of", age, "ago")
	// Output:
	// Bob Brandt - Event planner - as of 0s ago
}

// A program on somebody's desk gets a token: silently if it can, with a code on another device if there is no browser.
func ExampleTerminal_Token() {
	tenant, cloud, stop := contoso()
	defer stop()
	terminal, err := entra.NewTerminal(entra.TerminalConfig{
		Cloud:       cloud,
		Tenant:      entratest.TenantID,
		ClientID:    entratest.GenkanToolsID,
		Scopes:      []string{entratest.GenkanURI + "/access_as_user"},
		OpenBrowser: func(string) error { return errors.New("no display") }, // leave it out to use the system's
		ShowCode: func(code entra.DeviceCode) {
			fmt.Println("enter a code of", len(code.Code), "characters")
			if err := tenant.Browser("alice").EnterCode(code.Code); err != nil { // alice, on her telephone
				log.Fatal(err)
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := terminal.Token(context.Background()); err != nil {
		log.Fatal(err)
	}
	token, err := terminal.Token(context.Background())
	fmt.Println("the second time without a question:", token, err)
	// Output:
	// enter a code of 9 characters
	// the second time without a question: [token] <nil>
}

// Entra's numbers, in one sentence each.
func ExampleRemedy() {
	fmt.Println(entra.Remedy(9010010))
	// Output:
	// The resource parameter does not match the scopes: bind it in your own tokens and don't forward it.
}
