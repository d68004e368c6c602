package entraid_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/entratest"
	"github.com/genkan-mcp/genkan/internal/idp"
	"github.com/genkan-mcp/genkan/internal/idp/entraid"
	"github.com/genkan-mcp/genkan/policy"
)

const callback = "http://localhost:8080/callback"

func newProvider(t *testing.T, tenant *entratest.Tenant) *entraid.Provider {
	t.Helper()
	cloud, err := entra.DevCloud(tenant.URL)
	if err != nil {
		t.Fatal(err)
	}
	client, err := entra.NewClient(entra.ClientConfig{
		Cloud: cloud, Tenant: entratest.TenantID, ClientID: entratest.GenkanID, Credential: entra.Secret(entratest.GenkanSecret),
	})
	if err != nil {
		t.Fatal(err)
	}
	provider, err := entraid.New(client)
	if err != nil {
		t.Fatal(err)
	}
	return provider
}

func request() idp.Request {
	return idp.Request{State: "state", Nonce: "nonce", Verifier: strings.Repeat("v", 43), RedirectURI: callback, MaxAge: -1}
}

func visit(t *testing.T, provider *entraid.Provider, tenant *entratest.Tenant, who string, r idp.Request) idp.Callback {
	t.Helper()
	address, err := provider.AuthorizeURL(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := tenant.SignIn(address, who)
	if err != nil {
		t.Fatal(err)
	}
	return idp.Callback{Code: answer.Params.Get("code"), Nonce: r.Nonce, Verifier: r.Verifier, RedirectURI: r.RedirectURI}
}

func signIn(t *testing.T, provider *entraid.Provider, tenant *entratest.Tenant, who string) idp.SignIn {
	t.Helper()
	signIn, err := provider.Redeem(t.Context(), visit(t, provider, tenant, who, request()))
	if err != nil {
		t.Fatal(err)
	}
	return signIn
}

func TestSignInAndRefreshTellWhoItIs(t *testing.T) {
	tenant := entratest.Start(t)
	provider := newProvider(t, tenant)
	came := signIn(t, provider, tenant, "bob")
	if came.Identity.Key() != entratest.TenantID+"/"+entratest.BobID || !came.Identity.HasRole("Weather.Read") || came.Identity.Kind != policy.Person {
		t.Errorf("want bob with his role, got %+v", came.Identity)
	}
	tenant.Assign(entratest.GenkanID, "bob", "Weather.Write")
	again, err := provider.Refresh(t.Context(), came.Upstream)
	if err != nil || !again.Identity.HasRole("Weather.Write") {
		t.Errorf("refresh: want the new role, got %+v, %v", again.Identity, err)
	}
	if _, err := provider.Refresh(t.Context(), again.Upstream); err != nil {
		t.Errorf("refresh of a refresh: %v", err)
	}
}

func TestTheRequestReachesEntra(t *testing.T) {
	tenant := entratest.Start(t)
	provider := newProvider(t, tenant)
	for name, c := range map[string]struct {
		change         func(*idp.Request)
		prompt, maxAge string
	}{
		"any earlier sign-in":        {func(*idp.Request) {}, "", ""},
		"a young one":                {func(r *idp.Request) { r.MaxAge = 5 * time.Minute }, "", "300"},
		"none":                       {func(r *idp.Request) { r.MaxAge = 0 }, "login", ""},
		"none, and a choice":         {func(r *idp.Request) { r.MaxAge, r.Prompt = 0, "select_account" }, "select_account", ""},
		"consent, as the client has": {func(r *idp.Request) { r.Prompt = "consent" }, "consent", ""},
	} {
		r := request()
		r.LoginHint, r.Claims = "bob@contoso.example", `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`
		c.change(&r)
		address, err := provider.AuthorizeURL(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		got := u.Query()
		want := map[string]string{"prompt": c.prompt, "max_age": c.maxAge, "login_hint": r.LoginHint, "claims": r.Claims, "resource": "", "state": "state", "nonce": "nonce"}
		for key, value := range want {
			if got.Get(key) != value {
				t.Errorf("%s: %s: want %q, got %q", name, key, value, got.Get(key))
			}
		}
	}
}

func TestFailuresAreSortedIntoWhatToDo(t *testing.T) {
	for _, c := range []struct {
		name   string
		strike func(*entratest.Tenant)
		want   idp.Error
	}{
		{"disabled", func(n *entratest.Tenant) { n.Disable("alice") }, idp.Error{Problem: idp.Ended}},
		{"revoked", func(n *entratest.Tenant) { n.SignOut("alice") }, idp.Error{Problem: idp.Ended}},
		{"expired", func(n *entratest.Tenant) { n.Advance(91 * 24 * time.Hour) }, idp.Error{Problem: idp.Ended}},
		{"not assigned", func(n *entratest.Tenant) { n.FailNext(entratest.Fault{Path: "/token", Code: 50105}) }, idp.Error{Problem: idp.Denied}},
		{"declined", func(n *entratest.Tenant) { n.FailNext(entratest.Fault{Path: "/token", Code: 65004}) }, idp.Error{Problem: idp.Denied}},
		{"challenge", func(n *entratest.Tenant) {
			n.FailNext(entratest.Fault{Path: "/token", Code: 50076, Claims: `{"access_token":{}}`})
		}, idp.Error{Problem: idp.Interaction, Claims: `{"access_token":{}}`}},
		{"sign-in frequency", func(n *entratest.Tenant) {
			n.FailNext(entratest.Fault{Path: "/token", Code: 70043})
		}, idp.Error{Problem: idp.Interaction}},
		{"down", func(n *entratest.Tenant) { n.FailNext(entratest.Fault{Path: "/token", Status: 503}) }, idp.Error{Problem: idp.Unavailable}},
		{"throttled", func(n *entratest.Tenant) {
			n.FailNext(entratest.Fault{Path: "/token", Status: 429, RetryAfter: 9 * time.Second})
		}, idp.Error{Problem: idp.Unavailable, RetryAfter: 9 * time.Second}},
		{"hung up", func(n *entratest.Tenant) { n.FailNext(entratest.Fault{Path: "/token", Drop: true}) }, idp.Error{Problem: idp.Unavailable}},
		{"secret expired", func(n *entratest.Tenant) { n.ExpireSecrets(entratest.GenkanID) }, idp.Error{Problem: idp.Misuse}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tenant := entratest.Start(t)
			provider := newProvider(t, tenant)
			came := signIn(t, provider, tenant, "alice")
			c.strike(tenant)
			_, err := provider.Refresh(t.Context(), came.Upstream)
			wantProblem(t, err, c.want)
		})
	}
}

func wantProblem(t *testing.T, err error, want idp.Error) {
	t.Helper()
	var got *idp.Error
	if !errors.As(err, &got) {
		t.Fatalf("want *idp.Error, got %T: %v", err, err)
	}
	if got.Description == "" || got.Cause == nil || strings.Contains(got.Description, "Trace ID") {
		t.Errorf("want a description of our own and a cause, got %+v", got)
	}
	if diff := cmp.Diff(want, idp.Error{Problem: got.Problem, Claims: got.Claims, RetryAfter: got.RetryAfter}); diff != "" {
		t.Errorf("error (-want +got):\n%s\n%v", diff, err)
	}
}

func TestAStolenCodeIsDeniedAndAUsedOneEnds(t *testing.T) {
	tenant := entratest.Start(t)
	provider := newProvider(t, tenant)
	stolen := visit(t, provider, tenant, "alice", request())
	stolen.Nonce = "of another browser"
	_, err := provider.Redeem(t.Context(), stolen)
	wantProblem(t, err, idp.Error{Problem: idp.Denied})
	used := visit(t, provider, tenant, "alice", request())
	if _, err := provider.Redeem(t.Context(), used); err != nil {
		t.Fatal(err)
	}
	_, err = provider.Redeem(t.Context(), used)
	wantProblem(t, err, idp.Error{Problem: idp.Ended})
	_, err = provider.Redeem(t.Context(), idp.Callback{})
	wantProblem(t, err, idp.Error{Problem: idp.Misuse})
}

func TestUnreadableTokensEndTheSession(t *testing.T) {
	_, err := newProvider(t, entratest.Start(t)).Refresh(t.Context(), []byte("not ours"))
	var got *idp.Error
	if !errors.As(err, &got) || got.Problem != idp.Ended {
		t.Errorf("want the session ended, got %v", err)
	}
}

func TestAMistakenRequestIsMisuse(t *testing.T) {
	provider := newProvider(t, entratest.Start(t))
	_, err := provider.AuthorizeURL(t.Context(), idp.Request{})
	var got *idp.Error
	if !errors.As(err, &got) || got.Problem != idp.Misuse {
		t.Errorf("want misuse, got %v", err)
	}
	if _, err := entraid.New(nil); err == nil {
		t.Error("no client: want a mistake")
	}
}
