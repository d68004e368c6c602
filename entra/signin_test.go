package entra_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/entratest"
	"github.com/genkan-mcp/genkan/policy"
)

const callback = "http://localhost:8080/callback"

func TestSignInTellsWhoCameAndRefreshAsksAgain(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant)
	signIn := signInAs(t, client, tenant, "alice")
	want := policy.Identity{
		Tenant: entratest.TenantID, Object: entratest.AliceID, Kind: policy.Person, Client: entratest.GenkanID,
		Roles: []string{"Weather.Read", "Weather.Write"}, Scopes: []string{"access_as_user"},
	}
	got := signIn.Identity
	got.Name, got.Username, got.Groups = "", "", nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	again, err := client.Refresh(t.Context(), signIn.State)
	if err != nil {
		t.Fatal(err)
	}
	got = again.Identity
	got.Name, got.Username, got.Groups = "", "", nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("identity after refresh (-want +got):\n%s", diff)
	}
	if again.Token.Reveal() == signIn.Token.Reveal() {
		t.Error("the refresh returned the old access token: Entra was not asked")
	}
}

func newClient(t *testing.T, tenant *entratest.Tenant) *entra.Client {
	t.Helper()
	client, err := entra.NewClient(entra.ClientConfig{
		Cloud: devCloud(t, tenant), Tenant: entratest.TenantID, ClientID: entratest.GenkanID,
		Credential: entra.Secret(entratest.GenkanSecret),
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func devCloud(t *testing.T, tenant *entratest.Tenant) entra.Cloud {
	t.Helper()
	cloud, err := entra.DevCloud(tenant.URL)
	if err != nil {
		t.Fatal(err)
	}
	return cloud
}

func signInAs(t *testing.T, client *entra.Client, tenant *entratest.Tenant, who string) *entra.SignIn {
	t.Helper()
	request := entra.SignInRequest{RedirectURI: callback, State: "state", Nonce: "nonce-" + who, Verifier: strings.Repeat("v", 43)}
	address, err := client.AuthCodeURL(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := tenant.SignIn(address, who)
	if err != nil {
		t.Fatal(err)
	}
	signIn, err := client.Redeem(context.Background(), entra.RedeemRequest{
		Code: answer.Params.Get("code"), RedirectURI: callback, Nonce: request.Nonce, Verifier: request.Verifier,
	})
	if err != nil {
		t.Fatal(err)
	}
	return signIn
}
