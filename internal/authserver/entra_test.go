package authserver_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/entratest"
	"github.com/genkan-mcp/genkan/internal/authserver"
	"github.com/genkan-mcp/genkan/internal/idp/entraid"
	"github.com/genkan-mcp/genkan/internal/oauth"
)

// newEntraHouse is a house in front of a real tenant of ours: MSAL, real tokens, real pages.
func newEntraHouse(t *testing.T) (*house, *entratest.Tenant) {
	t.Helper()
	tenant := entratest.Start(t)
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
	h := newHouse(t, func(c *authserver.Config) {
		local := strings.Replace(c.Issuer, "127.0.0.1", "localhost", 1) // the redirect URI that the tenant knows
		for i := range c.Servers {
			c.Servers[i].Resource = strings.Replace(c.Servers[i].Resource, c.Issuer, local, 1)
		}
		c.Issuer = local
		if c.Provider, err = entraid.New(client); err != nil {
			t.Fatal(err)
		}
	})
	return h, tenant
}

// signInAt goes by the consent page and the tenant's own pages to the client's redirect.
func (b *browser) signInAt(tenant *entratest.Browser, authorize string) answer {
	b.t.Helper()
	form := b.open(authorize).consentForm(b.t)
	form.Set("decision", "allow")
	return b.visit(tenant, b.submit("/consent", form).onward(b.t).String())
}

func (b *browser) visit(tenant *entratest.Browser, address string) answer {
	b.t.Helper()
	back, err := tenant.Visit(address)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.get(back.RedirectURI + "?" + back.Params.Encode())
}

func TestAPersonOfEntraSignsInAndStaysSignedIn(t *testing.T) {
	h, tenant := newEntraHouse(t)
	c, b := h.register(nil), h.browser()
	code := b.signInAt(tenant.Browser("alice"), c.authorizeURL()).location(t).Query().Get("code")
	first := c.redeem(code).tokens(t)
	tenant.Unassign("Genkan", "alice", "Weather.Write")
	second := c.refresh(first.refresh).tokens(t)
	g, err := h.grants.Check(t.Context(), second.access, h.resource("weather"))
	if err != nil {
		t.Fatal(err)
	}
	if g.Identity.Key() != entratest.TenantID+"/"+entratest.AliceID || !g.Identity.HasRole("Weather.Read") || g.Identity.HasRole("Weather.Write") {
		t.Errorf("after a role was taken away: %+v", g.Identity)
	}
}

func TestEntraHavingABadMomentEndsNothing(t *testing.T) {
	h, tenant := newEntraHouse(t)
	c, b := h.register(nil), h.browser()
	code := b.signInAt(tenant.Browser("alice"), c.authorizeURL()).location(t).Query().Get("code")
	first := c.redeem(code).tokens(t)
	tenant.FailNext(entratest.Fault{Path: "/token", Status: http.StatusServiceUnavailable, Times: -1})
	a := c.refresh(first.refresh)
	a.wantError(t, "outage", http.StatusServiceUnavailable, oauth.TemporarilyUnavailable)
	if a.Header.Get("Retry-After") == "" {
		t.Error("an outage says nothing about when to try again")
	}
	if !h.works(first.access, "weather") {
		t.Error("an outage ended the session")
	}
	tenant.ClearFaults()
	c.refresh(first.refresh).tokens(t)
}

func TestWhatConditionalAccessDemandsIsCarriedIntoTheNextSignIn(t *testing.T) {
	h, tenant := newEntraHouse(t)
	c, b := h.register(nil), h.browser()
	window := tenant.Browser("alice")
	code := b.signInAt(window, c.authorizeURL()).location(t).Query().Get("code")
	first := c.redeem(code).tokens(t)
	tenant.Require(entratest.Policy{Resource: "Genkan", MFA: true})
	c.refresh(first.refresh).wantError(t, "a refresh under the new policy", http.StatusBadRequest, oauth.InvalidGrant)
	next := b.get(c.authorizeURL()).location(t)
	if !strings.HasPrefix(next.String(), tenant.URL) || next.Query().Get("claims") == "" {
		t.Fatalf("the next sign-in does not carry the challenge: %s", next)
	}
	back := b.visit(window, next.String()).location(t)
	again := c.redeem(back.Query().Get("code")).tokens(t)
	c.refresh(again.refresh).tokens(t)
}

func TestThreat29_ADisabledAccountStopsAtTheNextRefresh(t *testing.T) {
	h, tenant := newEntraHouse(t)
	c, b := h.register(nil), h.browser()
	code := b.signInAt(tenant.Browser("alice"), c.authorizeURL()).location(t).Query().Get("code")
	first := c.redeem(code).tokens(t)
	tenant.Disable("alice")
	a := c.refresh(first.refresh)
	a.wantError(t, "refresh of a disabled account", http.StatusBadRequest, oauth.InvalidGrant)
	if strings.Contains(a.body, "AADSTS") && strings.Contains(a.body, "Trace ID") {
		t.Errorf("the answer repeats what Entra said: %s", a.body)
	}
	if h.works(first.access, "weather") {
		t.Error("the access token of a disabled account still opens the server")
	}
}
