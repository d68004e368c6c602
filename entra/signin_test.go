package entra_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
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

func TestSignInTellsWhoCameAndRefreshAsksAgain(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant)
	signIn := signInAs(t, client, tenant, "alice")
	want := policy.Identity{
		Tenant: entratest.TenantID, Object: entratest.AliceID, Kind: policy.Person, Client: entratest.GenkanID,
		Roles: []string{"Weather.Read", "Weather.Write"}, Scopes: []string{"access_as_user"},
		Name: "Alice Arai", Username: "alice@contoso.example",
	}
	got := signIn.Identity
	if len(got.Groups) != 2 {
		t.Errorf("groups: want two, got %v", got.Groups)
	}
	got.Groups = nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	again, err := client.Refresh(t.Context(), signIn.State)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(signIn.Identity, again.Identity); diff != "" {
		t.Errorf("identity after refresh (-before +after):\n%s", diff)
	}
	if again.Token.Reveal() == signIn.Token.Reveal() || grants(tenant, "refresh_token") != 1 {
		t.Error("the refresh did not ask Entra")
	}
	kept, err := client.AccessToken(again.State)
	if err != nil || kept.Reveal() != again.Token.Reveal() {
		t.Errorf("the state does not hold the new access token: %v", err)
	}
}

// An app whose manifest says nothing gets tokens of version 1, whatever endpoint the client uses.
func TestAnApplicationWithTokensOfVersionOneSignsIn(t *testing.T) {
	for _, uri := range []string{entratest.GenkanURI, "api://contoso.example/genkan"} {
		tenant := entratest.Start(t)
		tenant.Change(func(d *entratest.Directory) { genkan(d).TokenVersion, genkan(d).URIs = 0, []string{uri} })
		client := newClient(t, tenant, func(c *entra.ClientConfig) { c.AppIDURI = uri })
		signIn := signInAs(t, client, tenant, "alice")
		verified, err := client.Verifier().Verify(t.Context(), signIn.Token.Reveal())
		if err != nil || verified.Version != "1.0" || verified.Identity.Key() != entratest.TenantID+"/"+entratest.AliceID {
			t.Errorf("%s: want alice by a token of version 1, got %+v, %v", uri, verified, err)
		}
		if diff := cmp.Diff([]string{"Weather.Read", "Weather.Write"}, signIn.Identity.Roles); diff != "" {
			t.Errorf("%s: roles (-want +got):\n%s", uri, diff)
		}
		again, err := client.Refresh(t.Context(), signIn.State)
		if err != nil {
			t.Fatal(err)
		}
		mustExchange(t, exchange(t, client), entra.Assertion{Token: again.Token})
	}
}

func TestEachRefreshAsksEntraAndReadsRolesAnew(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant)
	signIn := signInAs(t, client, tenant, "alice")
	state := signIn.State
	tenant.Unassign(entratest.GenkanID, "alice", "Weather.Write")
	for i := range 3 {
		again, err := client.Refresh(t.Context(), state)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"Weather.Read"}, again.Identity.Roles); diff != "" {
			t.Errorf("roles (-want +got):\n%s", diff)
		}
		if got := grants(tenant, "refresh_token"); got != i+1 {
			t.Errorf("refreshes at Entra: want %d, got %d", i+1, got)
		}
		state = entra.NewState(bytes.Clone(again.State.Reveal()))
	}
	// A caller who could not store the new state goes on with the old one.
	if _, err := client.Refresh(t.Context(), signIn.State); err != nil {
		t.Errorf("refresh with the first state: %v", err)
	}
}

func TestTheSignInAddressHasAllThatProtectsIt(t *testing.T) {
	tenant := entratest.Start(t)
	request := signInRequest()
	request.Prompt, request.LoginHint, request.MaxAge = "select_account", "alice@contoso.example", time.Minute
	request.Claims = `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`
	address, err := newClient(t, tenant).AuthCodeURL(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := u.Scheme+"://"+u.Host+u.Path, tenant.URL+"/"+entratest.TenantID+"/oauth2/v2.0/authorize"; got != want {
		t.Errorf("address: want %s, got %s", want, got)
	}
	challenge := sha256.Sum256([]byte(request.Verifier))
	want := url.Values{
		"client_id": {entratest.GenkanID}, "response_type": {"code"}, "response_mode": {"query"}, "redirect_uri": {callback},
		"scope": {entratest.GenkanID + "/access_as_user openid profile offline_access"}, "state": {"the-state"}, "nonce": {"the-nonce"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
		"prompt": {"select_account"}, "login_hint": {"alice@contoso.example"}, "claims": {request.Claims}, "max_age": {"60"},
	}
	if diff := cmp.Diff(want, u.Query()); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
}

// Entra refuses a resource parameter in most cases (AADSTS9010010, AADSTS901002, AADSTS90009).
func TestNoResourceParameterIsEverSent(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant)
	signIn := signInAs(t, client, tenant, "alice")
	if _, err := client.Refresh(t.Context(), signIn.State); err != nil {
		t.Fatal(err)
	}
	if _, err := exchange(t, client).Token(t.Context(), entra.Assertion{Token: signIn.Token}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/token", "/authorize"} {
		for _, call := range tenant.Calls(path) {
			if call.Resource != "" {
				t.Errorf("%s: want no resource, got %q", call.Path, call.Resource)
			}
			if call.Grant == "refresh_token" && !strings.Contains(call.Scope, entratest.GenkanID+"/access_as_user") {
				t.Errorf("refresh without its scope: %q", call.Scope)
			}
		}
	}
}

func TestASignInThatLacksItsProtectionIsNotStarted(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant)
	for name, change := range map[string]func(*entra.SignInRequest){
		"no state":         func(r *entra.SignInRequest) { r.State = "" },
		"no nonce":         func(r *entra.SignInRequest) { r.Nonce = "" },
		"no verifier":      func(r *entra.SignInRequest) { r.Verifier = "" },
		"short verifier":   func(r *entra.SignInRequest) { r.Verifier = "short" },
		"no redirect URI":  func(r *entra.SignInRequest) { r.RedirectURI = "" },
		"unknown prompt":   func(r *entra.SignInRequest) { r.Prompt = "maybe" },
		"claims not JSON":  func(r *entra.SignInRequest) { r.Claims = "c1" },
		"claims in base64": func(r *entra.SignInRequest) { r.Claims = "eyJhY2Nlc3NfdG9rZW4iOnt9fQ==" },
	} {
		request := signInRequest()
		change(&request)
		if address, err := client.AuthCodeURL(t.Context(), request); err == nil {
			t.Errorf("%s: want a mistake, got %s", name, address)
		}
	}
}

func TestWhatEntraHasAgainstACodeIsTold(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant)
	for _, c := range []struct {
		name    string
		prepare func(*entra.RedeemRequest)
		code    int
		reason  entra.Reason
	}{
		{"used before", func(r *entra.RedeemRequest) {
			if _, err := client.Redeem(t.Context(), *r); err != nil {
				t.Fatal(err)
			}
		}, 54005, entra.Ended},
		{"too late", func(*entra.RedeemRequest) { tenant.Advance(11 * time.Minute) }, 70008, entra.Ended},
		{"another verifier", func(r *entra.RedeemRequest) { r.Verifier = strings.Repeat("w", 43) }, 501481, entra.Ended},
		{"another redirect URI", func(r *entra.RedeemRequest) { r.RedirectURI = "http://localhost:8080/console/callback" }, 500112, entra.Misuse},
		{"not a code", func(r *entra.RedeemRequest) { r.Code = "not-a-code" }, 70000, entra.Ended},
	} {
		t.Run(c.name, func(t *testing.T) {
			request := redeemRequest(visit(t, client, tenant, "alice", signInRequest()))
			c.prepare(&request)
			_, err := client.Redeem(t.Context(), request)
			wantError(t, err, c.code, c.reason)
		})
	}
}

func TestAnotherNonceIsRefused(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant)
	request := redeemRequest(visit(t, client, tenant, "alice", signInRequest()))
	request.Nonce = "another"
	_, err := client.Redeem(t.Context(), request)
	wantRefusal(t, err, policy.CheckToken)
}

func TestAStateThatCantBeReadEndsTheSignIn(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant)
	good := signInAs(t, client, tenant, "alice").State.Reveal()
	for name, state := range map[string][]byte{
		"nothing": nil, "no JSON": []byte("x"), "empty": []byte("{}"), "cut off": good[:len(good)/2],
		"another version": bytes.Replace(good, []byte(`"v":1`), []byte(`"v":2`), 1),
		"another account": bytes.Replace(good, []byte(`"account":"`), []byte(`"account":"x`), 1),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := client.Refresh(t.Context(), entra.NewState(state))
			wantError(t, err, 0, entra.Ended)
		})
	}
	if _, err := client.AccessToken(entra.NewState([]byte("{}"))); err == nil {
		t.Error("access token of an empty state: want an error")
	}
}

func TestNewClientReportsEveryMistake(t *testing.T) {
	_, err := entra.NewClient(entra.ClientConfig{Tenant: "contoso.example", ClientID: "genkan", Scope: "api://x/y", Groups: noGroups{}, IgnoreGroups: true})
	if err == nil {
		t.Fatal("want mistakes, got none")
	}
	for _, word := range []string{"tenant:", "client ID:", "scope:", "groups:"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("want a mistake about %s in %q", word, err)
		}
	}
	_, err = entra.NewClient(entra.ClientConfig{Tenant: entratest.TenantID, ClientID: entratest.GenkanID})
	if err == nil || !strings.Contains(err.Error(), "credential:") {
		t.Errorf("no credential: want a mistake, got %v", err)
	}
}

func TestDiscoveryIsAskedOnceAnHourAndKeptWhileEntraIsDown(t *testing.T) {
	tenant := entratest.Start(t)
	var time0 clock
	client := newClient(t, tenant, func(c *entra.ClientConfig) { c.Now = time0.now })
	state := signInAs(t, client, tenant, "alice").State
	refresh := func(after time.Duration) {
		t.Helper()
		time0.advance(after)
		tenant.Advance(after)
		if _, err := client.Refresh(t.Context(), state); err != nil {
			t.Error(err)
		}
	}
	refresh(time.Minute)
	if got := len(tenant.Calls("/openid-configuration")); got != 1 {
		t.Errorf("discovery documents fetched: want 1, got %d", got)
	}
	refresh(time.Hour)
	if got := len(tenant.Calls("/openid-configuration")); got != 2 {
		t.Errorf("after an hour: want 2, got %d", got)
	}
	tenant.FailNext(entratest.Fault{Path: "/openid-configuration", Status: 503, Times: -1})
	refresh(2 * time.Hour)
	tenant.ClearFaults()
	tenant.FailNext(entratest.Fault{Path: "/openid-configuration", Drop: true, Times: -1})
	refresh(time.Minute)
}

func TestSigningInTakesNoLongerThanTheCallerWaits(t *testing.T) {
	tenant := entratest.Start(t)
	client := newClient(t, tenant)
	signIn := signInAs(t, client, tenant, "alice")
	tenant.FailNext(entratest.Fault{Path: "/token", Delay: time.Minute})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := client.Refresh(ctx, signIn.State)
	wantError(t, err, 0, entra.Unavailable)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("want the deadline as cause, got %v", err)
	}
}
